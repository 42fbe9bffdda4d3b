"""Energy by component as stacked bars, beside the dense baseline."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import pandas as pd

from accelsim.errors import AccelsimError
from accelsim.results.result import ENERGY_COLUMNS
from accelsim.show.figures.bars import bars, stacked
from accelsim.show.figures.kind import FigureKind
from accelsim.show.figures.source import Source
from accelsim.show.figures.style import ENERGY_FILLS, short_joules

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def data(sources: Sequence[Source]) -> pd.DataFrame:
    """Return one row per result or design and pass: bar, pass, energy_*_pj by component, dense_energy_pj.

    An idealised machine's bar is empty, and says so.

    Raises:
        AccelsimError: a source has no energy by component.
    """
    present = [name for name in ENERGY_COLUMNS if all(name in source.table.columns for source in sources)]
    if not present:
        raise AccelsimError(f"{sources[0].path}: no energy by component, columns such as {ENERGY_COLUMNS[0]}")
    table = bars(sources, [*present, "dense_energy_pj"], by_layer=False)
    idealised = table[present].isna().all(axis=1)
    return table.assign(bar=table["bar"].where(~idealised, table["bar"] + " (idealised: no energy)"))


def draw(table: pd.DataFrame) -> Figure:
    """Draw a bar a result or design and pass, and a line where it would end without skipping."""
    used = [name for name in ENERGY_COLUMNS if name in table.columns and table[name].any()]
    names = {name: name.removeprefix("energy_").removesuffix("_pj") for name in used}
    parts = {column: (name.replace("_", " "), ENERGY_FILLS[name]) for column, name in names.items()}
    mark = ("dense_energy_pj", "without skipping")
    return stacked(table, parts, "energy", lambda rows: pd.Series(1.0, index=rows.index), short_joules, mark)


KIND = FigureKind(
    "energy",
    "energy by component, beside the same machine without skipping",
    "A bar is the energy of a pass by what spent it: action counts times the numbers of the machine's energy table. The"
    " black line is the same machine without skipping and compression.",
    data,
    draw,
)
