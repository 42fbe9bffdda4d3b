"""Cutting rows of K bits into the windows that a PE's scanner or its lanes see."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from accelsim.compile import kernel
from accelsim.lowering.bits import WORD, Words, read_bits

Windows = NDArray[np.unsignedinteger]


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


def full_windows(k: int, width: int) -> Windows:
    """One row whose every position counts as non-zero."""
    words = np.full((1, -(-k // WORD)), ~np.uint64(0))
    if k % WORD:
        words[0, -1] = (1 << k % WORD) - 1
    return cut_windows(words, k, width)


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
