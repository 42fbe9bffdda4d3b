"""im2col on packed bits, once with pixels fastest (the reduction of weight_grad), once with channels fastest.

A tap reads the image at a fixed distance from the grid position. So in a channel's row of pixels it is one shift of the
whole row, beside which only what falls outside the image must be cleared: 64 pixels per instruction, across all lines
and images. A stride first deals the image into phases; within one phase a tap is a shift again.
"""

from __future__ import annotations

import numpy as np

from accelsim import kernel
from accelsim.lowering.bits import Words
from accelsim.lowering.channels import stride_phase
from accelsim.lowering.inside import Taps, tap_rows


def pixel_rows(rows: Words, images: int, taps: Taps) -> Words:
    """im2col with pixels fastest: row (r, s, channel) holds one bit for each grid position (n, y, x) of a tap.

    Args:
        rows: words [channels, words], row bits ordered n, h, w.

    Returns:
        Words [taps * channels, words], row bits ordered n, y, x.
    """
    if taps.in_place:
        return rows
    inside = tap_rows(taps, images)
    count = rows.shape[0]
    target = np.empty((taps.count * count, inside.shape[1]), np.uint64)
    phases: dict[tuple[int, int], Words] = {}
    for tap in range(taps.count):
        y, x = int(taps.offset_y[tap // taps.offset_x.size]), int(taps.offset_x[tap % taps.offset_x.size])
        phase = (y % taps.step[0], x % taps.step[1])
        part = (_share(taps.image[0], taps.step[0], phase[0]), _share(taps.image[1], taps.step[1], phase[1]))
        if phase not in phases:
            of_phase = rows if taps.step == (1, 1) else stride_phase(rows, images, taps.image, taps.step, phase)
            phases[phase] = np.ascontiguousarray(of_phase)
        start = (y // taps.step[0], x // taps.step[1])
        tap_target, source = target[tap * count : (tap + 1) * count], phases[phase]
        if part == taps.grid:
            distance = start[0] * part[1] + start[1]
            kernel.compiled.shift_rows(source, count, source.shape[1], distance, inside[tap], tap_target)
        else:
            kernel.compiled.cut_rows(source, count, images, *part, *taps.grid, *start, tap_target)
    return target


def _share(extent: int, step: int, phase: int) -> int:
    """Positions below `extent` that are congruent to `phase` modulo `step`."""
    return len(range(phase, extent, step))


def gather_words(pixels: Words, images: int, first: int, count: int, taps: Taps) -> Words:
    """im2col with channels fastest: row (n, y, x) holds, for each tap (r, s), words of one source pixel.

    Args:
        pixels: words [N * H * W, words], row bits are channels.
        first, count: the words to take of each pixel.

    Returns:
        Words [N * Y * X, taps * count].
    """
    target = np.empty((images * taps.grid[0] * taps.grid[1], taps.count * count), np.uint64)
    kernel.compiled.gather_words(
        np.ascontiguousarray(pixels),
        pixels.shape[1],
        images,
        *taps.image,
        first,
        count,
        *taps.grid,
        *taps.step,
        taps.offset_y,
        taps.offset_x,
        target,
    )
    return target
