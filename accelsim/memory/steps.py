"""A GEMM as a sequence of macro-tile steps: what each one loads, how long the array works on it, what it stores."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from accelsim.hardware.model import Hardware
from accelsim.lowering.bits import column_counts
from accelsim.lowering.gemm import MaskedGemm, TensorKind
from accelsim.memory.blocking import CHUNK, Blocking, Problem, choose_blocking, lines_behind
from accelsim.timing.outcome import GemmTiming
from accelsim.timing.tiles import Schedule, schedule


@dataclass(frozen=True)
class Step:
    """One macro-tile, or one chunk of K of it.

    Attributes:
        load_bytes: DRAM bytes it waits for; 0 if all it needs is on chip.
        loaded_elements: the same in words, as they lie on chip.
        array_cycles: how long each array works on it.
        store_bytes: DRAM bytes it leaves behind; 0 unless it finishes its outputs.
        finishes: whether its outputs are complete and leave for DRAM.
        partial_sums: outputs written to the output buffer by this step.
    """

    load_bytes: int
    loaded_elements: int
    array_cycles: tuple[int, ...]
    store_bytes: int
    finishes: bool
    partial_sums: int


def dealt_cycles(hw: Hardware, timing: GemmTiming, first_tile: int) -> NDArray[np.int64]:
    """Deal tiles to the arrays in turn: int64 [arrays, tiles], a tile's cycles in its array's row."""
    tiles = timing.tile_cycles.size
    dealt = np.zeros((hw.array.count, tiles), np.int64)
    dealt[(np.arange(tiles) + first_tile) % hw.array.count, np.arange(tiles)] = timing.tile_cycles
    return dealt


def stored_bytes(hw: Hardware, kind: TensorKind, elements: int, nonzeros: int) -> int:
    """Bytes of a tensor's part in DRAM: plain words, or a bit an element and the non-zero words."""
    if kind in hw.memory.compression:
        return -(-elements // 8) + -(-nonzeros * hw.precision.operand_bits // 8)
    return -(-elements * hw.precision.operand_bits // 8)


def macro_steps(hw: Hardware, gemm: MaskedGemm, timing: GemmTiming, first_tile: int = 0) -> Iterator[Step]:
    """Yield the steps of one GEMM in the order in which the arrays take them.

    Args:
        first_tile: tiles that earlier GEMMs of the pass had; tile t of a pass goes to array t mod `array.count`.

    Raises:
        HardwareError: a buffer does not hold one tile.
    """
    blocking = choose_blocking(hw, gemm)
    parts = _Parts(hw, gemm, blocking)
    worked = parts.cycles(dealt_cycles(hw, timing, first_tile)).tolist()
    outputs = parts.outputs().tolist()
    row_blocks, column_blocks = range(len(worked)), range(len(worked[0]) if worked else 0)
    chunks = [(start, min(start + blocking.chunk, gemm.k)) for start in range(0, gemm.k, blocking.chunk)]
    if blocking.order == "rows":
        blocks = [(row, column) for row in row_blocks for column in column_blocks]
    else:
        blocks = [(row, column) for column in column_blocks for row in row_blocks]
    held_a: tuple[int, int] | None = None
    held_b: tuple[int, int] | None = None
    for row, column in blocks:
        computed = outputs[row][column]
        if not computed:
            continue  # no output of this macro-tile must be computed
        for start, stop in chunks:
            load_bytes = loaded_elements = 0
            if held_a != (row, start):
                held_a = (row, start)
                load_bytes, loaded_elements = parts.load_a(row, start, stop)
            if held_b != (column, start):
                held_b = (column, start)
                more_bytes, more_elements = parts.load_b(column, start, stop)
                load_bytes, loaded_elements = load_bytes + more_bytes, loaded_elements + more_elements
            last = stop == gemm.k
            yield Step(
                load_bytes=load_bytes,
                loaded_elements=loaded_elements,
                array_cycles=tuple(part * stop // gemm.k - part * start // gemm.k for part in worked[row][column]),
                store_bytes=parts.store(row, column, computed) if last else 0,
                finishes=last,
                partial_sums=computed,
            )


class _Parts:
    """Sizes of the blocks that a GEMM's operands and outputs are cut into; blocks are counted from 0."""

    def __init__(self, hw: Hardware, gemm: MaskedGemm, blocking: Blocking) -> None:
        self.hw, self.gemm, self.blocking = hw, gemm, blocking
        self.lines, self.problem = lines_behind(gemm.footprint), Problem.of(hw, gemm)
        rows = blocking.row_tiles * hw.array.rows
        per_word = np.add.reduceat(np.bitwise_count(gemm.a).astype(np.int64), np.arange(0, gemm.m, rows), axis=0)
        self.a_nonzeros_before = np.pad(np.cumsum(per_word, axis=1), ((0, 0), (1, 0)))
        self.row_edges = _edges(gemm.m, rows)
        self.column_edges = _edges(gemm.n, blocking.columns)
        self.plan = schedule(hw, gemm)
        self.masked = gemm.needed is not None and hw.skipping.outputs
        self.b_loads: dict[tuple[int, int], tuple[int, int]] = {}

    def cycles(self, tile_cycles: NDArray[np.int64]) -> NDArray[np.int64]:
        """Each array's cycles on the tiles that end in each block: [row blocks, column blocks, arrays]."""
        row_tile = np.repeat(np.arange(len(self.plan.tiles_per_row)), self.plan.tiles_per_row)
        column_block = _last_columns(self.plan, self.hw.array.cols) // self.blocking.columns
        blocks = (len(self.row_edges) - 1, len(self.column_edges) - 1)
        worked = np.zeros((*blocks, len(tile_cycles)), np.int64)
        np.add.at(worked, (row_tile // self.blocking.row_tiles, column_block), tile_cycles.T)
        return worked

    def outputs(self) -> NDArray[np.int64]:
        """Outputs computed in each block: [row blocks, column blocks]."""
        if not self.masked:
            return np.diff(self.row_edges)[:, None] * np.diff(self.column_edges)
        assert self.gemm.needed is not None
        counts = [
            column_counts(self.gemm.needed[low:high], self.gemm.n)
            for low, high in zip(self.row_edges[:-1], self.row_edges[1:], strict=True)
        ]
        return np.add.reduceat(np.array(counts), self.column_edges[:-1], axis=1)

    def load_a(self, row_block: int, start: int, stop: int) -> tuple[int, int]:
        """Bytes and elements of A's rows x [start, stop) of K."""
        words = self.a_nonzeros_before[row_block]
        nonzeros = int(words[-(-stop // CHUNK)] - words[start // CHUNK])
        elements = int(self.row_edges[row_block + 1] - self.row_edges[row_block]) * (stop - start)
        return stored_bytes(self.hw, self.gemm.a_kind, elements, nonzeros), elements

    def load_b(self, column_block: int, start: int, stop: int) -> tuple[int, int]:
        """Bytes and elements of the source lines behind a block of columns and [start, stop) of K."""
        known = self.b_loads.get((column_block, start))
        if known is None:
            first, last = int(self.column_edges[column_block]), int(self.column_edges[column_block + 1])
            low, high = (first, last) if self.gemm.footprint.along == "n" else (start, stop)
            lines, nonzeros = self.lines.behind(low, high)
            share, whole = self.problem.b_fraction(last - first, stop - start)
            elements = -(-lines * self.gemm.footprint.line_elements * share // whole)
            known = stored_bytes(self.hw, self.gemm.b_kind, elements, -(-nonzeros * share // whole)), elements
            self.b_loads[column_block, start] = known
        return known

    def store(self, row_block: int, column_block: int, outputs: int) -> int:
        """Bytes of the block's outputs; they are stored compressed only where a mask says which were computed."""
        rows = int(self.row_edges[row_block + 1] - self.row_edges[row_block])
        elements = rows * int(self.column_edges[column_block + 1] - self.column_edges[column_block])
        if self.masked:
            return stored_bytes(self.hw, self.gemm.output_kind, elements, outputs)
        return -(-elements * self.hw.precision.operand_bits // 8)


def _edges(extent: int, size: int) -> NDArray[np.int64]:
    """Where blocks of a size begin, and where the last one ends."""
    return np.append(np.arange(0, extent, size), extent)


def _last_columns(plan: Schedule, cols: int) -> NDArray[np.int64]:
    """Last column of each tile, in tile order."""
    parts = [
        plan.columns[np.minimum(np.arange(start + cols, stop + cols, cols), stop) - 1]
        for start, stop in zip(plan.starts, plan.stops, strict=True)
    ]
    return np.concatenate(parts) if parts else np.zeros(0, np.int64)
