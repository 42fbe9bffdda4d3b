"""Bit matrices from booleans and back, by NumPy alone."""

from __future__ import annotations

import numpy as np


def pack(bits: np.ndarray) -> np.ndarray:
    """Booleans [rows, bits] to words [rows, words]."""
    rows, count = bits.shape
    padded = np.zeros((rows, -(-count // 64) * 64), bool)
    padded[:, :count] = bits
    return np.packbits(padded, axis=1, bitorder="little").view(np.uint64)


def unpack(words: np.ndarray, bits: int) -> np.ndarray:
    """Words [rows, words] to booleans [rows, bits]; spare bits must be zero."""
    flat = np.unpackbits(np.ascontiguousarray(words).view(np.uint8), axis=1, bitorder="little").astype(bool)
    assert not flat[:, bits:].any()
    return flat[:, :bits]


def image_rows(mask: np.ndarray) -> np.ndarray:
    """Booleans [N, C, H, W] to a row a channel, [C, N * H * W]."""
    return mask.transpose(1, 0, 2, 3).reshape(mask.shape[1], -1)
