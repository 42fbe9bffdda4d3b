"""Cycles against energy, and the designs that nothing beats in both."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from accelsim.errors import AccelsimError
from accelsim.show.figures.kind import FigureKind
from accelsim.show.figures.numbers import number_points
from accelsim.show.figures.source import Source
from accelsim.show.figures.style import COLOURS, new_figure, plain_axes, short_counts, short_joules, short_name

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_MOST_NAMED = 12


def data(sources: Sequence[Source]) -> pd.DataFrame:
    """Return one row per design (a result is one): design, trace, cycles, energy_pj, an area if there is one, on_front.

    A design is on its trace's front if no other is at least as good in cycles, energy and area, and better in one.
    Idealised machines are left out: they have no energy.

    Raises:
        AccelsimError: no machine has an energy.
    """
    tables = []
    for source in sources:
        table = source.whole
        tables.append(table.assign(design=source.labels_of(table) if len(sources) > 1 else table["machine"]))
    rows = pd.concat(tables, ignore_index=True).dropna(subset="energy_pj", ignore_index=True)
    if rows.empty:
        raise AccelsimError(f"{sources[0].path}: no machine of it has an energy; idealised ones have none")
    areas = [column for column in rows.columns if column.startswith("area") and rows[column].notna().all()]
    sums = {"cycles": ("cycles", "sum"), "energy_pj": ("energy_pj", "sum")} | {name: (name, "first") for name in areas}
    found = rows.groupby(["design", "trace"], sort=False, as_index=False).agg(**sums)
    measures = ["cycles", "energy_pj", *areas]
    found["on_front"] = False
    for _, part in found.groupby("trace", sort=False):
        found.loc[part.index, "on_front"] = on_front(part[measures].to_numpy(dtype=np.float64))
    return found


def on_front(costs: np.ndarray) -> np.ndarray:
    """Return which rows no other row dominates, bool [rows].

    Args:
        costs: float64 [rows, measures]; less is better.
    """
    front = np.ones(len(costs), dtype=np.bool_)
    for row, cost in enumerate(costs):
        front[row] = not ((costs <= cost).all(axis=1) & (costs < cost).any(axis=1)).any()
    return front


def draw(table: pd.DataFrame) -> Figure:
    """Draw a panel a trace, designs on the front numbered; a larger marker is a larger area."""
    traces = list(dict.fromkeys(table["trace"]))
    areas = [column for column in table.columns if column.startswith("area")]
    most = int(table.groupby("trace")["on_front"].sum().max())
    figure = new_figure(5.2 * len(traces), 4.2 + 0.16 * min(most, _MOST_NAMED))
    grid = figure.subplots(1, len(traces), squeeze=False)[0]
    numbered = []
    for axes, trace in zip(grid, traces, strict=True):
        rows = table[table["trace"] == trace]
        size = 40 * rows[areas[0]] / rows[areas[0]].mean() if areas else pd.Series(36.0, index=rows.index)
        front, rest = rows["on_front"], ~rows["on_front"]
        axes.scatter(
            rows["cycles"][rest],
            rows["energy_pj"][rest],
            s=size[rest],
            marker="x",
            color="0.5",
            lw=1.2,
            label="another is better",
        )
        axes.scatter(
            rows["cycles"][front],
            rows["energy_pj"][front],
            s=size[front],
            marker="o",
            color=COLOURS[1],
            label="non-dominated",
        )
        edge = rows[front].sort_values(["cycles", "energy_pj"])
        if not areas:  # with an area the front is no line in this plane
            axes.step(edge["cycles"], edge["energy_pj"], where="post", color=COLOURS[1], lw=1, alpha=0.6)
        named = edge.head(_MOST_NAMED)
        for number, design in enumerate(named["design"], start=1):
            axes.plot([], [], lw=0, label=f"{number}  {design}")
        numbered.append((axes, rows[["cycles", "energy_pj"]], size, named.index))
        axes.margins(x=0.12, y=0.12)
        axes.set_title(short_name(str(trace)), fontsize=9)
        handles, labels = axes.get_legend_handles_labels()
        blank = {"handlelength": 0, "handletextpad": 0, "frameon": False, "fontsize": 7.5}
        axes.legend(handles[2:], labels[2:], loc="upper left", bbox_to_anchor=(0, -0.14), **blank)
        axes.set_xlabel("cycles", fontsize=8.5)
        axes.set_ylabel("energy", fontsize=8.5)
        short_counts(axes.xaxis)
        short_joules(axes.yaxis)
        plain_axes(axes)
    handles, labels = (found[:2] for found in grid[0].get_legend_handles_labels())
    if areas:
        labels = [f"{label} (larger: {areas[0]})" for label in labels]
    figure.legend(handles, labels, loc="outside lower center", ncols=2, frameon=False, fontsize=8)
    figure.draw_without_rendering()  # the layout is known from here on
    for axes, points, size, chosen in numbered:
        number_points(axes, points, size, chosen)
    return figure


KIND = FigureKind(
    "pareto",
    "cycles against energy, and the designs that nothing beats",
    "Down and to the left is better. A cross is a design that another one beats in cycles or energy without losing in"
    " the other (or in area, where the table has one). An idealised machine has no energy and is not drawn.",
    data,
    draw,
    compares=True,
)
