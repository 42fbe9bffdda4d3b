"""The cuts of a GEMM that may move the fewest bytes, found from its shape alone.

A macro-tile has whole tiles of the array. Along the grid of positions (the columns of forward and input_grad, K of
weight_grad) it is a run; along kernel and channels (the other axis) some rows of the kernel and some channels, whose
lines are loaded exactly as read. Every macro-tile loads both operands, or all K positions of A's rows (of B's columns)
stay on chip while the columns (rows) pass, or the chunks of K are outermost and sums leave the chip and come back.

Bytes are a weighted sum of the words of A and of B and of the sums that come back, with bits per word that depend on
the masks. So whatever the masks are, the cut of the fewest bytes is among those that no other cut beats in all three.
They are few; `accelsim.memory.choose` compares them.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from accelsim import kernel
from accelsim.memory.blocking import Blocking
from accelsim.memory.shape import Shape

_ENOUGH = 16  # steps that hide the first load and the last store well enough
_MOST = 1024  # cuts that none beats; layers have one to thirty


@dataclass(frozen=True)
class Candidate:
    """A cut; what it moves, and its steps, if every output must be computed.

    Attributes:
        a_words, b_words: words of each operand that it loads.
        spilled_sums: partial sums that leave the chip and come back.
    """

    blocking: Blocking
    a_words: int
    b_words: int
    spilled_sums: int
    steps: int


@lru_cache(maxsize=4096)
def candidates(shape: Shape) -> tuple[Candidate, ...]:
    """Return the cuts that no other beats, from the fewest words of A on; none may fit.

    Of cuts that move as much there are up to two: of the fewest steps, and of the fewest that hide all but a little of
    the first load and the last store.
    """
    found = np.empty((_MOST, 14), np.int64)
    taps = shape.taps
    axes = [
        (grid, step, source, offsets)
        for grid, step, source, offsets in zip(
            taps.grid, taps.step, taps.image, (taps.offset_y, taps.offset_x), strict=True
        )
    ]
    count = kernel.compiled.find_cuts(
        shape.rows,
        shape.cols,
        shape.operand_bits,
        shape.accumulator_bits,
        shape.m,
        shape.n,
        shape.k,
        shape.grid_is_k,
        shape.order != "columns",
        shape.order != "rows",
        shape.may_spill,
        shape.images,
        shape.channels,
        *axes[0],
        *axes[1],
        np.array(shape.room_bits, np.int64),
        _ENOUGH,
        found,
    )
    return tuple(_candidate(*row) for row in found[:count].tolist())


def _candidate(
    row_tiles: int,
    columns: int,
    chunk: int,
    by_columns: int,
    gathered: int,
    kernel_rows: int,
    block_channels: int,
    window_width: int,
    stays: int,
    spills: int,
    a_words: int,
    b_words: int,
    spilled_sums: int,
    steps: int,
) -> Candidate:
    blocking = Blocking(
        row_tiles,
        columns,
        chunk,
        "columns" if by_columns else "rows",
        gathered=bool(gathered),
        kernel_rows=kernel_rows,
        block_channels=block_channels,
        window_width=window_width,
        stays=bool(stays),
        spills=bool(spills),
    )
    return Candidate(blocking, a_words, b_words, spilled_sums, steps)
