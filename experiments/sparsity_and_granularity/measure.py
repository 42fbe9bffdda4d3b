"""One row: train it (or go on), replay its last step, return what was measured."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import Any

from rows import Plan, Row

from accelsim import load_hardware, open_trace, simulate
from accelsim.ssl.checkpoint import load_checkpoint
from accelsim.ssl.config import TrainConfig
from accelsim.ssl.train import Recording, train

MACHINES = Path(__file__).parents[2] / "hw_configs"
_TENSORS = {"weight": "weight", "input": "activation", "grad_output": "gradient"}


def measure(plan: Plan, row: Row, data: str, runs: Path) -> dict[str, Any] | None:
    """Do a row's work in `runs`/NAME, where a run that was stopped goes on.

    Returns:
        The row's result as plain values, free of this machine's paths; None if Ctrl-C stopped the training.
    """
    folder, config = runs / row.name, plan.config(row, data)
    found = _trained(config, folder)
    if found is None:
        return None
    trace = open_trace(folder / "step.pkl")
    kind = data.partition(":")[0]
    return {
        "row": asdict(row),
        "command": found["command"].replace(data, "cifar10:DIR") if kind == "cifar10" else found["command"],
        "config": found["config"] | {"data": kind},
        **{key: found[key] for key in ("git", "versions", "data", "loss", "knn_accuracy", "linear_probe_accuracy")},
        **{key: found[key] for key in ("flops_per_step", "sparsity")},
        "last_step": {
            "step": trace.steps[-1],
            "density": _densities(folder / "step.pkl"),
            "machines": {name: _replayed(name, folder / "step.pkl") for name in plan.machines[row.pattern]},
        },
    }


def _trained(config: TrainConfig, folder: Path) -> dict[str, Any] | None:
    finished, checkpoint, step = folder / "results.json", folder / "checkpoint.pt", folder / "step.pkl"
    if finished.exists() and step.exists():
        found: dict[str, Any] = json.loads(finished.read_text())
        if found["config"] == asdict(config) and "linear_probe_accuracy" in found:
            return found
    resume = checkpoint.exists()
    if not resume or load_checkpoint(checkpoint)["step"] < config.steps:
        step.unlink(missing_ok=True)  # begun by a run that did not come to its last step, or not to save it
    recording = Recording(step, every=1, start=config.steps - 1)
    return train(config, folder, recording, resume=resume, linear_probe=True)


def _densities(path: Path) -> dict[str, float]:
    """Share of non-zeros by tensor, over all sparse layers' operations with equal weight an element."""
    entries = [entry for entry in open_trace(path).entries if ".layer" in entry.name]
    shares = {}
    for mask, tensor in _TENSORS.items():
        parts = [entry.masks[mask] for entry in entries if mask in entry.masks]
        shares[tensor] = sum(part.nonzeros for part in parts) / sum(part.size for part in parts)
    return shares


def _replayed(machine: str, path: Path) -> dict[str, Any]:
    summary = simulate(load_hardware(MACHINES / f"{machine}.yaml"), path, vector_work=False, workers=1).summary
    total = summary["total"]
    return {
        **{key: total[key] for key in ("cycles", "dense_cycles", "speedup", "energy_ratio", "macs", "effectual_macs")},
        "speedup_by_pass": {name: part["speedup"] for name, part in summary["by_pass"].items()},
    }
