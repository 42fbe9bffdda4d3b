"""Where the cycles went: the slot account as stacked bars."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import fields
from typing import TYPE_CHECKING

import pandas as pd

from accelsim.array import Slots
from accelsim.show.figures.bars import bars, stacked
from accelsim.show.figures.kind import FigureKind
from accelsim.show.figures.source import Source
from accelsim.show.figures.style import FILLS, short_counts

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_SLOTS = {f"slots_{part.name}": part.name for part in fields(Slots)}


def data(sources: Sequence[Source]) -> pd.DataFrame:
    """Return a row a layer (one result) or a machine (several, or a sweep) and pass: bar, pass, slots_*, cycles.

    Raises:
        AccelsimError: a source has no slots.
    """
    present = [name for name in _SLOTS if any(name in source.table.columns for source in sources)]
    return bars(sources, [*(present or _SLOTS), "cycles"], by_layer=True)


def draw(table: pd.DataFrame) -> Figure:
    """Draw bars as long as the cycles, cut by what the slots of these cycles did."""
    used = [column for column in _SLOTS if column in table.columns and table[column].any()]
    parts = {column: (_SLOTS[column], FILLS[_SLOTS[column]]) for column in used}
    # A cycle has the same number of slots in all rows of a machine, so slots over slots a cycle are cycles.
    return stacked(
        table,
        parts,
        "cycles",
        lambda rows: rows[used].sum(axis=1) / rows["cycles"].where(rows["cycles"] > 0),
        short_counts,
    )


KIND = FigureKind(
    "slots",
    "where the cycles went, by layer or machine",
    "A bar is as long as its cycles. A slot is one multiplier in one cycle. Effectual slots multiplied two non-zeros,"
    " ineffectual ones a zero; edge: no output to compute; barrier: done, waiting for the tile's slowest; sync: held up"
    " by its group; starved: too few pairs found; port: waiting for the buffers; skew: fill and drain of the"
    " array; memory: waiting for DRAM.",
    data,
    draw,
)
