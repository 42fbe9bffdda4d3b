"""Contrastive dual gating: operations saved against cycles saved, both branches.

    python experiments/dual_gating/run.py

trains SimCLR on photographs with gates of several widths and thresholds (rows that have a file in `results/` are
kept), replays each run's last step and writes `table.csv`, `gating.svg` and `gating.png` beside this file. Three
machines: the dense array that only leaves out what the gates closed, the same with a scanner for the gradient's zeros,
pe16x16_rowsync in full.
"""

from __future__ import annotations

import argparse
import json
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import matplotlib.pyplot as plt
import pandas as pd
from matplotlib.lines import Line2D

from accelsim import Hardware, Tracer, load_hardware, simulate
from accelsim.files import write_whole
from accelsim.show.figures.files import save_figure
from accelsim.ssl.config import TrainConfig
from accelsim.ssl.data import load_data
from accelsim.ssl.flops import StepFlops
from accelsim.ssl.report import git_state
from accelsim.ssl.training import Training

HERE = Path(__file__).parent
ROOT = HERE.parents[1]
ROWSYNC = ROOT / "hw_configs" / "pe16x16_rowsync.yaml"
SKIPPING = {  # closed outputs have zero gradients, so scanning the gradient is gating's doing, too
    "outputs": {"tensors": (), "blocks": (), "outputs": True},
    "outputs_and_gradient": {"tensors": ("gradient",), "blocks": (), "outputs": True},
    "pe16x16_rowsync": {},
}
LABELS = {
    "outputs": "closed outputs left out",
    "outputs_and_gradient": "and their zero gradients",
    "pe16x16_rowsync": "and every other zero (pe16x16_rowsync)",
}
COLOURS = {"outputs": "#0072b2", "outputs_and_gradient": "#d55e00", "pe16x16_rowsync": "#009e73"}
MARKERS = {0: "x", 1: "o", 8: "s"}
GATES = {0: "no gates", 1: "one gate per output", 8: "one gate per 8 channels"}


@dataclass(frozen=True)
class Row:
    """Gates of `channels` output channels each (0: none), thresholds starting at `threshold` in both branches."""

    channels: int
    threshold: float

    @property
    def name(self) -> str:
        """What its result file is called."""
        return f"gate{self.channels}_from{self.threshold:g}" if self.channels else "ungated"


ROWS = (Row(0, 0.0), Row(1, 0.0), Row(8, 0.0), Row(1, 1.0), Row(8, 1.0))


def measure(row: Row, base: TrainConfig) -> dict[str, Any]:
    """Train a row and replay its last step; return plain values."""
    fields = vars(base) | {
        "sparsity": 0.0,
        "gate_channels": row.channels,
        "gate_threshold": row.threshold,
        "second_gate_threshold": row.threshold,
    }
    config = TrainConfig(**fields)
    training = Training(config, load_data(config.data))
    untrained = training.features().knn()
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "step.pkl"
        with Tracer(training.model, path, start=config.steps - 1):
            while training.step < config.steps:
                before = StepFlops(training.flops.dense, training.flops.masked)
                training.advance()
        dense = training.flops.dense - before.dense
        left = training.flops.masked - before.masked
        machines = {name: simulate(_machine(name), path, vector_work=False, workers=1).summary for name in SKIPPING}
    window = min(20, config.steps)
    return {
        "name": row.name,
        "config": fields,
        "git": git_state(),
        "loss_first": sum(training.losses[:window]) / window,
        "loss_last": sum(training.losses[-window:]) / window,
        "knn_untrained": untrained,
        "knn_trained": training.features().knn(),
        "operations_saved": dense / left,
        **{f"cycles_saved_{name}": found["total"]["speedup"] for name, found in machines.items()},
        **{
            f"cycles_saved_{name}_{which}": part["speedup"]
            for name, found in machines.items()
            for which, part in found["by_pass"].items()
        },
        **{
            f"cycles_saved_{name}_view_{view}": part["speedup"]
            for name, found in machines.items()
            for view, part in enumerate(_views(found))
        },
    }


def _machine(name: str) -> Hardware:
    hw = load_hardware(ROWSYNC)
    return hw.model_copy(update={"skipping": hw.skipping.model_copy(update=SKIPPING[name])})


def _views(summary: dict[str, Any]) -> list[dict[str, Any]]:
    return [summary["by_branch"][f"online, call {call}"] for call in (0, 1)]


def table_of(out: Path) -> pd.DataFrame:
    """Return a line a row; `state` says which ones are missing."""
    lines: list[dict[str, Any]] = []
    for row in ROWS:
        path = out / "results" / f"{row.name}.json"
        found = json.loads(path.read_text()) if path.exists() else {}
        measured = {key: value for key, value in found.items() if key not in ("name", "config", "git")}
        lines.append({"row": row.name, **vars(row), "state": "done" if found else "missing", **measured})
    return pd.DataFrame(lines)


def draw(table: pd.DataFrame, target: Path) -> None:
    """Draw cycles saved over operations saved; on the dotted line they are equal."""
    figure, axis = plt.subplots(figsize=(5.6, 4))
    done = table[table["state"] == "done"]
    for name, colour in COLOURS.items():
        for channels, marker in MARKERS.items():
            part = done[done["channels"] == channels]
            saved = part[f"cycles_saved_{name}"]
            axis.plot(
                part["operations_saved"], saved, marker, color=colour, label=LABELS[name] if channels == 1 else None
            )
    most = max(2.9, 1.1 * done["operations_saved"].max())
    axis.plot([1, most], [1, most], ":", color="grey", lw=1)
    axis.plot(2.8, 2.4, "*", color="black", ms=9, label="channel gating's own machine, published")
    axis.set_xlabel("operations without gates over those left")
    axis.set_ylabel("cycles of the dense baseline over those left")
    colours = axis.legend(frameon=False, fontsize=7.5, loc="upper left")
    gates = [Line2D([], [], color="grey", ls="", marker=MARKERS[channels], label=GATES[channels]) for channels in GATES]
    axis.legend(handles=gates, frameon=False, fontsize=7.5, loc="upper left", bbox_to_anchor=(0, 0.78))
    axis.add_artist(colours)
    axis.spines[["top", "right"]].set_visible(False)
    figure.tight_layout()
    for kind in ("svg", "png"):
        save_figure(figure, target.with_suffix(f".{kind}"))
    plt.close(figure)


def main() -> None:
    """Measure the rows that have no result yet, then write table and figure."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, help="default: beside this file; with --quick, runs/dual_gating/quick")
    parser.add_argument("--quick", action="store_true", help="a smaller network, a few steps, two rows")
    options = parser.parse_args()
    out = options.out or (ROOT / "runs" / HERE.name / "quick" if options.quick else HERE)
    (out / "results").mkdir(parents=True, exist_ok=True)
    base = TrainConfig(steps=3, width=8, batch=4, knn_images=20) if options.quick else TrainConfig(steps=300, batch=16)
    for row in ROWS[:2] if options.quick else ROWS:
        path = out / "results" / f"{row.name}.json"
        if not path.exists():
            write_whole(path, json.dumps(measure(row, base), indent=2) + "\n")
        table = table_of(out)
        write_whole(out / "table.csv", table.to_csv(index=False, float_format="%.6g"))
        draw(table, out / "gating")
    print(
        table[["row", "state", "operations_saved", *(f"cycles_saved_{name}" for name in SKIPPING)]].to_string(
            index=False
        )
    )


if __name__ == "__main__":
    main()
