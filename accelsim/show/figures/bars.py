"""Stacked bars of what a quantity is made of, for the kinds that show parts."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING

import pandas as pd

from accelsim.errors import AccelsimError
from accelsim.lowering.gemm import PASSES
from accelsim.show.figures.source import Source
from accelsim.show.figures.style import new_figure, plain_axes, short_name

if TYPE_CHECKING:
    from matplotlib.axis import Axis
    from matplotlib.figure import Figure

MOST_BARS = 60


def bars(sources: Sequence[Source], columns: Sequence[str], by_layer: bool) -> pd.DataFrame:
    """Return one row per bar, with the sums of `columns`; NaN where a source has no numbers.

    Columns: bar (a layer of one result, else the source's or the design's name), pass, then `columns`.

    Raises:
        AccelsimError: a source lacks a column, or there are too many bars to read.
    """
    tables = []
    for source in sources:
        if missing := [name for name in columns if name not in source.table.columns]:
            raise AccelsimError(f"{source.path}: no columns {', '.join(missing)}, which this figure shows")
        if by_layer and len(sources) == 1 and source.result is not None:
            bar = source.table["layer"]
        elif source.result is not None:
            bar = source.labels
        else:
            traces = source.table["trace"]
            bar = source.table["machine"] + (", " + traces.astype(str).map(short_name) if traces.nunique() > 1 else "")
        tables.append(source.table.assign(bar=bar))
    together = pd.concat(tables, ignore_index=True)
    if (found := together["bar"].nunique()) > MOST_BARS:
        raise AccelsimError(
            f"{sources[0].path}: {found} bars, expected at most {MOST_BARS}: a part of the rows would do"
        )
    return together.groupby(["bar", "pass"], sort=False, as_index=False)[list(columns)].sum(min_count=1)


def stacked(
    table: pd.DataFrame,
    parts: Mapping[str, tuple[str, tuple[str, str]]],
    label: str,
    scale: Callable[[pd.DataFrame], pd.Series],
    numbers: Callable[[Axis], None],
    mark: tuple[str, str] | None = None,
) -> Figure:
    """Draw horizontal stacked bars, a panel a pass, bars in their order.

    Args:
        table: see `bars`.
        parts: column → name and (colour, hatch).
        label: of the axis.
        scale: what every row's numbers are divided by.
        numbers: how the axis writes them.
        mark: a column and its name; a black line at that height of each bar.
    """
    passes = [which for which in PASSES if which in set(table["pass"])]
    names = list(dict.fromkeys(table["bar"]))
    figure = new_figure(3.1 * len(passes) + 1.4, max(2.2, 0.24 * len(names) + 1.5))
    grid = figure.subplots(1, len(passes), sharey=True, sharex=True, squeeze=False)[0]
    for axes, which in zip(grid, passes, strict=True):
        rows = table[table["pass"] == which].set_index("bar").reindex(names).fillna({"pass": which}).fillna(0)
        divisor = scale(rows).where(lambda value: value > 0, 1)
        left = pd.Series(0.0, index=rows.index)
        for column, (name, (colour, hatch)) in parts.items():
            width = rows[column] / divisor
            axes.barh(
                range(len(names)), width, left=left, color=colour, hatch=hatch, edgecolor="white", lw=0.4, label=name
            )
            left = left + width
        if mark is not None:
            column, name = mark
            for place, value in enumerate(rows[column] / divisor):
                axes.plot([value, value], [place - 0.4, place + 0.4], color="black", lw=1.6, label=name)
        axes.set_title(which, fontsize=10)
        axes.set_yticks(range(len(names)), names)
        axes.set_xlabel(label, fontsize=8.5)
        numbers(axes.xaxis)
        plain_axes(axes)
    grid[0].invert_yaxis()
    handles, labels = grid[0].get_legend_handles_labels()
    unique = dict(zip(labels, handles, strict=True))
    figure.legend(list(unique.values()), list(unique), loc="outside lower center", ncols=5, frameon=False, fontsize=8)
    return figure
