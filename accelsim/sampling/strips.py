"""A GEMM's tiles as strips: tiles side by side in one row tile, which are simulated together as a GEMM of their own."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from accelsim.hardware.model import Hardware
from accelsim.lowering import MaskedGemm
from accelsim.lowering.bits import Words, words_for
from accelsim.timing.tiles import Schedule, schedule

_WORK = 1 << 17  # K positions x tiles whose simulation takes as long as starting it
_FEWEST = 256  # strips of a GEMM, if it has as many tiles: enough to draw from


@dataclass(frozen=True)
class Strips:
    """A GEMM cut into strips, row tiles outermost; in a row tile their sizes differ by one tile at most.

    Attributes:
        row: int64 [strips], each strip's row tile.
        first: int64 [strips], its first tile's number in the GEMM.
        tiles: int64 [strips], how many tiles it has.
    """

    hw: Hardware
    gemm: MaskedGemm
    schedule: Schedule
    row: NDArray[np.int64]
    first: NDArray[np.int64]
    tiles: NDArray[np.int64]

    @classmethod
    def of(cls, hw: Hardware, gemm: MaskedGemm, longest: int | None = None) -> Strips:
        """Cut a GEMM (rows in their final order) for a machine.

        Args:
            longest: tiles of a strip at most; by default as many as make starting a simulation worth while.
        """
        plan = schedule(hw, gemm)
        longest = longest or max(1, min(_WORK // gemm.k, plan.tiles // _FEWEST))
        per_row = plan.tiles_per_row
        strips_of_row = -(-per_row // longest)
        row = np.repeat(np.arange(per_row.size), strips_of_row)
        place = np.arange(row.size) - np.repeat(np.cumsum(strips_of_row) - strips_of_row, strips_of_row)
        start, stop = (at * per_row[row] // strips_of_row[row] for at in (place, place + 1))
        return cls(hw, gemm, plan, row, (np.cumsum(per_row) - per_row)[row] + start, stop - start)

    def __len__(self) -> int:
        return self.row.size

    @cached_property
    def first_of_row(self) -> NDArray[np.int64]:
        """Each row tile's first tile: int64 [row tiles]."""
        per_row = self.schedule.tiles_per_row
        return np.asarray(np.cumsum(per_row) - per_row)

    def sums(self, of_tiles: NDArray[np.float64]) -> NDArray[np.float64]:
        """Add up what is given for each tile: float64 [tiles] to [strips]."""
        return np.add.reduceat(of_tiles, self.first)

    def gemm_of(self, strip: int) -> MaskedGemm:
        """Return a strip as a GEMM: the rows of its row tile, and the columns that its tiles schedule."""
        gemm, plan, (rows, cols) = self.gemm, self.schedule, (self.hw.array.rows, self.hw.array.cols)
        row = int(self.row[strip])
        low = int(plan.starts[row] + (self.first[strip] - self.first_of_row[row]) * cols)
        columns = plan.columns[low : min(low + int(self.tiles[strip]) * cols, int(plan.stops[row]))]
        own = slice(row * rows, min((row + 1) * rows, gemm.m))
        masked = gemm.needed is not None and self.hw.skipping.outputs
        kinds = columns if gemm.b_of is None else gemm.b_of[columns]
        return replace(
            gemm,
            m=own.stop - own.start,
            n=columns.size,
            a=gemm.a[own],
            b=gemm.b[kinds],
            b_of=None,
            needed=_take_columns(gemm.needed[own], columns) if masked and gemm.needed is not None else None,
        )


def _take_columns(rows: Words, columns: NDArray[np.int64]) -> Words:
    """Take some columns of a bit matrix: words [rows, words] to [rows, words]."""
    bits = (rows[:, columns >> 6] >> (columns & 63).astype(np.uint64)) & np.uint64(1)
    taken = np.zeros((len(rows), words_for(columns.size)), np.uint64)
    packed = np.packbits(bits.astype(np.uint8), axis=1, bitorder="little")
    taken.view(np.uint8)[:, : packed.shape[1]] = packed
    return taken
