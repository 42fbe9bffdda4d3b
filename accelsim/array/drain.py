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
    """Return the cycles of tiles with the drain, [tiles].

    A tile drains for as many cycles as it uses rows of PEs. `exposed` adds them to it. `overlapped` lets its results
    leave from a second set of accumulators while its array's next tile runs, which therefore takes at least as long.

    Args:
        cycles: [tiles], without the drain.
    """
    if array.drain == "free":
        return cycles
    if array.drain == "exposed":
        return cycles + tiled.drains.astype(cycles.dtype)
    return np.maximum(cycles, tiled.drains_before.astype(cycles.dtype))
