"""The blocks that a GEMM's operands and outputs are cut into: their sizes, and the work on them."""

from __future__ import annotations

from functools import cached_property
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from accelsim import kernel
from accelsim.array import TiledGemm
from accelsim.hardware.model import Hardware
from accelsim.lowering.bits import count_rectangles
from accelsim.lowering.footprint import pixels_reached
from accelsim.lowering.gemm import TensorKind
from accelsim.memory.blocking import Blocking
from accelsim.memory.cuts import AxisCut
from accelsim.memory.lines import lines_of

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
        row_edges: int64, where blocks of rows begin, and where the last one ends, of each GEMM that is stacked.
        columns, chunks: how columns and K are cut.
        starts, stops: int64 [chunks], K positions of each chunk, counted in the order of chunks.
    """

    def __init__(self, hw: Hardware, tiled: TiledGemm, blocking: Blocking) -> None:
        self.hw, self.tiled, self.gemm, self.blocking = hw, tiled, tiled.gemm, blocking
        gemm = tiled.gemm
        self.row_edges = _edges(gemm.m, blocking.row_tiles * hw.array.rows)
        self.columns, self.chunks = AxisCut(gemm.n, blocking.columns), AxisCut(gemm.k, blocking.chunk)
        if blocking.kernel_rows:
            channels, grid_width = gemm.footprint.channels, gemm.footprint.grid_width
            taps = gemm.footprint.taps
            kernel = AxisCut(
                taps.count * channels,
                blocking.kernel_rows * taps.offset_x.size * channels,
                channels,
                blocking.block_channels,
            )
            along_k = gemm.footprint.along == "k"
            grid = self.chunks if along_k else self.columns
            if width := blocking.window_width:
                grid = AxisCut(grid.extent, grid.run // width * grid_width, grid_width, width)
            self.columns, self.chunks = (kernel, grid) if along_k else (grid, kernel)
        self.stops = np.cumsum(self.chunks.sizes)
        self.starts = self.stops - self.chunks.sizes

    def operand_a(self) -> Blocks:
        """Blocks of A's rows and of K."""
        elements = self._stacked(np.diff(self.row_edges)[:, None] * self.chunks.sizes)
        if self.gemm.a_kind not in self.hw.memory.compression:
            return Blocks(self._plain_bytes(elements), elements)
        counts = count_rectangles(self.gemm.a, self._stacked_edges(self.row_edges), self.chunks.edges)
        return Blocks(self._bytes(self.gemm.a_kind, elements, self.chunks.gather(counts)), elements)

    def operand_b(self) -> Blocks:
        """The source lines that blocks of columns and of K read, or just their elements if these are gathered."""
        if not self.blocking.gathered:
            return self._kernel_parts()
        elements = self._stacked(self.columns.sizes[:, None] * self.chunks.sizes)
        nonzeros = np.zeros_like(elements)
        if self.gemm.b_kind in self.hw.memory.compression:
            edges = self.columns.edges, self.chunks.edges
            if self.gemm.b_of is None:
                nonzeros = count_rectangles(self.gemm.b, self._stacked_edges(edges[0]), edges[1])
            else:
                nonzeros = self._stacked(count_rectangles(self.gemm.columns, *edges))
        return Blocks(self._bytes(self.gemm.b_kind, elements, nonzeros), elements)

    def _kernel_parts(self) -> Blocks:
        """What rows of the kernel read, of some channels: the lines that they reach, of these channels."""
        footprint, stack, rows = self.gemm.footprint, self.gemm.stack, self.blocking.kernel_rows
        grid = self.columns if footprint.along == "n" else self.chunks
        low = np.arange(grid.runs) * grid.run
        high = np.minimum(low + grid.run, grid.extent)
        own = (np.arange(stack) * grid.extent)[:, None]
        kernel = [slice(first, first + rows) for first in range(0, footprint.taps.offset_y.size, rows)]
        read = np.array([lines_of(footprint, stack, part).read_by(own + low, own + high) for part in kernel])
        # [stack, runs, parts of a grid line, rows of the kernel, channels]
        lines, nonzeros = read.transpose(1, 2, 3, 0)[:, :, :, None, :, None]
        width = footprint.taps.image[1]
        pixels = np.array([width])
        if grid.parts > 1:
            starts = np.arange(0, grid.period, grid.part)
            pixels = pixels_reached(footprint.taps, starts, np.minimum(starts + grid.part, grid.period))
        share = pixels[:, None, None] * np.diff(_edges(footprint.channels, self.blocking.block_channels))
        elements, counts = lines * share, -(-nonzeros * share // footprint.line_elements)
        if footprint.along == "n":
            elements, counts = (part.reshape(stack * grid.count, -1) for part in (elements, counts))
        else:
            elements, counts = (part.transpose(0, 3, 4, 1, 2).reshape(-1, grid.count) for part in (elements, counts))
        return Blocks(self._bytes(self.gemm.b_kind, elements, counts), elements)

    def outputs(self) -> tuple[Integers, Integers]:
        """Outputs computed in each block, and their bytes in DRAM: [stacked row blocks, column blocks].

        Outputs are stored compressed only where a mask says which of them were computed.
        """
        elements = self._stacked(np.diff(self.row_edges)[:, None] * self.columns.sizes)
        if self.tiled.needed is None:
            return elements, self._plain_bytes(elements)
        return self._computed, self._bytes(self.gemm.output_kind, elements, self._computed)

    @cached_property
    def _computed(self) -> Integers:
        """Outputs computed in each block."""
        if self.tiled.needed is None:
            return self._stacked(np.diff(self.row_edges)[:, None] * self.columns.sizes)
        counts = count_rectangles(self.tiled.needed, self._stacked_edges(self.row_edges), self.columns.edges)
        return self.columns.gather(counts)

    def cycles(self, tile_cycles: Integers, first_tile: int) -> Integers:
        """Each array's cycles on the tiles that end in each block: [stacked row blocks, column blocks, arrays].

        Tiles have neighbouring columns, so those of a run that is cut in parts are shared out among the parts, in
        proportion to their outputs.

        Args:
            tile_cycles: cycles of each tile.
            first_tile: the GEMM's first tile's number in the pass; tiles are dealt to the arrays in turn.
        """
        rows, arrays = self.row_edges.size - 1, self.hw.array.count
        worked = np.zeros((self.gemm.stack * rows, self.columns.runs, arrays), np.int64)
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
            self.blocking.row_tiles * self.tiled.segments,
            self.columns.run,
            first_tile,
            arrays,
            worked,
        )
        return worked if self.columns.parts == 1 else self.columns.share(worked, self._computed)

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
        """Return bytes in DRAM: plain words, or one bit per element and the non-zero words.

        A tensor that takes more bytes compressed is stored in plain words.
        """
        plain = self._plain_bytes(elements)
        if kind not in self.hw.memory.compression:
            return plain
        packed = -(-elements // 8) - (-nonzeros * self.hw.precision.operand_bits // 8)
        plain_sum, packed_sum = (part.reshape(self.gemm.stack, -1).sum(axis=1) for part in (plain, packed))
        larger = np.repeat(packed_sum > plain_sum, len(plain) // self.gemm.stack)
        return np.where(larger[:, None], plain, packed)

    def _plain_bytes(self, elements: Integers) -> Integers:
        return -(-elements * self.hw.precision.operand_bits // 8)


def _edges(extent: int, size: int) -> Integers:
    """Where blocks of a size begin, and where the last one ends."""
    return np.append(np.arange(0, extent, size), extent)
