"""Where the zeros are: by layer, tensor, time and number format.

    python experiments/where_the_zeros_are/run.py

reads the shipped trace for the exact zeros over the training run, trains the same run again up to its late, sparse
state, records that step under int8 and fp8 (e4m3), and writes `density.csv`, `density.svg` and `density.png` beside
this file.
"""

from __future__ import annotations

import argparse
import copy
import tempfile
from pathlib import Path

import matplotlib.pyplot as plt
import pandas as pd

from accelsim import Tracer, open_trace
from accelsim.files import write_whole
from accelsim.show.figures.files import save_figure
from accelsim.ssl.config import TrainConfig
from accelsim.ssl.data import load_data
from accelsim.ssl.training import Training

HERE = Path(__file__).parent
ROOT = HERE.parents[1]
SHIPPED = ROOT / "traces" / "simclr_resnet18w16_photos.pkl"
TENSORS = {"weight": "weight", "input": "activation", "grad_output": "gradient"}
PASSES = {
    "weight": "forward, input_grad",
    "activation": "forward, weight_grad",
    "gradient": "input_grad, weight_grad",
}
STYLES = {"exact": ("black", "o", "-"), "fp8_e4m3": ("#009e73", "^", ":"), "int8": ("#d55e00", "s", "--")}
SHADES = ("#c6dbef", "#6baed6", "#2171b5", "#08306b")


def densities(path: Path, zero_as: str) -> pd.DataFrame:
    """Return the share of non-zeros by step, layer and tensor, over both views, in forward order."""
    rows = [
        {
            "zero_as": zero_as,
            "step": entry.step,
            "layer": entry.name.removeprefix("encoder."),
            "tensor": tensor,
            "read_in": PASSES[tensor],
            "nonzeros": entry.masks[mask].nonzeros,
            "elements": entry.masks[mask].size,
        }
        for entry in open_trace(path).entries
        for mask, tensor in TENSORS.items()
        if mask in entry.masks and entry.name.startswith("encoder.")
    ]
    keys = ["zero_as", "step", "layer", "tensor", "read_in"]
    table = pd.DataFrame(rows).groupby(keys, sort=False, as_index=False)[["nonzeros", "elements"]].sum()
    table["density"] = table["nonzeros"] / table["elements"]
    return table


def record_formats(config: TrainConfig, step: int, formats: list[str], folder: Path) -> list[pd.DataFrame]:
    """Train up to a step and record that one step under each format."""
    training = Training(config, load_data(config.data))
    while training.step < step:
        training.advance()
    state = copy.deepcopy(training.state())
    tables = []
    for zero_as in formats:
        training.load_state(copy.deepcopy(state))
        path = folder / f"{zero_as}.pkl"
        with Tracer(training.model, path, zero_as=zero_as, first_step=step):
            training.advance()
        tables.append(densities(path, zero_as))
    return tables


def draw(table: pd.DataFrame, target: Path) -> None:
    """Draw density by layer: over time above, under number formats below, a column a tensor."""
    layers = list(dict.fromkeys(table["layer"]))
    last = table["step"].max()
    figure, axes = plt.subplots(2, 3, figsize=(11, 5.6), sharex=True, sharey=True)
    for column, tensor in enumerate(TENSORS.values()):
        part = table[table["tensor"] == tensor].set_index("layer")
        over_time = part[part["zero_as"] == "exact"]
        steps = sorted(over_time["step"].unique())
        for step, shade in zip(steps, SHADES[-len(steps) :], strict=True):
            line = over_time[over_time["step"] == step].reindex(layers)
            axes[0, column].plot(layers, 100 * line["density"], ".-", color=shade, lw=1.4, label=f"step {step}")
        for zero_as, (colour, marker, dash) in STYLES.items():
            line = part[(part["zero_as"] == zero_as) & (part["step"] == last)].reindex(layers)
            axes[1, column].plot(layers, 100 * line["density"], dash, color=colour, marker=marker, ms=4, label=zero_as)
        axes[0, column].set_title(f"{tensor}s (read in {PASSES[tensor]})", fontsize=9)
        axes[1, column].tick_params(axis="x", labelrotation=90, labelsize=6.5)
    for axis in axes.flat:
        axis.set_ylim(0, 104)
        axis.spines[["top", "right"]].set_visible(False)
    axes[0, 0].set_ylabel("exact non-zeros, %")
    axes[1, 0].set_ylabel(f"non-zeros at step {last}, %")
    for axis in axes[:, 0]:
        axis.legend(frameon=False, fontsize=7.5, loc="lower left")
    figure.tight_layout()
    for kind in ("svg", "png"):
        save_figure(figure, target.with_suffix(f".{kind}"))
    plt.close(figure)


def main() -> None:
    """Read, train, record, draw."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "--out", type=Path, help="default: beside this file; with --quick, runs/where_the_zeros_are/quick"
    )
    parser.add_argument("--quick", action="store_true", help="a smaller network, a few steps, no shipped trace")
    options = parser.parse_args()
    out = options.out or (ROOT / "runs" / HERE.name / "quick" if options.quick else HERE)
    formats = [name for name in STYLES if options.quick or name != "exact"]
    with tempfile.TemporaryDirectory() as folder:
        if options.quick:
            tables = record_formats(TrainConfig(steps=6, width=4, batch=4, prune_every=2), 5, formats, Path(folder))
        else:
            shipped = densities(SHIPPED, "exact")
            late = int(shipped["step"].max())
            tables = [shipped, *record_formats(TrainConfig(steps=600), late, formats, Path(folder))]
    table = pd.concat(tables)
    out.mkdir(parents=True, exist_ok=True)
    write_whole(out / "density.csv", table.to_csv(index=False, float_format="%.6g"))
    draw(table, out / "density")
    shares = table.groupby(["zero_as", "step", "tensor"], sort=False)[["nonzeros", "elements"]].sum()
    print((shares["nonzeros"] / shares["elements"]).unstack().to_string(float_format="%.3f"))


if __name__ == "__main__":
    main()
