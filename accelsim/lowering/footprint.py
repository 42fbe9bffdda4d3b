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
    first, last = lines_reached(taps, 0, taps.offset_y.size)
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
        last=(image + last).ravel(),
        along=along,
        taps=taps,
    )


def lines_reached(taps: Taps, low: int, high: int) -> tuple[Lines, Lines]:
    """Return the lines [first, last) of an image that some rows of the kernel read, for each grid line of an image."""
    y, offsets, height = np.arange(taps.grid[0]) * taps.step[0], taps.offset_y[low:high], taps.image[0]
    first = np.clip(y + offsets.min(), 0, height)
    return first, np.maximum(first, np.clip(y + offsets.max() + 1, 0, height))


def pixels_reached(taps: Taps, low: Lines, high: Lines) -> Lines:
    """Count the pixels of a source line that grid positions [low, high) of a grid line read, those between included."""
    width, step = taps.image[1], taps.step[1]
    first = np.clip(low * step + taps.offset_x.min(), 0, width)
    last = np.clip((high - 1) * step + taps.offset_x.max() + 1, 0, width)
    return np.asarray(np.maximum(last - first, 0))
