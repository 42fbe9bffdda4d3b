"""A GEMM's tiles as strips: tiles side by side in one row tile, which are simulated together as a GEMM of their own."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from accelsim.array import TiledGemm

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

    tiled: TiledGemm
    row: NDArray[np.int64]
    first: NDArray[np.int64]
    tiles: NDArray[np.int64]

    @classmethod
    def of(cls, tiled: TiledGemm, longest: int | None = None) -> Strips:
        """Cut a GEMM.

        Args:
            longest: tiles of a strip at most; by default as many as make starting a simulation worth while.
        """
        longest = longest or max(1, min(_WORK // tiled.gemm.k, tiled.tiles // _FEWEST))
        per_row = tiled.tiles_per_row
        strips_of_row = -(-per_row // longest)
        row = np.repeat(np.arange(per_row.size), strips_of_row)
        place = np.arange(row.size) - np.repeat(np.cumsum(strips_of_row) - strips_of_row, strips_of_row)
        start, stop = (at * per_row[row] // strips_of_row[row] for at in (place, place + 1))
        return cls(tiled, row, tiled.first_tiles[row] + start, stop - start)

    def __len__(self) -> int:
        return self.row.size

    def sums(self, of_tiles: NDArray[np.float64]) -> NDArray[np.float64]:
        """Add up what is given for each tile: float64 [tiles] to [strips]."""
        return np.add.reduceat(of_tiles, self.first)

    def tiles_of(self, strip: int) -> TiledGemm:
        """Return a strip as a GEMM of its own."""
        row, first = int(self.row[strip]), int(self.first[strip])
        return self.tiled.strip(row, first - int(self.tiled.first_tiles[row]), int(self.tiles[strip]))
