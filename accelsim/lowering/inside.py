"""Which taps of a kernel fall inside the image, by position: all that an im2col of a dense tensor depends on."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from accelsim import kernel
from accelsim.lowering.bits import Words, fill_runs, words_for

Offsets = NDArray[np.int64]


@dataclass(frozen=True)
class Taps:
    """Where a kernel's taps read an image, for each position of a grid that slides over it.

    Attributes:
        image: height and width of the image.
        grid: Y and X, the grid positions in each image.
        step: source rows and columns from one grid position to the next.
        offset_y, offset_x: each tap's source position at grid position 0; outside the image lie zeros.
    """

    image: tuple[int, int]
    grid: tuple[int, int]
    step: tuple[int, int]
    offset_y: Offsets
    offset_x: Offsets

    @property
    def count(self) -> int:
        """Taps: rows r x columns s of the kernel."""
        return self.offset_y.size * self.offset_x.size

    @property
    def in_place(self) -> bool:
        """Whether each grid position reads its own pixel and no other: a 1 x 1 kernel at stride 1."""
        return (
            self.count == 1
            and self.image == self.grid
            and self.step == (1, 1)
            and self.offset_y[0] == self.offset_x[0] == 0
        )

    def inside(self, axis: int) -> NDArray[np.bool_]:
        """Whether a tap falls inside the image along one axis: [grid positions, taps]."""
        offsets = (self.offset_y, self.offset_x)[axis]
        at = np.arange(self.grid[axis])[:, None] * self.step[axis] + offsets
        return np.asarray((at >= 0) & (at < self.image[axis]))


def tap_rows(taps: Taps, images: int) -> Words:
    """Return, for each tap (r, s), where it falls inside: words [taps, words], row bits ordered n, y, x."""
    inside_y, inside_x = taps.inside(0), taps.inside(1)
    rows = np.empty((taps.count, words_for(images * taps.grid[0] * taps.grid[1])), np.uint64)
    kernel.compiled.tap_rows(inside_y, inside_x, images, *taps.grid, taps.offset_y.size, taps.offset_x.size, rows)
    return rows


def dense_columns(taps: Taps, images: int, channels: int) -> tuple[Words, NDArray[np.int32]]:
    """im2col of a dense tensor, channels fastest: the few columns that differ, and which of them each position has.

    Returns:
        Words [kinds, words], bits ordered r, s, channel; and int32 [N * Y * X], the kind of each position (n, y, x).
    """
    kinds_y, of_y = np.unique(taps.inside(0), axis=0, return_inverse=True)
    kinds_x, of_x = np.unique(taps.inside(1), axis=0, return_inverse=True)
    both = kinds_y[:, None, :, None] & kinds_x[None, :, None, :]
    image = of_y.ravel()[:, None] * len(kinds_x) + of_x.ravel()
    kinds = np.ascontiguousarray(both.reshape(len(kinds_y) * len(kinds_x), taps.count))
    return fill_runs(kinds, channels), np.tile(image.ravel().astype(np.int32), images)
