"""A tensor as a bit matrix with one row per channel, bits ordered image, line, pixel; and what a stride takes of it."""

from __future__ import annotations

import numpy as np

from accelsim import kernel
from accelsim.lowering.bits import Words, words_for


def channel_rows(source: Words, images: int, channels: int, pixels: int) -> Words:
    """Gather each channel's pixels: bits laid out [N, C, pixels] to words [C, words], row bits ordered n, pixel."""
    rows = np.empty((channels, words_for(images * pixels)), np.uint64)
    kernel.compiled.channel_rows(source, images, channels, pixels, rows)
    return rows


def stride_phase(
    rows: Words, images: int, image: tuple[int, int], step: tuple[int, int], phase: tuple[int, int]
) -> Words:
    """Keep the image rows congruent to phase[0] modulo step[0], and of them the columns congruent to phase[1].

    Args:
        rows: words [channels, words], row bits ordered n, h, w, with h, w in `image`.

    Returns:
        Words [channels, words], row bits ordered n, y, x.
    """
    rows = np.ascontiguousarray(rows)
    height, width = image
    across, offset = step[1], phase[1]
    while across % 2 == 0 and width % 2 == 0:  # then a column is odd where its bit in the row is
        count, words = rows.shape
        halved = np.empty((count, (words + 1) // 2), np.uint64)
        kernel.compiled.every_other_column(rows, count, words, bool(offset % 2), halved)
        rows, width, across, offset = halved, width // 2, across // 2, offset // 2
    if (step[0], across) == (1, 1):
        return rows[:, : words_for(images * height * width)]
    part_height, part_width = len(range(phase[0], height, step[0])), len(range(offset, width, across))
    target = np.empty((len(rows), words_for(images * part_height * part_width)), np.uint64)
    rows = np.ascontiguousarray(rows[:, : words_for(images * height * width)])
    kernel.compiled.pick_phase(rows, len(rows), images, height, width, step[0], across, phase[0], offset, target)
    return target
