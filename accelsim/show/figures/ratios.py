"""How much faster, and with how much less energy: beside a machine's own dense self, and a dense one of its area."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from accelsim.errors import AccelsimError
from accelsim.results.equal_area import ratios
from accelsim.results.other_work import OTHER_WORK, parts_of_total
from accelsim.results.row import known, speedup
from accelsim.show.figures.bars import MOST_BARS
from accelsim.show.figures.kind import FigureKind
from accelsim.show.figures.source import Source
from accelsim.show.figures.style import COLOURS, new_figure, plain_axes, short_name

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

TOTAL = "total"
_AT_EQUAL_AREA = "_at_equal_area"
_ENERGY = "energy_ratio", f"energy_ratio{_AT_EQUAL_AREA}"
RATIOS = ("speedup", f"speedup{_AT_EQUAL_AREA}", *_ENERGY)
COLUMNS = (*RATIOS, *(f"{name}_{end}" for name in _ENERGY for end in ("low", "high")))
_SUMS = ("cycles", "dense_cycles", "energy_pj", "dense_energy_pj", "equal_area_cycles", "equal_area_energy_pj")


def data(sources: Sequence[Source]) -> pd.DataFrame:
    """Return one row per result, or design and trace, and pass, and one for all of it, `total`.

    Columns: bar, pass, then speedup and energy_ratio, each also at equal area, and the ends of the latter's intervals,
    which results have; NaN where there is none.

    Raises:
        AccelsimError: no source has a ratio at equal area, or there are too many bars to read.
    """
    rows = [row for source in sources for row in (_of_sweep(source) if source.result is None else _of_result(source))]
    table = pd.DataFrame(rows, columns=["bar", "pass", *COLUMNS]).astype(dict.fromkeys(COLUMNS, np.float64))
    if table[RATIOS[1]].isna().all():
        raise AccelsimError(f"{sources[0].path}: no ratio at equal area; accelsim run and sweep say why there is none")
    if (found := table["bar"].nunique()) > MOST_BARS:
        raise AccelsimError(
            f"{sources[0].path}: {found} bars, expected at most {MOST_BARS}: a part of the rows would do"
        )
    return table


def _of_result(source: Source) -> Iterator[dict[str, Any]]:
    assert source.result is not None
    summary = source.result.summary
    for name, part in (parts_of_total(summary) | {TOTAL: summary["total"]}).items():
        yield {"bar": source.labels.iloc[0], "pass": name} | {column: part.get(column) for column in COLUMNS}


def _of_sweep(source: Source) -> Iterator[dict[str, Any]]:
    whole = source.whole
    traces = whole["trace"].map(short_name)
    bars = whole["machine"] + (", " + traces if traces.nunique() > 1 else "")
    rows = whole.assign(bar=bars).reindex(columns=["bar", "pass", *_SUMS])
    rows = pd.concat([rows, rows.assign(**{"pass": TOTAL})])
    for (bar, which), part in rows.groupby(["bar", "pass"], sort=False):
        sums = {str(name): known(float(value)) for name, value in part[list(_SUMS)].sum(skipna=False).items()}
        own, dense = sums["energy_pj"], sums["dense_energy_pj"]
        faster = speedup(sums["dense_cycles"] or 0.0, sums["cycles"] or 0.0)
        saved = {"energy_ratio": dense / own if dense is not None and own else None}
        yield {"bar": bar, "pass": which, "speedup": faster} | saved | ratios(sums)


def draw(table: pd.DataFrame) -> Figure:
    """Draw the passes of one result or design, or the totals of several; speedups beside energies."""
    several = table["bar"].nunique() > 1
    rows = table[table["pass"] == TOTAL if several else table["pass"] != OTHER_WORK].reset_index(drop=True)
    figure = new_figure(8.2, max(2.4, 0.42 * len(rows) + 1.2))
    grid = figure.subplots(1, 2, sharey=True)
    for axes, name, label in ((grid[0], "speedup", "speedup"), (grid[1], "energy_ratio", "energy saved")):
        _pairs(axes, rows, name)
        axes.set_xlabel(label, fontsize=8.5)
        plain_axes(axes)
    grid[0].set_yticks(range(len(rows)), rows["bar" if several else "pass"])
    grid[0].invert_yaxis()
    handles, labels = grid[0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=2, frameon=False, fontsize=8)
    return figure


def _pairs(axes: Axes, rows: pd.DataFrame, name: str) -> None:
    """Draw two bars a row with their numbers and, where they are known, the ends of their intervals."""
    places = np.arange(len(rows))
    for column, shift, colour, hatch, label in (
        (name, -0.2, "0.75", "////", "beside the same machine without skipping"),
        (f"{name}{_AT_EQUAL_AREA}", 0.2, COLOURS[0], "", "beside the best dense machine of the same area"),
    ):
        values = rows[column].replace(np.inf, np.nan)
        axes.barh(
            places + shift, values.fillna(0), 0.38, color=colour, hatch=hatch, edgecolor="white", lw=0.4, label=label
        )
        ends = values
        if (least := f"{column}_low") in rows.columns:
            low, high = rows[least], rows[f"{column}_high"]
            axes.hlines(places + shift, low, high, color="black", lw=1.2)
            ends = high.fillna(values)
        for place, value, end in zip(places + shift, values, ends.fillna(0), strict=True):
            text = "–" if np.isnan(value) else f"{value:.2f}×"
            note = axes.annotate(text, (end, place), (3, 0), textcoords="offset points", va="center", fontsize=7)
            note.set_bbox({"facecolor": "white", "edgecolor": "none", "pad": 0.5})  # over the line at 1
    axes.axvline(1, color="black", lw=0.8)
    axes.margins(x=0.14)


KIND = FigureKind(
    "ratios",
    "speedup and energy saved, beside the machine itself and at equal area",
    "Hatched: against the same machine without skipping and compression. Plain: against the dense machine that an"
    " architect would build from the same area, which compresses, gates and drops what it can. Left of the line at 1"
    " the dense machine is better. A black line reaches over 90 % of draws of the prices of energy.",
    data,
    draw,
)
