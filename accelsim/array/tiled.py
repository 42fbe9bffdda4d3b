"""A GEMM as an array takes it: its rows in order, the columns that each row tile schedules, and the tiles they make."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from accelsim import kernel
from accelsim.array.row_order import in_order, want_columns
from accelsim.hardware.model import Hardware
from accelsim.lowering.bits import WORD, Words, take_columns
from accelsim.lowering.gemm import MaskedGemm

Integers = NDArray[np.int64]


@dataclass(frozen=True)
class TiledGemm:
    """A GEMM cut into tiles of R rows by C scheduled columns; row tiles are outermost.

    Of GEMMs that are stacked (`MaskedGemm.stack`) each has row tiles of its own; columns are counted within one.

    Attributes:
        gemm: with the rows of A in the order of `mapping.row_order`.
        rows, cols: R and C of the array.
        needed: words [stack · M, ceil(N / 64)], outputs that must be computed; None if all are.
        columns: int64, the scheduled columns of all row tiles, one list after another (one list if they all agree).
        starts, stops: int64 [row tiles], each row tile's part of `columns`.
        segments: that the array's columns are cut into; R and C are those of the tiles that this makes.
        arrays: that its tiles are dealt to in turn.
        drained_before: `drains_before`, where these are some tiles of a GEMM; None: they are all.
    """

    gemm: MaskedGemm
    rows: int
    cols: int
    needed: Words | None
    columns: Integers
    starts: Integers
    stops: Integers
    arrays: int = 1
    drained_before: Integers | None = None
    segments: int = 1

    @classmethod
    def of(cls, hw: Hardware, gemm: MaskedGemm) -> TiledGemm:
        """Tile a GEMM for a machine, in the shape that suits it best.

        See `shaped`.
        """
        if hw.array.segments == 1:
            return cls.shaped(hw, gemm)
        from accelsim.array.segments import fastest_shape  # asks the PEs, which know tiles

        return fastest_shape(hw, gemm)

    @classmethod
    def shaped(cls, hw: Hardware, gemm: MaskedGemm, segments: int = 1) -> TiledGemm:
        """Tile a GEMM for a machine whose columns are cut into that many segments.

        Every column is scheduled, or with `skipping.outputs` those with an output that a row tile must compute. With
        `mapping.row_order: density` rows of A are sorted from most to fewest non-zeros; ties keep their order. With
        `packed` they are grouped by the outputs that they want (`pack_rows`), if that makes fewer tiles.
        """
        rows, cols, arrays = hw.array.rows // segments, hw.array.cols * segments, hw.array.count
        gemm = in_order(hw, gemm, rows, cols)
        if gemm.needed is None or not hw.skipping.outputs:
            return cls.whole(gemm, rows, cols, arrays, segments)
        wanted, counts = want_columns(gemm.needed, gemm.stack, gemm.m, rows)
        stops = np.cumsum(counts)
        columns = np.empty(int(counts.sum()), np.int64)
        kernel.compiled.list_columns(wanted, counts.size, wanted.shape[1], columns)
        starts = np.append(np.int64(0), stops[:-1])
        return cls(gemm, rows, cols, gemm.needed, columns, starts, stops, arrays, segments=segments)

    @classmethod
    def whole(cls, gemm: MaskedGemm, rows: int, cols: int, arrays: int = 1, segments: int = 1) -> TiledGemm:
        """Tile a GEMM all of whose outputs are computed, its rows as they are."""
        row_tiles = gemm.stack * -(-gemm.m // rows)
        starts, stops = np.zeros(row_tiles, np.int64), np.full(row_tiles, gemm.n)
        return cls(gemm, rows, cols, None, np.arange(gemm.n), starts, stops, arrays, segments=segments)

    @cached_property
    def tiles_per_row(self) -> Integers:
        """Column tiles of each row tile: int64 [row tiles]."""
        return np.asarray(-(-(self.stops - self.starts) // self.cols))

    @cached_property
    def tiles(self) -> int:
        """All tiles of the GEMM."""
        return int(self.tiles_per_row.sum())

    @cached_property
    def first_tiles(self) -> Integers:
        """Each row tile's first tile: int64 [row tiles]."""
        return np.asarray(np.cumsum(self.tiles_per_row) - self.tiles_per_row)

    @cached_property
    def row_tiles(self) -> Integers:
        """The row tile that each tile is in: int64 [tiles]."""
        return np.repeat(np.arange(self.tiles_per_row.size), self.tiles_per_row)

    @property
    def gemm_row_tiles(self) -> int:
        """Row tiles of each GEMM that is stacked: all of them, if it is one."""
        return -(-self.gemm.m // self.rows)

    @cached_property
    def heights(self) -> Integers:
        """Rows that each tile uses: int64 [tiles]."""
        return np.asarray(np.minimum(self.rows, self.gemm.m - self.row_tiles % self.gemm_row_tiles * self.rows))

    @cached_property
    def drains(self) -> Integers:
        """Rows of PEs that each tile's results leave from: int64 [tiles]; each segment's are below those before it."""
        if self.segments == 1:
            return self.heights
        used = -(-self.widths // (self.cols // self.segments))
        return np.asarray((used - 1) * self.rows + self.heights)

    @cached_property
    def drains_before(self) -> Integers:
        """`drains` of the tile before each on the same array: int64 [tiles].

        GEMMs of a pass follow each other, and mostly are alike: before each array's first tile of a GEMM come the last
        ones of a GEMM like it.
        """
        if self.drained_before is not None:
            return self.drained_before
        if self.gemm.stack == 1:
            return np.roll(self.drains, self.arrays)
        tiles_of_gemm = self.tiles_per_row.reshape(self.gemm.stack, -1).sum(axis=1)
        first = np.repeat(np.cumsum(tiles_of_gemm) - tiles_of_gemm, tiles_of_gemm)
        place = np.arange(self.tiles) - first - self.arrays
        return np.asarray(self.drains[first + place % np.repeat(tiles_of_gemm, tiles_of_gemm)])

    @cached_property
    def widths(self) -> Integers:
        """Columns that each tile uses: int64 [tiles]."""
        return np.asarray(np.minimum(self.cols, (self.stops - self.starts)[self.row_tiles] - self._first_columns))

    @cached_property
    def outputs(self) -> Integers:
        """Outputs that each tile computes: int64 [tiles]."""
        if self.needed is None:
            return self.heights * self.widths
        outputs = np.empty(self.tiles, np.int64)
        kernel.compiled.count_outputs(
            self.needed,
            self.gemm.stack,
            self.gemm.m,
            self.needed.shape[1] * WORD,
            self.columns,
            self.starts,
            self.stops,
            self.rows,
            self.cols,
            outputs,
        )
        return outputs

    @property
    def effectual_macs(self) -> int:
        """Pairs of two non-zeros at the outputs that are computed."""
        return self.gemm.effectual_macs if self.needed is None else self.gemm.effectual_where_needed

    def strip(self, row_tile: int, first: int, tiles: int) -> TiledGemm:
        """Return some tiles of a row tile, side by side, as a GEMM of their own.

        Args:
            first: the first one's place in the row tile.
        """
        gemm = self.gemm
        low = int(self.starts[row_tile]) + first * self.cols
        columns = self.columns[low : min(low + tiles * self.cols, int(self.stops[row_tile]))]
        own = slice(row_tile * self.rows, min((row_tile + 1) * self.rows, gemm.m))
        needed = None if self.needed is None else take_columns(self.needed[own], columns)
        b = gemm.b[columns if gemm.b_of is None else gemm.b_of[columns]]
        height, width = own.stop - own.start, columns.size
        part = replace(gemm, m=height, n=width, a=gemm.a[own], b=b, b_of=None, needed=needed)
        starts, stops = np.zeros(1, np.int64), np.full(1, width)
        place = int(self.first_tiles[row_tile]) + first
        before = self.drains_before[place : place + -(-width // self.cols)]
        columns, segments = np.arange(width), self.segments
        return TiledGemm(
            part, self.rows, self.cols, needed, columns, starts, stops, drained_before=before, segments=segments
        )

    @cached_property
    def _first_columns(self) -> Integers:
        """Each tile's first column, counted among those that its row tile schedules: int64 [tiles]."""
        return np.asarray((np.arange(self.tiles) - self.first_tiles[self.row_tiles]) * self.cols)
