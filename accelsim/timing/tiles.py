"""Which columns each row tile schedules."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from accelsim import kernel
from accelsim.hardware.model import Hardware
from accelsim.lowering.bits import Words
from accelsim.lowering.gemm import MaskedGemm

_LOOKED_AT = 256  # rows that tell whether most rows differ


@dataclass(frozen=True)
class Schedule:
    """Columns of each row tile, in order; a tile takes C consecutive ones.

    Attributes:
        columns: int64, the scheduled columns of all row tiles, one list after another (one list if they all agree).
        starts, stops: int64 [row tiles], each row tile's part of `columns`.
        shared: whether all row tiles schedule the same columns.
        tiles_per_row: int64 [row tiles].
    """

    columns: NDArray[np.int64]
    starts: NDArray[np.int64]
    stops: NDArray[np.int64]
    shared: bool
    tiles_per_row: NDArray[np.int64]

    def extents(self, hw: Hardware, gemm: MaskedGemm) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Rows and columns that each tile uses, row tiles outermost."""
        row_tile = np.repeat(np.arange(len(self.tiles_per_row)), self.tiles_per_row)
        first_of_row = np.repeat(np.cumsum(self.tiles_per_row) - self.tiles_per_row, self.tiles_per_row)
        column_tile = np.arange(self.tiles) - first_of_row
        heights = np.minimum(hw.array.rows, gemm.m - row_tile * hw.array.rows)
        widths = np.minimum(hw.array.cols, (self.stops - self.starts)[row_tile] - column_tile * hw.array.cols)
        return heights, widths

    def last_columns(self, cols: int) -> NDArray[np.int64]:
        """Last column that each tile of `cols` columns uses, row tiles outermost."""
        if self.shared:
            ends = np.append(np.arange(cols, self.columns.size, cols), self.columns.size) - 1
            return np.tile(self.columns[ends], len(self.starts))
        first_of_row = np.cumsum(self.tiles_per_row) - self.tiles_per_row
        column_tile = np.arange(self.tiles) - np.repeat(first_of_row, self.tiles_per_row)
        ends = np.repeat(self.starts, self.tiles_per_row) + (column_tile + 1) * cols
        last: NDArray[np.int64] = self.columns[np.minimum(ends, np.repeat(self.stops, self.tiles_per_row)) - 1]
        return last

    @property
    def tiles(self) -> int:
        """All tiles of the GEMM."""
        return int(self.tiles_per_row.sum())


def schedule(hw: Hardware, gemm: MaskedGemm) -> Schedule:
    """Schedule every column, or with `skipping.outputs` those with an output that a row tile must compute."""
    rows, cols = hw.array.rows, hw.array.cols
    row_tiles = -(-gemm.m // rows)
    shared = gemm.needed is None or not hw.skipping.outputs
    if gemm.needed is None or shared:
        columns = np.arange(gemm.n)
        starts, stops = np.zeros(row_tiles, np.int64), np.full(row_tiles, gemm.n)
    else:
        words = gemm.needed.shape[1]
        wanted, counts = np.empty((row_tiles, words), np.uint64), np.empty(row_tiles, np.int64)
        kernel.compiled.want_columns(gemm.needed, gemm.m, words, rows, wanted, counts)
        stops = np.cumsum(counts)
        columns = np.empty(int(stops[-1]) if row_tiles else 0, np.int64)
        kernel.compiled.list_columns(wanted, row_tiles, words, columns)
        starts = np.append(np.int64(0), stops[:-1])
    return Schedule(columns, starts, stops, shared, -(-(stops - starts) // cols))


def distinct_tiles(
    rows: Words, size: int, of: NDArray[np.int32] | None = None
) -> tuple[NDArray[np.int64] | None, NDArray[np.int64]]:
    """Find the tiles of `size` consecutive rows that differ.

    Args:
        rows: words [rows, words].
        size: rows of a tile.
        of: where given, the row meant at each place.

    Returns:
        The places of one tile of each kind, one tile after another (one that is not full comes last; None if all tiles
        count as different), and each tile's kind, int64 [tiles].
    """
    count = len(rows) if of is None else len(of)
    kinds = _kinds(rows)
    if kinds is None and of is None:
        return None, np.arange(-(-count // size))
    kinds = np.arange(len(rows)) if kinds is None else kinds
    padded = np.full(-(-count // size) * size, -1, np.int64)
    padded[:count] = kinds if of is None else kinds[of]
    tiles = padded.reshape(-1, size)
    _, first, kind = np.unique(tiles, axis=0, return_index=True, return_inverse=True)
    order = np.argsort(first)  # by first appearance: a tile that is not full is the last
    rank = np.empty_like(order)
    rank[order] = np.arange(len(order))
    chosen = (first[order][:, None] * size + np.arange(size)).ravel()
    return chosen[chosen < count], rank[kind.ravel()]


def _kinds(rows: Words) -> NDArray[np.int64] | None:
    """Number the rows so that equal rows have equal numbers; None if most rows seem to differ.

    Looking for equal ones would then cost more than it saves.
    """
    if not rows.shape[1]:
        return np.zeros(len(rows), np.int64)
    if len(rows) > _LOOKED_AT and len({row.tobytes() for row in rows[:_LOOKED_AT]}) > _LOOKED_AT // 2:
        return None
    if (rows == rows[:1]).all():
        return np.zeros(len(rows), np.int64)
    # A row as one item: with `axis=0`, long rows are slow.
    whole = np.dtype((np.void, rows.dtype.itemsize * rows.shape[1]))
    _, kinds = np.unique(np.ascontiguousarray(rows).view(whole).ravel(), return_inverse=True)
    return kinds
