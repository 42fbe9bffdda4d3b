"""One tile taken apart, unpacked: a few kilobytes that a person asks about."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from accelsim.array.tiled import Integers, TiledGemm
from accelsim.hardware.skipping import Skipping
from accelsim.lowering.bits import Words
from accelsim.lowering.gemm import TensorKind

Mask = NDArray[np.bool_]


@dataclass(frozen=True)
class Tile:
    """What a tile works on.

    Attributes:
        a_kind, b_kind: which tensors the operands are.
        a, b: non-zeros of its rows [rows, K] and columns [columns, K].
        wanted: outputs that are computed, [rows, columns].
        row_tile, first_row: which row tile, and its first row of A (in the order of `mapping.row_order`).
        columns: int64 [columns], the scheduled columns of B that it takes.
    """

    a_kind: TensorKind
    b_kind: TensorKind
    a: Mask
    b: Mask
    wanted: Mask
    row_tile: int
    first_row: int
    columns: Integers

    @property
    def most_effectual(self) -> int:
        """Pairs of two non-zeros of the PE that has the most of them."""
        pairs = self.a.astype(np.float64) @ self.b.T.astype(np.float64)  # exact up to 2^53
        return int((pairs * self.wanted).max())


def cut_tile(tiled: TiledGemm, index: int) -> Tile:
    """Take one tile out of a GEMM."""
    gemm, row_tile = tiled.gemm, int(tiled.row_tiles[index])
    low = int(tiled.starts[row_tile]) + (index - int(tiled.first_tiles[row_tile])) * tiled.cols
    columns = tiled.columns[low : low + int(tiled.widths[index])]
    rows = slice(row_tile * tiled.rows, row_tile * tiled.rows + int(tiled.heights[index]))
    wanted = np.ones((rows.stop - rows.start, columns.size), bool)
    if tiled.needed is not None:
        wanted = _unpacked(tiled.needed[rows], gemm.n)[:, columns]
    a, b = _unpacked(gemm.a[rows], gemm.k), _unpacked(gemm.columns[columns], gemm.k)
    return Tile(gemm.a_kind, gemm.b_kind, a, b, wanted, row_tile, rows.start, columns)


def streamed_windows(skipping: Skipping, tile: Tile, width: int) -> Integers:
    """Return the indices of the windows of `width` positions that the tile streams."""
    starts = np.arange(0, tile.a.shape[1], width)
    kept = np.ones(starts.size, bool)
    for kind, operand in ((tile.a_kind, tile.a), (tile.b_kind, tile.b)):
        if kind in skipping.blocks:
            kept &= np.logical_or.reduceat(operand.any(axis=0), starts)
    return np.flatnonzero(kept)


def _unpacked(words: Words, count: int) -> Mask:
    """Rows of words as booleans, [rows, count]."""
    bits = np.unpackbits(np.ascontiguousarray(words).view(np.uint8), axis=1, count=count, bitorder="little")
    return bits.view(bool)
