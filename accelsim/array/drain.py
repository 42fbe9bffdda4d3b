"""How a tile's results leave the PEs in which they were summed: through the columns, one row of PEs per cycle."""

from __future__ import annotations

from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from accelsim.array.outcome import GemmTiming
from accelsim.array.tiled import TiledGemm
from accelsim.array.waiting import lengthen
from accelsim.hardware.parts import Array

Number = TypeVar("Number", np.int64, np.float64)


def drained(array: Array, tiled: TiledGemm, timing: GemmTiming) -> GemmTiming:
    """Add what the drain costs, as `skew`."""
    return lengthen(array, tiled, timing, with_drain(array, tiled, timing.tile_cycles), "skew")


def with_drain(array: Array, tiled: TiledGemm, cycles: NDArray[Number]) -> NDArray[Number]:
    """Return the cycles of tiles with their drain, [tiles].

    A tile drains for as many cycles as it uses rows. `exposed` adds them; `overlapped` lets a tile take at least as
    many, since the results of the tile before, in a second set of accumulators, leave meanwhile. A tile that streams
    nothing has no results, and an operand that stays in the PEs leaves no results there: those arrays' fill and drain
    is part of their folds.

    Args:
        cycles: [tiles], without the drain.
    """
    if array.drain == "free" or array.dataflow != "output_stationary":
        return cycles
    with_it = np.maximum(cycles, tiled.heights) if array.drain == "overlapped" else cycles + tiled.heights
    return np.where(cycles > 0, with_it, 0).astype(cycles.dtype)
