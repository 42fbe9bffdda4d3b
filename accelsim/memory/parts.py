"""The blocks that a GEMM's operands and outputs are cut into: their sizes, and the work on them."""

from __future__ import annotations

from functools import cached_property
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from accelsim.compile import kernel, popcount
from accelsim.hardware.model import Hardware
from accelsim.lowering.bits import Words
from accelsim.lowering.gemm import MaskedGemm, TensorKind
from accelsim.memory.blocking import CHUNK, choose_blocking, lines_behind
from accelsim.timing.tiles import schedule

Integers = NDArray[np.int64]


class Blocks(NamedTuple):
    """Blocks of an operand; int64 [blocks of rows or columns, chunks of K].

    Attributes:
        size_bytes: bytes in DRAM.
        elements: words on chip.
    """

    size_bytes: Integers
    elements: Integers


class Parts:
    """A GEMM cut for a machine; blocks are counted from 0.

    Attributes:
        blocking: how it is cut.
        row_edges, column_edges: int64, where blocks of rows (columns) begin, and where the last one ends.
        starts, stops: int64 [chunks], K positions of each chunk.
    """

    def __init__(self, hw: Hardware, gemm: MaskedGemm) -> None:
        self.hw, self.gemm = hw, gemm
        self.blocking = choose_blocking(hw, gemm)
        self.row_edges = _edges(gemm.m, self.blocking.row_tiles * hw.array.rows)
        self.column_edges = _edges(gemm.n, self.blocking.columns)
        edges = _edges(gemm.k, self.blocking.chunk)
        self.starts, self.stops = edges[:-1], edges[1:]

    def operand_a(self) -> Blocks:
        """Blocks of A's rows and of K."""
        elements = np.diff(self.row_edges)[:, None] * (self.stops - self.starts)
        if self.gemm.a_kind not in self.hw.memory.compression:
            return Blocks(self._plain_bytes(elements), elements)
        nonzeros = np.zeros_like(elements)
        _count_blocks(self.gemm.a, self.row_edges, self.starts // CHUNK, -(-self.stops // CHUNK), nonzeros)
        return Blocks(self._bytes(self.gemm.a_kind, elements, nonzeros), elements)

    def operand_b(self) -> Blocks:
        """The source lines behind blocks of columns and of K, or just their elements if these are gathered."""
        footprint = self.gemm.footprint
        if self.blocking.gathered:
            elements = np.diff(self.column_edges)[:, None] * (self.stops - self.starts)
            nonzeros = np.zeros_like(elements)
            if self.gemm.b_kind in self.hw.memory.compression:
                k_edges = np.append(self.starts, self.stops[-1])
                _count_bits(self.gemm.columns, self.column_edges, k_edges, nonzeros)
            return Blocks(self._bytes(self.gemm.b_kind, elements, nonzeros), elements)
        if footprint.along == "n":  # shares as in `Problem.b_fraction`
            low, high = self.column_edges[:-1, None], self.column_edges[1:, None]
            share, whole = self.stops - self.starts, self.gemm.k
        else:
            low, high = self.starts, self.stops
            share, whole = np.minimum(np.diff(self.column_edges)[:, None], footprint.channels), footprint.channels
        lines, nonzeros = lines_behind(footprint).behind(low, high)
        elements = -(-lines * footprint.line_elements * share // whole)
        return Blocks(self._bytes(self.gemm.b_kind, elements, -(-nonzeros * share // whole)), elements)

    def outputs(self) -> tuple[Integers, Integers]:
        """Outputs computed in each block, and their bytes in DRAM: [row blocks, column blocks].

        Outputs are stored compressed only where a mask says which of them were computed.
        """
        elements = np.diff(self.row_edges)[:, None] * np.diff(self.column_edges)
        if self.gemm.needed is None or not self.hw.skipping.outputs:
            return elements, self._plain_bytes(elements)
        needed = np.zeros_like(elements)
        _count_bits(self.gemm.needed, self.row_edges, self.column_edges, needed)
        return needed, self._bytes(self.gemm.output_kind, elements, needed)

    @cached_property
    def _tiles(self) -> tuple[Integers, Integers]:
        """Tiles of each row tile, and the last column of each tile."""
        plan = schedule(self.hw, self.gemm)
        return plan.tiles_per_row, plan.last_columns(self.hw.array.cols)

    def cycles(self, tile_cycles: Integers, first_tile: int) -> Integers:
        """Each array's cycles on the tiles that end in each block: [row blocks, column blocks, arrays].

        Args:
            tile_cycles: cycles of each tile.
            first_tile: the GEMM's first tile's number in the pass; tiles are dealt to the arrays in turn.
        """
        worked = np.zeros((self.row_edges.size - 1, self.column_edges.size - 1, self.hw.array.count), np.int64)
        tiles_per_row, last_columns = self._tiles
        _deal_tiles(
            tile_cycles,
            tiles_per_row,
            last_columns,
            self.blocking.row_tiles,
            self.blocking.columns,
            first_tile,
            worked,
        )
        return worked

    def _bytes(self, kind: TensorKind, elements: Integers, nonzeros: Integers) -> Integers:
        """Bytes in DRAM: plain words, or a bit an element and the non-zero words."""
        if kind not in self.hw.memory.compression:
            return self._plain_bytes(elements)
        return -(-elements // 8) - (-nonzeros * self.hw.precision.operand_bits // 8)

    def _plain_bytes(self, elements: Integers) -> Integers:
        return -(-elements * self.hw.precision.operand_bits // 8)


def _edges(extent: int, size: int) -> Integers:
    """Where blocks of a size begin, and where the last one ends."""
    return np.append(np.arange(0, extent, size), extent)


@kernel
def _count_blocks(
    rows: Words, row_edges: Integers, first_words: Integers, last_words: Integers, counts: Integers
) -> None:
    """Count the set bits of blocks of rows and of words [first, last): into counts [row blocks, word blocks]."""
    for block in range(row_edges.size - 1):
        for row in range(row_edges[block], row_edges[block + 1]):
            for chunk in range(first_words.size):
                count = np.uint64(0)
                for word in range(first_words[chunk], last_words[chunk]):
                    count += popcount(rows[row, word])
                counts[block, chunk] += np.int64(count)


@kernel
def _count_bits(rows: Words, row_edges: Integers, column_edges: Integers, counts: Integers) -> None:
    """Count the set bits of blocks of rows and of bits in them: into counts [row blocks, column blocks]."""
    every = ~np.uint64(0)
    for block in range(row_edges.size - 1):
        for row in range(row_edges[block], row_edges[block + 1]):
            for column_block in range(column_edges.size - 1):
                low, high = column_edges[column_block], column_edges[column_block + 1]
                first, last = low >> 6, (high - 1) >> 6
                count = np.uint64(0)
                for word in range(first, last + 1):
                    value = rows[row, word]
                    if word == first:
                        value &= every << np.uint64(low & 63)
                    if word == last:
                        value &= every >> np.uint64(63 - ((high - 1) & 63))
                    count += popcount(value)
                counts[block, column_block] += np.int64(count)


@kernel
def _deal_tiles(
    tile_cycles: Integers,
    tiles_per_row: Integers,
    last_columns: Integers,
    row_tiles: int,
    columns: int,
    first_tile: int,
    worked: Integers,
) -> None:
    """Add each tile's cycles to its array's work on the block of its last column."""
    arrays = worked.shape[2]
    tile, array = 0, first_tile % arrays
    for row_tile in range(tiles_per_row.size):
        block, column_block, end = row_tile // row_tiles, 0, columns
        for _ in range(tiles_per_row[row_tile]):
            while last_columns[tile] >= end:
                column_block += 1
                end += columns
            worked[block, column_block, array] += tile_cycles[tile]
            tile += 1
            array = array + 1 if array + 1 < arrays else 0
