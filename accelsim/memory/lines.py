"""Source lines that blocks of grid positions read: what operand B is loaded as."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from accelsim.lowering.footprint import lines_reached
from accelsim.lowering.gemm import Footprint

Indices = NDArray[np.int64]


class Lines:
    """Source lines that runs of grid lines read, by prefix sums; every line of a run counts once."""

    def __init__(self, grid_width: int, first: Indices, last: Indices, line_nonzeros: Indices) -> None:
        self.grid_width = grid_width
        nonzeros = np.append(0, np.cumsum(line_nonzeros))
        reached = np.maximum.accumulate(np.append(0, last))[:-1]
        fresh = np.minimum(np.maximum(first, reached), last)
        self._new_lines = np.append(0, np.cumsum(last - fresh))
        self._new_nonzeros = np.append(0, np.cumsum(nonzeros[last] - nonzeros[fresh]))
        self._own_lines = last - first
        self._own_nonzeros = nonzeros[last] - nonzeros[first]

    def read_by(self, start: Indices, stop: Indices) -> tuple[Indices, Indices]:
        """Lines, and non-zeros in them, that each of several runs [start, stop) of grid positions reads."""
        low, high = start // self.grid_width, -(-stop // self.grid_width)
        lines = self._own_lines[low] + self._new_lines[high] - self._new_lines[low + 1]
        nonzeros = self._own_nonzeros[low] + self._new_nonzeros[high] - self._new_nonzeros[low + 1]
        return lines, nonzeros


def lines_of(footprint: Footprint, stack: int = 1, kernel_rows: slice | None = None) -> Lines:
    """Return the lines, with their non-zeros, that operand B is gathered from, of GEMMs that are stacked.

    Args:
        kernel_rows: the rows of the kernel that read them; None: all.
    """
    first, last = footprint.first, footprint.last
    if kernel_rows is not None:
        image = np.arange(footprint.images)[:, None] * footprint.taps.image[0]
        reached = lines_reached(footprint.taps, kernel_rows.start, kernel_rows.stop)
        first, last = ((image + lines).ravel() for lines in reached)
    if stack > 1:  # one after another, like images
        own = np.arange(stack)[:, None] * footprint.lines
        first, last = (own + first).ravel(), (own + last).ravel()
    return Lines(footprint.grid_width, first, last, footprint.line_nonzeros)
