"""Speedup by layer and pass as a heat map."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from accelsim.errors import AccelsimError
from accelsim.lowering.gemm import PASSES
from accelsim.results.row import speedup
from accelsim.show.figures.kind import FigureKind
from accelsim.show.figures.source import Source
from accelsim.show.figures.style import new_figure

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def data(sources: Sequence[Source]) -> pd.DataFrame:
    """Return a row a result, layer and pass: result, layer, pass, cycles, dense_cycles, speedup.

    Raises:
        AccelsimError: a source is a sweep, which has no layers.
    """
    tables = []
    for source in sources:
        if source.result is None:
            raise AccelsimError(f"{source.path}: a sweep has no layers, expected a folder of accelsim run --out")
        rows = source.table.groupby(["layer", "pass"], sort=False, as_index=False)[["cycles", "dense_cycles"]].sum()
        rows.insert(0, "result", source.labels.iloc[0])
        tables.append(rows)
    found = pd.concat(tables, ignore_index=True)
    found["speedup"] = [speedup(*pair) for pair in zip(found["dense_cycles"], found["cycles"], strict=True)]
    return found


def draw(table: pd.DataFrame) -> Figure:
    """Draw a panel a result; the number stands in every cell, a gap where a layer did not run a pass."""
    from matplotlib.colors import LogNorm
    from matplotlib.ticker import FuncFormatter, NullLocator

    results, layers = (list(dict.fromkeys(table[name])) for name in ("result", "layer"))
    passes = [which for which in PASSES if which in set(table["pass"])]
    finite = table["speedup"].replace(np.inf, np.nan).dropna()
    high = max(2.0, float(finite.max())) if len(finite) else 2.0
    norm = LogNorm(min(1.0, float(finite[finite > 0].min())) if (finite > 0).any() else 1.0, high)
    figure = new_figure(3.2 + 2.4 * len(results), max(2.4, 0.24 * len(layers) + 1.2))
    grid = figure.subplots(1, len(results), sharey=True, squeeze=False)[0]
    for axes, result in zip(grid, results, strict=True):
        part = table[table["result"] == result].pivot(index="layer", columns="pass", values="speedup")
        cells = part.reindex(index=layers, columns=passes).to_numpy(dtype=np.float64)
        shown = np.ma.masked_invalid(np.where(np.isinf(cells), high, cells))
        image = axes.pcolormesh(shown, cmap="cividis", norm=norm, edgecolors="white", linewidth=0.5)
        for (row, column), value in np.ndenumerate(cells):
            if not np.isnan(value):
                dark = norm(min(value, high)) < 0.55
                text = "∞" if np.isinf(value) else f"{value:.2f}"
                axes.text(
                    column + 0.5,
                    row + 0.5,
                    text,
                    ha="center",
                    va="center",
                    fontsize=7,
                    color="white" if dark else "black",
                )
        axes.set_xticks(np.arange(len(passes)) + 0.5, passes, fontsize=8)
        axes.set_yticks(np.arange(len(layers)) + 0.5, layers, fontsize=7)
        axes.tick_params(length=0)
        axes.set_title(result, fontsize=9)
    grid[0].invert_yaxis()
    bar = figure.colorbar(image, ax=list(grid), label="speedup", aspect=40)
    if bar.solids is not None:
        bar.solids.set_edgecolor("face")
        bar.solids.set_rasterized(False)  # an image in an SVG is one more thing that a page has to load
    bar.ax.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}×"))
    bar.ax.yaxis.set_minor_locator(NullLocator())
    ticks = [value for value in (0.5, 1, 1.5, 2, 3, 4, 6, 8, 12, 16, 32) if norm.vmin <= value <= norm.vmax]  # type: ignore[operator]
    bar.set_ticks(ticks)
    return figure


KIND = FigureKind(
    "layers",
    "speedup by layer and pass",
    "Each cell is dense cycles over cycles of a layer in a pass, all recorded steps and calls together.",
    data,
    draw,
)
