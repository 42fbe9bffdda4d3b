"""The rows measured so far as tables; what was not measured is marked missing."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pandas as pd
from rows import Plan, Row

_SETTING = ["framework", "method", "pattern", "sparsity"]
_MEASURED = ["knn_accuracy", "linear_probe_accuracy", "flops_share", "pe16x16_rowsync_speedup"]


def row_table(plan: Plan, results: Path) -> pd.DataFrame:
    """Return a line a planned row: `state` is done or missing, and the measured columns of a missing row are empty."""
    return pd.DataFrame([_line(row, results / f"{row.name}.json") for row in plan.rows])


def seed_table(table: pd.DataFrame) -> pd.DataFrame:
    """Return a line a setting: runs done and planned; mean, least and most of each figure over the seeds done."""
    lines = []
    for setting, part in table.groupby(_SETTING, sort=False):
        line: dict[str, Any] = dict(zip(_SETTING, setting, strict=True))
        line |= {"done": int((part["state"] == "done").sum()), "planned": len(part)}
        for name in (name for name in _MEASURED if name in part):
            line |= {name: part[name].mean(), f"{name}_least": part[name].min(), f"{name}_most": part[name].max()}
        lines.append(line | {"state": _state(line["done"], line["planned"])})
    return pd.DataFrame(lines)


def _state(done: int, planned: int) -> str:
    if done == planned:
        return "done"
    return "partly" if done else "missing"


def _line(row: Row, path: Path) -> dict[str, Any]:
    line: dict[str, Any] = {"row": row.name, **vars(row), "state": "missing"}
    if not path.exists():
        return line
    found = json.loads(path.read_text())
    last, flops = found["last_step"], found["flops_per_step"]
    line |= {
        "state": "done",
        "loss_first": found["loss"]["first_steps"],
        "loss_last": found["loss"]["last_steps"],
        "knn_untrained": found["knn_accuracy"]["untrained"],
        "knn_accuracy": found["knn_accuracy"]["trained"],
        "linear_probe_accuracy": found["linear_probe_accuracy"],
        "pruned": found["sparsity"]["total"],
        "pruned_second_branch": found["sparsity"]["branches"][-1],
        **{f"{tensor}_density": share for tensor, share in last["density"].items()},
        "dense_flops": flops["dense"],
        "masked_flops": flops["masked_mean"],
        "flops_share": flops["masked_share"],
    }
    for machine, replayed in last["machines"].items():
        line[f"{machine}_speedup"] = replayed["speedup"]
        line |= {f"{machine}_{name}": speedup for name, speedup in replayed["speedup_by_pass"].items()}
    return line
