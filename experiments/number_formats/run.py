"""What a machine sees as zero depends on its number format: the same training step recorded in four of them.

    python experiments/number_formats/run.py

trains SimCLR on photographs as the shipped trace was, records one and the same step under each format, replays it on
the 16x16 machine and writes `formats.csv`, `formats.svg` and `formats.png` beside this file.
"""

from __future__ import annotations

import argparse
import copy
import tempfile
from pathlib import Path

import matplotlib.pyplot as plt
import pandas as pd

from accelsim import Tracer, load_hardware, open_trace, simulate
from accelsim.files import write_whole
from accelsim.show.figures.files import save_figure
from accelsim.ssl.config import TrainConfig
from accelsim.ssl.data import load_data
from accelsim.ssl.training import Training

HERE = Path(__file__).parent
ROOT = HERE.parents[1]
FORMATS = ("exact", "fp8_e5m2", "fp8_e4m3", "int8")
TENSORS = {"weight": "weight", "input": "activation", "grad_output": "gradient"}
COLOURS = {"weight": "#0072b2", "activation": "#d55e00", "gradient": "#009e73"}
HATCHES = {"weight": "", "activation": "//", "gradient": ".."}


def zeros_and_speedup(training: Training, zero_as: str, folder: Path) -> dict[str, object]:
    """Record one step under a number format; return the share of zeros by tensor, and speedups by pass."""
    path = folder / f"{zero_as}.pkl"
    with Tracer(training.model, path, zero_as=zero_as):
        training.advance()
    trace = open_trace(path)
    row: dict[str, object] = {"zero_as": zero_as}
    for mask, tensor in TENSORS.items():
        # The encoder behind the image: where the first layer's input and the projector would only blur the picture.
        found = [
            entry.masks[mask]
            for entry in trace.entries
            if mask in entry.masks and entry.name.startswith("encoder.layer")
        ]
        row[f"{tensor}_zero"] = 1 - sum(part.nonzeros for part in found) / sum(part.size for part in found)
    result = simulate(load_hardware(ROOT / "hw_configs" / "pe16x16_rowsync.yaml"), trace, vector_work=False)
    row |= {f"{name}_speedup": totals["speedup"] for name, totals in result.summary["by_pass"].items()}
    row["speedup"] = result.summary["total"]["speedup"]
    return row


def draw(table: pd.DataFrame, target: Path) -> None:
    """Draw the share of zeros, a group of bars a format."""
    figure, axis = plt.subplots(figsize=(6.4, 3))
    for place, tensor in enumerate(COLOURS):
        at = [index + (place - 1) * 0.27 for index in range(len(table))]
        bars = axis.bar(
            at,
            100 * table[f"{tensor}_zero"],
            0.25,
            color=COLOURS[tensor],
            hatch=HATCHES[tensor],
            ec="white",
            label=tensor,
        )
        axis.bar_label(bars, fmt="%.0f", fontsize=8)
    labels = [f"{row.zero_as}\n{row.speedup:.2f}× faster" for row in table.itertuples()]
    axis.set_xticks(range(len(table)), labels)
    axis.set_ylabel("zeros, %")
    axis.set_ylim(0, 100)
    axis.spines[["top", "right"]].set_visible(False)
    axis.legend(frameon=False, ncols=3, loc="upper left", fontsize=8)
    figure.tight_layout()
    for kind in ("svg", "png"):
        save_figure(figure, target.with_suffix(f".{kind}"))
    plt.close(figure)


def main() -> None:
    """Train, record, replay, draw."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, help="default: beside this file; with --quick, runs/number_formats/quick")
    parser.add_argument("--quick", action="store_true", help="a smaller network, a few steps")
    options = parser.parse_args()
    out = options.out or (ROOT / "runs" / HERE.name / "quick" if options.quick else HERE)
    config = TrainConfig(steps=12, width=4, batch=8) if options.quick else TrainConfig(steps=400)
    training = Training(config, load_data(config.data))
    for _ in range(config.steps // 2):
        training.advance()
    state = copy.deepcopy(training.state())
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        for zero_as in FORMATS:
            training.load_state(copy.deepcopy(state))
            rows.append(zeros_and_speedup(training, zero_as, Path(folder)))
    table = pd.DataFrame(rows)
    out.mkdir(parents=True, exist_ok=True)
    write_whole(out / "formats.csv", table.to_csv(index=False))
    draw(table, out / "formats")
    print(table.to_string(index=False))


if __name__ == "__main__":
    main()
