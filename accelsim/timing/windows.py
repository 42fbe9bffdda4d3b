"""Cutting rows of K bits into the windows that a PE's scanner or its lanes see."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from accelsim.compile import kernel
from accelsim.lowering.bits import WORD, Words, read_bits

Windows = NDArray[np.unsignedinteger]
PLANE = 8  # bits of a window's plane


def count_windows(k: int, width: int) -> int:
    """Windows of `width` positions that K positions make."""
    return -(-k // width)


def words_a_window(width: int) -> int:
    """Words that hold one window."""
    return -(-width // WORD)


def cut_windows(rows: Words, k: int, width: int) -> Windows:
    """Cut each row into windows.

    Args:
        rows: words [rows, words], K bits each.
        width: positions in a window; the last window may hold fewer.

    Returns:
        [rows, windows x words a window] of the narrowest unsigned type that holds a window (uint64 words if wider).
    """
    dtype = next((t for t in (np.uint8, np.uint16, np.uint32) if width <= np.iinfo(t).bits), np.uint64)
    windows, parts = count_windows(k, width), words_a_window(width)
    target = np.zeros((rows.shape[0], windows * parts), dtype)
    if width == np.iinfo(dtype).bits:  # windows are the words' own parts (little-endian)
        target[:] = rows.view(dtype)[:, :windows]
    else:
        padded = np.append(rows.ravel(), np.uint64(0))
        _cut(padded, rows.shape[1] * WORD, k, width, target)
    return target


def window_sizes(k: int, width: int) -> list[int]:
    """K positions of each window; the last may hold fewer."""
    return [width] * (k // width) + [k % width] * (k % width > 0)


def cut_planes(rows: Words, k: int, width: int) -> Words:
    """Cut each row into windows that start at a byte, for kernels that look at many rows' planes side by side.

    Args:
        rows: words [rows, words], K bits each; spare bits are zero.
        width: positions in a window.

    Returns:
        Words [rows, words]: window i's positions are the first `width` bits from byte i · ceil(width / 8) on.
    """
    planes = -(-width // PLANE)
    words = -(-count_windows(k, width) * planes // 8)
    if width % PLANE == 0:
        return rows if words <= rows.shape[1] else np.pad(rows, ((0, 0), (0, words - rows.shape[1])))
    target = np.zeros((rows.shape[0], words * 8), np.uint8)
    _cut_planes(np.append(rows.ravel(), np.uint64(0)), rows.shape[1] * WORD, k, width, target)
    return target.view(np.uint64)


def full_planes(k: int, width: int) -> Words:
    """One row whose every position counts as non-zero, cut."""
    words = np.full((1, -(-k // WORD)), ~np.uint64(0))
    if k % WORD:
        words[0, -1] = (1 << k % WORD) - 1
    return cut_planes(words, k, width)


@kernel
def _cut(source: Words, row_bits: int, k: int, width: int, target: Windows) -> None:
    parts = (width + 63) >> 6
    for row in range(target.shape[0]):
        for window in range(target.shape[1] // parts):
            for part in range(parts):
                start = window * width + part * 64
                count = min(64, width - part * 64, k - start)
                if count > 0:
                    target[row, window * parts + part] = read_bits(source, row * row_bits + start, count)


@kernel
def _cut_planes(source: Words, row_bits: int, k: int, width: int, target: np.ndarray) -> None:  # type: ignore[type-arg]
    planes = (width + 7) // 8
    for row in range(target.shape[0]):
        for window in range((k + width - 1) // width):
            for plane in range(planes):
                start = window * width + plane * 8
                count = min(8, width - plane * 8, k - start)
                if count > 0:
                    target[row, window * planes + plane] = read_bits(source, row * row_bits + start, count)
