"""Print the table of traces/README.md, a row a trace.

    python traces/table.py [TRACE.pkl ...]

Densities are those of the last recorded ordinary step, over all operations that read the tensor; the speedups are those
of `hw_configs/join8x16.yaml`, of that step and of the whole training: over itself without skipping, and over the best
dense machine of the same area.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from accelsim import load_hardware, open_trace, simulate

ROOT = Path(__file__).parents[1]


def row(path: Path) -> str:
    """Return one trace's row."""
    trace = open_trace(path)
    config = json.loads((path.with_suffix("") / "results.json").read_text())["config"]
    growth = set(trace.meta.get("training", {}).get("growth_steps", ()))
    last = max(step for step in trace.steps if step not in growth)
    result = simulate(load_hardware(ROOT / "hw_configs" / "join8x16.yaml"), trace, workers=1)
    by_step = result.steps[(result.steps["pass"] == "all passes") & (result.steps["step"] == last)]
    whole = result.training["total"]
    steps = ", ".join(f"{step} (grows)" if step in growth else str(step) for step in trace.steps)
    densities = []
    for tensor in ("weight", "input", "grad_output"):
        masks = [entry.masks[tensor] for entry in trace.entries if entry.step == last and tensor in entry.masks]
        densities.append(f"{100 * sum(mask.nonzeros for mask in masks) / sum(mask.size for mask in masks):.0f}")
    method, pattern = (config["method"], config["pattern"]) if config["sparsity"] else ("–", "–")
    if config.get("gate_channels"):
        method = f"gates, {config['gate_channels']} channel" + "s" * (config["gate_channels"] > 1)
    if config.get("gradient_sparsity"):
        method = "SparseTrain"
    cells = [
        f"`{path.stem}`",
        method,
        pattern,
        config["framework"],
        steps,
        f"{path.stat().st_size / 1e6:.1f}",
        " / ".join(densities),
        _speedups(by_step.iloc[0].to_dict()),
        _speedups(whole) if whole else "not known",
    ]
    return "| " + " | ".join(cells) + " |"


def _speedups(total: Mapping[Any, Any]) -> str:
    return f"{total['speedup']:.2f}×, {total['speedup_at_equal_area']:.2f}×"


def main() -> None:
    """Print a row for each trace."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("traces", nargs="*", type=Path, default=sorted((ROOT / "traces").glob("*.pkl")))
    for path in parser.parse_args().traces:
        print(row(path), flush=True)


if __name__ == "__main__":
    main()
