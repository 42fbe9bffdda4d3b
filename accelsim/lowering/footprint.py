"""Which lines of its tensor an operand is gathered from, for the memory model."""

from __future__ import annotations

from typing import Literal

import numpy as np

from accelsim.lowering.gemm import Footprint
from accelsim.lowering.inside import Taps

Lines = np.ndarray[tuple[int], np.dtype[np.int64]]


def footprint(line_nonzeros: Lines, images: int, channels: int, taps: Taps, along: Literal["n", "k"]) -> Footprint:
    """Find the source lines that each grid line reads."""
    (height, width), (grid_height, grid_width) = taps.image, taps.grid
    y = np.arange(grid_height) * taps.step[0]
    first = np.clip(y + taps.offset_y.min(), 0, height)
    last = np.clip(y + taps.offset_y.max() + 1, 0, height)
    image = np.arange(images)[:, None] * height
    return Footprint(
        images=images,
        lines=images * height,
        channels=channels,
        line_elements=width * channels,
        line_nonzeros=line_nonzeros,
        grid_lines=images * grid_height,
        grid_width=grid_width,
        first=(image + first).ravel(),
        last=(image + np.maximum(first, last)).ravel(),
        along=along,
    )
