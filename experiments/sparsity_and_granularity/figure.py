"""Accuracy and speedup against sparsity, a column a framework."""

from __future__ import annotations

from pathlib import Path

import matplotlib.pyplot as plt
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.lines import Line2D
from matplotlib.ticker import FuncFormatter

from accelsim.show.figures.files import save_figure

MEASURES = {
    "linear_probe_accuracy": "linear probe, %",
    "pe16x16_rowsync_speedup": "speedup of the last step\non pe16x16_rowsync",
}
COLOURS = {  # distinguishable by the colour-blind; the pattern's marker tells points of one method apart
    "dense": "black",
    "scp": "#d55e00",
    "gmp": "#0072b2",
    "one-branch": "#56b4e9",
    "set": "#e69f00",
    "rigl": "#009e73",
    "granet": "#cc79a7",
    "sr-ste": "#999999",
}
MARKERS = {"none": "_", "element": "o", "2:4": "^", "8x8": "s"}


def draw(seeds: pd.DataFrame, target: Path) -> None:
    """Draw what is measured of a `seed_table`; whiskers reach from the least to the most of several seeds.

    Sparsities are categories, each a band in which settings stand side by side.
    """
    frameworks = list(dict.fromkeys(seeds["framework"]))
    sparsities = sorted(seeds.loc[seeds["method"] != "dense", "sparsity"].unique())
    figure, axes = plt.subplots(
        2, len(frameworks), figsize=(3.9 * len(frameworks), 5.4), sharex=True, sharey="row", squeeze=False
    )
    for column, framework in enumerate(frameworks):
        part = seeds[seeds["framework"] == framework]
        for axis, measure in zip(axes[:, column], MEASURES, strict=True):
            _panel(axis, part[part["done"] > 0], measure, sparsities)
        axes[0, column].set_title(f"{framework}: {part['done'].sum()} of {part['planned'].sum()} runs", fontsize=10)
        axes[1, column].set_xlabel("weights pruned (online branch)")
    for axis, label in zip(axes[:, 0], MEASURES.values(), strict=True):
        axis.set_ylabel(label)
    axes[1, 0].yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}×"))
    for row in axes:  # from zero: few runs of small networks invite reading too much into a cut axis
        row[0].set_ylim(0, 1.15 * max((axis.dataLim.y1 for axis in row if axis.has_data()), default=1))
    done = seeds[seeds["done"] > 0]
    handles = [
        Line2D(
            [],
            [],
            color=COLOURS[method],
            marker=MARKERS[pattern],
            ls="--" if method == "dense" else "",
            label=method if method == "dense" else f"{method}, {pattern}",
        )
        for method, pattern in dict.fromkeys(zip(done["method"], done["pattern"], strict=True))
    ]
    figure.tight_layout(rect=(0, 0.09, 1, 1))
    figure.legend(handles=handles, frameon=False, fontsize=8, ncols=min(4, max(1, len(handles))), loc="lower center")
    for kind in ("svg", "png"):
        save_figure(figure, target.with_suffix(f".{kind}"))
    plt.close(figure)


def _panel(axis: Axes, part: pd.DataFrame, measure: str, sparsities: list[float]) -> None:
    scale = 100 if "accuracy" in measure else 1
    axis.spines[["top", "right"]].set_visible(False)
    axis.set_xlim(-0.5, max(len(sparsities), 1) - 0.5)
    axis.set_xticks(range(len(sparsities)), [f"{100 * sparsity:g} %" for sparsity in sparsities])
    axis.tick_params(axis="x", length=0)
    for border in range(1, len(sparsities)):
        axis.axvline(border - 0.5, color="0.85", lw=0.8)
    if part.empty or measure not in part:
        axis.text(0.5, 0.5, "missing", transform=axis.transAxes, ha="center", color="grey")
        return
    for line in part[part["method"] == "dense"].to_dict("records"):
        axis.axhline(scale * line[measure], color=COLOURS["dense"], ls="--", lw=1)
    for sparsity, group in part[part["method"] != "dense"].groupby("sparsity"):
        for place, line in enumerate(group.to_dict("records"), start=1):
            value = scale * line[measure]
            axis.errorbar(
                sparsities.index(sparsity) - 0.5 + place / (len(group) + 1),
                value,
                [[value - scale * line[f"{measure}_least"]], [scale * line[f"{measure}_most"] - value]],
                color=COLOURS[line["method"]],
                marker=MARKERS[line["pattern"]],
                ms=6,
                capsize=3,
            )
