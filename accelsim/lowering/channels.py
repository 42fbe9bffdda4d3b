"""A tensor as a bit matrix with a row a channel, bits ordered image, line, pixel; and what a stride takes of it."""

from __future__ import annotations

import numpy as np

from accelsim.compile import kernel
from accelsim.lowering.bits import Words, pack_runs


@kernel
def channel_rows(source: Words, images: int, channels: int, pixels: int) -> Words:
    """Gather each channel's pixels: bits laid out [N, C, pixels] to words [C, words], row bits ordered n, pixel."""
    rows = np.zeros((channels, (images * pixels + 63) >> 6), np.uint64)
    words = pixels >> 6
    if pixels & 63 == 0:
        for image in range(images):
            for channel in range(channels):
                start = (image * channels + channel) * words
                rows[channel, image * words : (image + 1) * words] = source[start : start + words]
        return rows
    for channel in range(channels):
        pack_runs(rows[channel], 0, source, channel * pixels, channels * pixels, images, pixels)
    return rows


@kernel
def _every_other(value: np.uint64) -> np.uint64:
    """Close up the even bits of a word (Warren, Hacker's Delight, 7-4, for a mask that is known)."""
    value &= np.uint64(0x5555555555555555)
    value = (value | (value >> np.uint64(1))) & np.uint64(0x3333333333333333)
    value = (value | (value >> np.uint64(2))) & np.uint64(0x0F0F0F0F0F0F0F0F)
    value = (value | (value >> np.uint64(4))) & np.uint64(0x00FF00FF00FF00FF)
    value = (value | (value >> np.uint64(8))) & np.uint64(0x0000FFFF0000FFFF)
    return (value | (value >> np.uint64(16))) & np.uint64(0x00000000FFFFFFFF)


def stride_phase(
    rows: Words, images: int, image: tuple[int, int], step: tuple[int, int], phase: tuple[int, int]
) -> Words:
    """Keep the image rows congruent to phase[0] modulo step[0], and of them the columns congruent to phase[1].

    Args:
        rows: words [channels, words], row bits ordered n, h, w, with h, w in `image`.

    Returns:
        Words [channels, words], row bits ordered n, y, x.
    """
    height, width = image
    across, offset = step[1], phase[1]
    while across % 2 == 0 and width % 2 == 0:  # then a column is odd where its bit in the row is
        rows = _every_other_column(rows, np.uint64(offset % 2))
        width, across, offset = width // 2, across // 2, offset // 2
    return _pick(rows, images, (height, width), (step[0], across), (phase[0], offset))


@kernel
def _every_other_column(rows: Words, odd: np.uint64) -> Words:
    count, words = rows.shape
    target = np.empty((count, (words + 1) >> 1), np.uint64)
    for row in range(count):
        _every_other_word(target[row, : words >> 1], rows[row], odd)
        if words & 1:
            target[row, words >> 1] = _every_other(rows[row, words - 1] >> odd)
    return target


@kernel
def _every_other_word(target: Words, source: Words, odd: np.uint64) -> None:
    for word in range(target.size):
        low, high = _every_other(source[2 * word] >> odd), _every_other(source[2 * word + 1] >> odd)
        target[word] = low | (high << np.uint64(32))


@kernel
def _pick(rows: Words, images: int, image: tuple[int, int], step: tuple[int, int], phase: tuple[int, int]) -> Words:
    """As `stride_phase`: whole lines as runs of bits, shares of lines bit by bit."""
    height, width = image
    part_height = (height - phase[0] + step[0] - 1) // step[0]
    part_width = (width - phase[1] + step[1] - 1) // step[1]
    target = np.zeros((rows.shape[0], (images * part_height * part_width + 63) >> 6), np.uint64)
    for channel in range(rows.shape[0]):
        to, of = target[channel], rows[channel]
        for n in range(images):
            at, start = n * part_height * part_width, (n * height + phase[0]) * width + phase[1]
            if step[1] == 1:
                pack_runs(to, at, of, start, step[0] * width, part_height, width)
                continue
            for y in range(part_height):
                pack_runs(to, at + y * part_width, of, start + y * step[0] * width, step[1], part_width, 1)
    return target
