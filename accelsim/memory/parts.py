"""The blocks that a GEMM's operands and outputs are cut into: their sizes, and the work on them."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from accelsim import kernel
from accelsim.array import TiledGemm
from accelsim.hardware.model import Hardware
from accelsim.lowering.bits import count_rectangles
from accelsim.lowering.gemm import TensorKind
from accelsim.memory.blocking import CHUNK, choose_blocking, lines_of

Integers = NDArray[np.int64]


class Blocks(NamedTuple):
    """Blocks of an operand, one stacked GEMM after another; int64 [blocks of rows or columns, chunks of K].

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
        row_edges, column_edges: int64, where blocks of rows (columns) begin, and where the last one ends, of each GEMM
            that is stacked.
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
        elements = self._stacked(np.diff(self.row_edges)[:, None] * (self.stops - self.starts))
        if self.gemm.a_kind not in self.hw.memory.compression:
            return Blocks(self._plain_bytes(elements), elements)
        nonzeros, rows = np.empty_like(elements), np.ascontiguousarray(self.gemm.a)
        first, last, edges = self.starts // CHUNK, -(-self.stops // CHUNK), self._stacked_edges(self.row_edges)
        kernel.compiled.count_blocks(rows, rows.shape[0], rows.shape[1], edges, first, last, nonzeros)
        return Blocks(self._bytes(self.gemm.a_kind, elements, nonzeros), elements)

    def operand_b(self) -> Blocks:
        """The source lines that blocks of columns and of K read, or just their elements if these are gathered."""
        footprint, stack = self.gemm.footprint, self.gemm.stack
        if self.blocking.gathered:
            elements = self._stacked(np.diff(self.column_edges)[:, None] * (self.stops - self.starts))
            nonzeros = np.zeros_like(elements)
            if self.gemm.b_kind in self.hw.memory.compression:
                k_edges = np.append(self.starts, self.stops[-1])
                if self.gemm.b_of is None:
                    nonzeros = count_rectangles(self.gemm.b, self._stacked_edges(self.column_edges), k_edges)
                else:
                    nonzeros = self._stacked(count_rectangles(self.gemm.columns, self.column_edges, k_edges))
            return Blocks(self._bytes(self.gemm.b_kind, elements, nonzeros), elements)
        if footprint.along == "n":  # shares as in `Problem.b_fraction`
            low, high = self.column_edges[:-1, None], self.column_edges[1:, None]
            share, whole = self.stops - self.starts, self.gemm.k
        else:
            low, high = self.starts, self.stops
            share, whole = np.minimum(np.diff(self.column_edges)[:, None], footprint.channels), footprint.channels
        own = (np.arange(stack) * (footprint.grid_lines * footprint.grid_width))[:, None, None]
        lines, nonzeros = lines_of(footprint, stack).read_by(own + low, own + high)
        shape = (-1, self.starts.size)
        elements = (-(-lines * footprint.line_elements * share // whole)).reshape(shape)
        return Blocks(self._bytes(self.gemm.b_kind, elements, -(-nonzeros * share // whole).reshape(shape)), elements)

    def outputs(self) -> tuple[Integers, Integers]:
        """Outputs computed in each block, and their bytes in DRAM: [stacked row blocks, column blocks].

        Outputs are stored compressed only where a mask says which of them were computed.
        """
        elements = self._stacked(np.diff(self.row_edges)[:, None] * np.diff(self.column_edges))
        if self.tiled.needed is None:
            return elements, self._plain_bytes(elements)
        needed = count_rectangles(self.tiled.needed, self._stacked_edges(self.row_edges), self.column_edges)
        return needed, self._bytes(self.gemm.output_kind, elements, needed)

    def cycles(self, tile_cycles: Integers, first_tile: int) -> Integers:
        """Each array's cycles on the tiles that end in each block: [stacked row blocks, column blocks, arrays].

        Args:
            tile_cycles: cycles of each tile.
            first_tile: the GEMM's first tile's number in the pass; tiles are dealt to the arrays in turn.
        """
        rows, columns, arrays = self.row_edges.size - 1, self.column_edges.size - 1, self.hw.array.count
        worked = np.zeros((self.gemm.stack * rows, columns, arrays), np.int64)
        kernel.compiled.deal_tiles(
            np.ascontiguousarray(tile_cycles),
            self.gemm.stack,
            self.gemm.m,
            self.gemm.n,
            self.tiled.columns,
            self.tiled.starts,
            self.tiled.stops,
            self.tiled.rows,
            self.tiled.cols,
            self.blocking.row_tiles,
            self.blocking.columns,
            first_tile,
            arrays,
            worked,
        )
        return worked

    def _stacked(self, blocks: Integers) -> Integers:
        """Repeat the blocks of one GEMM, [blocks, ...], for all that are stacked."""
        return blocks if self.gemm.stack == 1 else np.tile(blocks, (self.gemm.stack, 1))

    def _stacked_edges(self, edges: Integers) -> Integers:
        """Where blocks of all GEMMs that are stacked begin, and where the last one ends."""
        if self.gemm.stack == 1:
            return edges
        starts = np.arange(self.gemm.stack)[:, None] * edges[-1] + edges[:-1]
        return np.append(starts, self.gemm.stack * edges[-1])

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
