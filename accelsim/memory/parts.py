"""The blocks that a GEMM's operands and outputs are cut into: their sizes, and the work on them."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from accelsim import kernel
from accelsim.array import TiledGemm
from accelsim.hardware.model import Hardware
from accelsim.lowering.bits import Words
from accelsim.lowering.gemm import TensorKind
from accelsim.memory.blocking import CHUNK, choose_blocking, lines_of

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

    def __init__(self, hw: Hardware, tiled: TiledGemm) -> None:
        self.hw, self.tiled, self.gemm = hw, tiled, tiled.gemm
        gemm = tiled.gemm
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
        nonzeros, rows = np.empty_like(elements), np.ascontiguousarray(self.gemm.a)
        first, last = self.starts // CHUNK, -(-self.stops // CHUNK)
        kernel.compiled.count_blocks(rows, rows.shape[0], rows.shape[1], self.row_edges, first, last, nonzeros)
        return Blocks(self._bytes(self.gemm.a_kind, elements, nonzeros), elements)

    def operand_b(self) -> Blocks:
        """The source lines that blocks of columns and of K read, or just their elements if these are gathered."""
        footprint = self.gemm.footprint
        if self.blocking.gathered:
            elements = np.diff(self.column_edges)[:, None] * (self.stops - self.starts)
            nonzeros = np.zeros_like(elements)
            if self.gemm.b_kind in self.hw.memory.compression:
                k_edges = np.append(self.starts, self.stops[-1])
                nonzeros = _count_bits(self.gemm.columns, self.column_edges, k_edges)
            return Blocks(self._bytes(self.gemm.b_kind, elements, nonzeros), elements)
        if footprint.along == "n":  # shares as in `Problem.b_fraction`
            low, high = self.column_edges[:-1, None], self.column_edges[1:, None]
            share, whole = self.stops - self.starts, self.gemm.k
        else:
            low, high = self.starts, self.stops
            share, whole = np.minimum(np.diff(self.column_edges)[:, None], footprint.channels), footprint.channels
        lines, nonzeros = lines_of(footprint).read_by(low, high)
        elements = -(-lines * footprint.line_elements * share // whole)
        return Blocks(self._bytes(self.gemm.b_kind, elements, -(-nonzeros * share // whole)), elements)

    def outputs(self) -> tuple[Integers, Integers]:
        """Outputs computed in each block, and their bytes in DRAM: [row blocks, column blocks].

        Outputs are stored compressed only where a mask says which of them were computed.
        """
        elements = np.diff(self.row_edges)[:, None] * np.diff(self.column_edges)
        if self.tiled.needed is None:
            return elements, self._plain_bytes(elements)
        needed = _count_bits(self.tiled.needed, self.row_edges, self.column_edges)
        return needed, self._bytes(self.gemm.output_kind, elements, needed)

    def cycles(self, tile_cycles: Integers, first_tile: int) -> Integers:
        """Each array's cycles on the tiles that end in each block: [row blocks, column blocks, arrays].

        Args:
            tile_cycles: cycles of each tile.
            first_tile: the GEMM's first tile's number in the pass; tiles are dealt to the arrays in turn.
        """
        worked = np.zeros((self.row_edges.size - 1, self.column_edges.size - 1, self.hw.array.count), np.int64)
        kernel.compiled.deal_tiles(
            np.ascontiguousarray(tile_cycles),
            self.tiled.tiles_per_row,
            self.tiled.last_columns,
            self.blocking.row_tiles,
            self.blocking.columns,
            first_tile,
            *worked.shape,
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


def _count_bits(rows: Words, row_edges: Integers, column_edges: Integers) -> Integers:
    """Count the set bits of blocks of rows and of bits in them: [row blocks, column blocks]."""
    counts = np.empty((row_edges.size - 1, column_edges.size - 1), np.int64)
    rows = np.ascontiguousarray(rows)
    kernel.compiled.count_rectangles(rows, rows.shape[0], rows.shape[1], row_edges, column_edges, counts)
    return counts
