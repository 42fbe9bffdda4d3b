"""Where the blocks of a GEMM's operands and outputs lie in DRAM, for models of it with banks and rows.

Each GEMM has a part of DRAM for its three tensors, one after another, with room for plain words; those of other groups
follow it. Activations and gradients lie position by position (image, row, column), their channels innermost;
weights, and gradients of weights, row by row as the GEMM has them along K (N). Tensors that are stored compressed lie
packed, one block after another.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from accelsim.lowering.footprint import lines_reached
from accelsim.memory.cuts import AxisCut
from accelsim.memory.parts import Blocks, Parts

Integers = NDArray[np.int64]
Regions = NDArray[np.void]
PAGE_BYTES = 4096  # tensors begin at multiples of it

REGION = np.dtype([(name, np.int64) for name in ("base", "run", "stride", "runs", "group_stride", "start", "size")])
"""Bytes [start, start + size) of a pattern: `runs` runs of `run` bytes, one every `stride` bytes from `base` on; then
as many from `base + group_stride` on, and so on."""


@dataclass(frozen=True)
class _Pattern:
    """The same in words, of which nothing is cut off; numbers or int64 [blocks]."""

    base: Integers
    run: Integers | int
    stride: Integers | int
    runs: Integers | int
    group_stride: Integers | int


class Addresses:
    """The places of a cut GEMM's blocks.

    Args:
        a, b: the blocks of the operands.
        stored: bytes of each block of outputs, as `Parts.outputs` returns them.

    Attributes:
        source_base: where operand B's tensor begins, in the part of group 0.
        gemm_bytes: of each GEMM's part.
    """

    def __init__(self, parts: Parts, a: Blocks, b: Blocks, stored: Integers) -> None:
        gemm, footprint = parts.gemm, parts.gemm.footprint
        self._parts, self._a, self._b, self._stored = parts, a, b, stored
        self._grid_is_k, self._row_blocks = footprint.along == "k", parts.row_edges.size - 1
        words = np.array([gemm.m * gemm.k, footprint.lines * footprint.line_elements, gemm.m * gemm.n])
        pages = -(-self._bytes(words) // PAGE_BYTES)
        bases = (np.append(0, np.cumsum(pages)) * PAGE_BYTES).tolist()
        self._a_base, self.source_base, self._output_base, self.gemm_bytes = bases

    def operand_a(self, row: Integers, chunk: Integers) -> Regions:
        """Return where some blocks of A lie."""
        parts, m, k = self._parts, self._parts.gemm.m, self._parts.gemm.k
        gemm, number = divmod(row, self._row_blocks)
        sizes = self._a.size_bytes[row, chunk]
        if not self._plain(self._a):
            return self._packed(self._a_base, gemm, self._starts(self._a.size_bytes)[row, chunk], sizes)
        first, height = self._rows(number)
        start, run, period, runs = _stretches(parts.chunks, chunk)
        if self._grid_is_k:  # a gradient
            along = _Pattern(start * m + first, height, m, run, period * m)
            if parts.chunks.parts == 1:
                along = _Pattern(start * m + first, height, 0, 1, m)
            return self._placed(self._a_base, gemm, along, sizes)
        return self._placed(self._a_base, gemm, _Pattern(first * k + start, run, period, runs, k), sizes)

    def operand_b(self, column: Integers, chunk: Integers) -> Regions:
        """Return where some blocks of B lie; columns of GEMMs that are stacked follow one another."""
        parts, blocking = self._parts, self._parts.blocking
        gemm, number = divmod(column, parts.columns.count)
        sizes = self._b.size_bytes[column, chunk]
        if not self._plain(self._b):
            return self._packed(self.source_base, gemm, self._starts(self._b.size_bytes)[column, chunk], sizes)
        grid, taps = (chunk, number) if self._grid_is_k else (number, chunk)
        pattern = self._gathered if blocking.gathered else self._by_channels
        return self._placed(self.source_base, gemm, pattern(grid, taps), sizes)

    def outputs(self, row: Integers, column: Integers) -> Regions:
        """Return where some blocks of the outputs lie."""
        parts, m, n = self._parts, self._parts.gemm.m, self._parts.gemm.n
        gemm, number = divmod(row, self._row_blocks)
        first, height = self._rows(number)
        sizes = self._stored[row, column]
        if (sizes != self._bytes(height * parts.columns.sizes[column])).any():
            return self._packed(self._output_base, gemm, self._starts(self._stored)[row, column], sizes)
        start, run, period, runs = _stretches(parts.columns, column)
        if self._grid_is_k:
            return self._placed(self._output_base, gemm, _Pattern(first * n + start, run, period, runs, n), sizes)
        if parts.columns.parts > 1:  # windows of lines
            return self._placed(self._output_base, gemm, _Pattern(start * m + first, height, m, run, period * m), sizes)
        return self._placed(self._output_base, gemm, _Pattern(start * m + first, height, 0, 1, m), sizes)

    def _by_channels(self, grid: Integers, taps: Integers) -> _Pattern:
        """Lines that rows of the kernel reach, of each some pixels, of these some channels."""
        footprint, rows, (step_y, step_x) = self._parts.gemm.footprint, self._parts.blocking.kernel_rows, self._step
        reach, channels = footprint.taps, footprint.channels
        kernel = range(0, reach.offset_y.size, rows)
        first = np.array([lines_reached(reach, low, low + rows)[0] for low in kernel])
        block, part = divmod(taps, self._taps.parts)
        line, x = divmod(_starts_of(self._grid, grid), footprint.grid_width)
        image, y = divmod(line, reach.grid[0])
        low, high = np.zeros_like(x), np.full_like(x, reach.image[1])
        if self._grid.parts > 1:
            stop = np.minimum(x + self._grid.part, footprint.grid_width)
            low = np.clip(x * step_x + reach.offset_x.min(), 0, reach.image[1])
            high = np.maximum(low, np.clip((stop - 1) * step_x + reach.offset_x.max() + 1, 0, reach.image[1]))
        first_channel = part * self._taps.part * (self._taps.parts > 1)
        own = np.minimum(self._taps.part, channels - first_channel) if self._taps.parts > 1 else channels
        skipped = step_y if min(rows, reach.offset_y.size) == 1 else 1  # lines from one that is read to the next
        source_y = first[block, y]
        if skipped > 1:
            source_y = y * step_y + np.array([reach.offset_y[low : low + rows].min() for low in kernel])[block]
            source_y = np.where(source_y < 0, source_y % step_y, source_y)
        base = (image * reach.image[0] + source_y) * footprint.line_elements + low * channels
        whole = own == channels
        return _Pattern(
            base + first_channel,
            np.where(whole, (high - low) * channels, own),
            channels,
            np.where(whole, 1, high - low),
            footprint.line_elements * skipped,
        )

    def _gathered(self, grid: Integers, taps: Integers) -> _Pattern:
        """Of each position the taps that a block reads: runs of neighbouring ones, a row of the kernel each."""
        footprint, (step_y, step_x) = self._parts.gemm.footprint, self._step
        reach, channels = footprint.taps, footprint.channels
        position, tap = _starts_of(self._grid, grid), _starts_of(self._taps, taps)
        line, x = divmod(position, footprint.grid_width)
        image, y = divmod(line, reach.grid[0])
        r, s = divmod(tap // channels, reach.offset_x.size)
        dilation_y, dilation_x = _dilation(reach.offset_y), _dilation(reach.offset_x)
        run = np.minimum(self._taps.sizes[taps], channels * (reach.offset_x.size if dilation_x == 1 else 1))
        runs = -(-self._taps.sizes[taps] // run)
        last_r = np.minimum(r + runs - 1, reach.offset_y.size - 1)
        offset_y = np.minimum(reach.offset_y[r], reach.offset_y[last_r])  # in gradients of inputs taps run backwards
        offset_x = np.where(run > channels, reach.offset_x.min(), reach.offset_x[s])
        source_y = np.clip(y * step_y + offset_y, 0, reach.image[0] - 1)
        source_x = np.clip(x * step_x + offset_x, 0, reach.image[1] - 1)
        return _Pattern(
            (image * reach.image[0] + source_y) * footprint.line_elements + source_x * channels + tap % channels,
            run,
            footprint.line_elements * dilation_y if dilation_x == 1 else channels * dilation_x,
            runs,
            step_x * channels,
        )

    @property
    def _grid(self) -> AxisCut:
        return self._parts.chunks if self._grid_is_k else self._parts.columns

    @property
    def _taps(self) -> AxisCut:
        return self._parts.columns if self._grid_is_k else self._parts.chunks

    @property
    def _step(self) -> tuple[int, int]:
        return self._parts.gemm.footprint.taps.step

    def _rows(self, number: Integers) -> tuple[Integers, Integers]:
        """First row and rows of blocks."""
        edges = self._parts.row_edges
        return edges[number], edges[number + 1] - edges[number]

    def _bytes(self, words: Integers) -> Integers:
        return -(-words * self._parts.hw.precision.operand_bits // 8)

    def _plain(self, blocks: Blocks) -> bool:
        return bool((blocks.size_bytes == self._bytes(blocks.elements)).all())

    def _starts(self, sizes: Integers) -> Integers:
        """Where blocks of these bytes begin that lie one after another, in each GEMM."""
        own = sizes.reshape(self._parts.gemm.stack, -1)
        return (np.cumsum(own, axis=1) - own).reshape(sizes.shape)

    def _packed(self, base: int, gemm: Integers, starts: Integers, sizes: Integers) -> Regions:
        return self._regions(base, gemm, _Pattern(starts, sizes, 0, 1, sizes), sizes, 8)

    def _placed(self, base: int, gemm: Integers, pattern: _Pattern, sizes: Integers) -> Regions:
        return self._regions(base, gemm, pattern, sizes, self._parts.hw.precision.operand_bits)

    def _regions(self, base: int, gemm: Integers, pattern: _Pattern, sizes: Integers, bits: int) -> Regions:
        """Return a pattern's regions in bytes; `bits` of its words."""
        found = np.zeros(sizes.size, REGION)
        found["base"] = pattern.base * bits // 8 + base
        found["base"] += (self._parts.gemm.group + gemm) * self.gemm_bytes
        found["run"] = np.maximum(np.asarray(pattern.run) * bits // 8, 1)
        found["stride"] = pattern.stride * bits // 8
        found["runs"] = np.maximum(pattern.runs, 1)
        found["group_stride"] = pattern.group_stride * bits // 8
        found["size"] = sizes
        return found


def _stretches(cut: AxisCut, block: Integers) -> tuple[Integers, Integers, int, Integers]:
    """Where a block begins, how many positions follow, where the next ones do, and how often."""
    run = cut.sizes[block]
    if cut.parts > 1:
        run = np.minimum(cut.part, cut.period - block % cut.parts * cut.part)
    return _starts_of(cut, block), run, cut.period, cut.sizes[block] // run


def _starts_of(cut: AxisCut, block: Integers) -> Integers:
    """The first position of a block."""
    return np.asarray(block // cut.parts * cut.run + block % cut.parts * cut.part * (cut.parts > 1))


def _dilation(offsets: Integers) -> int:
    """Positions from one tap to the next."""
    return int(abs(offsets[1] - offsets[0])) if offsets.size > 1 else 1
