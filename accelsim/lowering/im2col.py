"""im2col on packed bits, once with pixels fastest (the reduction of weight_grad), once with channels fastest.

A tap reads the image at a fixed distance from the grid position. So in a channel's row of pixels it is one shift of the
whole row, beside which only what falls outside the image must be cleared: 64 pixels an instruction, across all lines
and images. A stride first deals the image into phases; within one phase a tap is a shift again.
"""

from __future__ import annotations

import numpy as np

from accelsim.compile import kernel
from accelsim.lowering.bits import Words, copy_bits
from accelsim.lowering.channels import stride_phase
from accelsim.lowering.inside import Offsets, Taps, tap_rows


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
            phases[phase] = rows if taps.step == (1, 1) else stride_phase(rows, images, taps.image, taps.step, phase)
        start = (y // taps.step[0], x // taps.step[1])
        tap_target = target[tap * count : (tap + 1) * count]
        if part == taps.grid:
            _shift_rows(tap_target, phases[phase], start[0] * part[1] + start[1], inside[tap])
        else:
            _cut_rows(tap_target, phases[phase], images, part, taps.grid, start)
    return target


def _share(extent: int, step: int, phase: int) -> int:
    """Positions below `extent` that are congruent to `phase` modulo `step`."""
    return len(range(phase, extent, step))


@kernel
def _shift_rows(target: Words, source: Words, distance: int, inside: Words) -> None:
    """Fetch each bit from `distance` bits further on, and clear those that are not `inside`."""
    words, left = distance >> 6, np.uint64(63 - (distance & 63))
    right = np.uint64(distance & 63)
    count = source.shape[1]
    low = min(max(-words, 0), count)  # words [low, high) lie between two words of the source
    high = max(low, min(count, count - 1 - words))
    for row in range(target.shape[0]):
        to, of = target[row], source[row]
        for word in range(low):
            to[word] = (of[0] << np.uint64(1)) << left if word == -words - 1 else np.uint64(0)
            to[word] &= inside[word]
        _shift_words(to[low:high], of[low + words :], of[low + words + 1 :], right, left, inside[low:high])
        for word in range(high, count):
            to[word] = of[count - 1] >> right if word == count - 1 - words else np.uint64(0)
            to[word] &= inside[word]


@kernel
def _shift_words(to: Words, of: Words, following: Words, right: np.uint64, left: np.uint64, inside: Words) -> None:
    for word in range(to.size):
        to[word] = ((of[word] >> right) | ((following[word] << np.uint64(1)) << left)) & inside[word]


@kernel
def _cut_rows(
    target: Words,
    source: Words,
    images: int,
    image: tuple[int, int],
    grid: tuple[int, int],
    start: tuple[int, int],
) -> None:
    """Cut each image to the grid that starts at `start`, a line at a time; outside the image lie zeros."""
    low, high = max(0, -start[1]), min(grid[1], image[1] - start[1])
    target[:] = 0
    for row in range(target.shape[0]):
        for n in range(images):
            for y in range(grid[0]):
                h = y + start[0]
                if 0 <= h < image[0] and high > low:
                    to = (n * grid[0] + y) * grid[1] + low
                    copy_bits(target[row], to, source[row], (n * image[0] + h) * image[1] + start[1] + low, high - low)


def gather_words(pixels: Words, images: int, first: int, count: int, taps: Taps) -> Words:
    """im2col with channels fastest: row (n, y, x) holds, for each tap (r, s), words of one source pixel.

    Args:
        pixels: words [N * H * W, words], row bits are channels.
        first, count: the words to take of each pixel.

    Returns:
        Words [N * Y * X, taps * count].
    """
    return _gather_words(pixels, images, taps.image, (first, count), taps.grid, taps.step, taps.offset_y, taps.offset_x)


@kernel
def _gather_words(
    pixels: Words,
    images: int,
    image: tuple[int, int],
    words: tuple[int, int],
    grid: tuple[int, int],
    step: tuple[int, int],
    offset_y: Offsets,
    offset_x: Offsets,
) -> Words:
    (height, width), (first, count) = image, words
    taps_y, taps_x = offset_y.size, offset_x.size
    target = np.empty((images * grid[0] * grid[1], taps_y * taps_x * count), np.uint64)
    for line in range(images * grid[0]):
        n, y = line // grid[0], line % grid[0]
        rows = target[line * grid[1] : (line + 1) * grid[1]]
        for r in range(taps_y):
            h = y * step[0] + offset_y[r]
            source = pixels[(n * height + h) * width : (n * height + h + 1) * width, first : first + count]
            for s in range(taps_x):
                taken = rows[:, (r * taps_x + s) * count : (r * taps_x + s + 1) * count]
                low = min(max(0, -(offset_x[s] // step[1])), grid[1])  # -floor: the first x inside the image
                high = max(low, min(grid[1], (width - offset_x[s] + step[1] - 1) // step[1]))
                if h < 0 or h >= height:
                    low = high = grid[1]
                taken[:low] = 0
                taken[high:] = 0
                _copy_lines(taken[low:high], source[low * step[1] + offset_x[s] :: step[1]])
    return target


@kernel
def _copy_lines(target: Words, source: Words) -> None:
    for x in range(target.shape[0]):
        for word in range(target.shape[1]):
            target[x, word] = source[x, word]
