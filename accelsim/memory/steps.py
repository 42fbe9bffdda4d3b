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
    parts = _Parts(hw, gemm, dealt_cycles(hw, timing, first_tile), blocking)
    row_blocks = range(0, len(timing.tiles_per_row), blocking.row_tiles)
    column_blocks = range(0, gemm.n, blocking.columns)
    chunks = [(start, min(start + blocking.chunk, gemm.k)) for start in range(0, gemm.k, blocking.chunk)]
    if blocking.order == "rows":
        blocks = [(row, column) for row in row_blocks for column in column_blocks]
    else:
        blocks = [(row, column) for column in column_blocks for row in row_blocks]
    held_a: tuple[int, int] | None = None
    held_b: tuple[int, int] | None = None
    for row, column in blocks:
        cycles, outputs = parts.cycles_and_outputs(row, column)
        if not outputs:
            continue  # no output of this macro-tile must be computed
        for start, stop in chunks:
            loaded = [0, 0]
            if held_a != (row, start):
                held_a = (row, start)
                loaded = parts.load_a(row, start, stop)
            if held_b != (column, start):
                held_b = (column, start)
                loaded = [mine + more for mine, more in zip(loaded, parts.load_b(column, start, stop), strict=True)]
            last = stop == gemm.k
            yield Step(
                load_bytes=loaded[0],
                loaded_elements=loaded[1],
                array_cycles=tuple(part * stop // gemm.k - part * start // gemm.k for part in cycles),
                store_bytes=parts.store(row, column, outputs) if last else 0,
                finishes=last,
                partial_sums=outputs,
            )


class _Parts:
    """Sizes of the parts of one GEMM's operands and outputs."""

    def __init__(self, hw: Hardware, gemm: MaskedGemm, tile_cycles: NDArray[np.int64], blocking: Blocking) -> None:
        self.hw, self.gemm, self.blocking = hw, gemm, blocking
        self.lines, self.problem = lines_behind(gemm.footprint), Problem.of(hw, gemm)
        rows = hw.array.rows
        per_word = np.add.reduceat(np.bitwise_count(gemm.a).astype(np.int64), np.arange(0, gemm.m, rows), axis=0)
        self.a_nonzeros_before = np.pad(np.cumsum(per_word, axis=1), ((0, 0), (1, 0)))
        plan = schedule(hw, gemm)
        self.cycles_before = np.pad(np.cumsum(tile_cycles, axis=1), ((0, 0), (1, 0)))
        self.first_tile = np.append(0, np.cumsum(plan.tiles_per_row))
        self.last_columns = _last_columns(plan, hw.array.cols)
        self.masked = gemm.needed is not None and hw.skipping.outputs
        self.outputs_before = self._outputs_before() if self.masked else None

    def _rows(self, row_block: int) -> int:
        rows = self.hw.array.rows
        return min((row_block + self.blocking.row_tiles) * rows, self.gemm.m) - row_block * rows

    def _columns(self, column: int) -> int:
        return min(column + self.blocking.columns, self.gemm.n) - column

    def _outputs_before(self) -> NDArray[np.int64]:
        """Needed outputs left of each column, for each row block: [row blocks, N + 1]."""
        assert self.gemm.needed is not None
        rows = self.blocking.row_tiles * self.hw.array.rows
        counts = [
            column_counts(self.gemm.needed[start : start + rows], self.gemm.n) for start in range(0, self.gemm.m, rows)
        ]
        return np.pad(np.cumsum(counts, axis=1), ((0, 0), (1, 0)))

    def cycles_and_outputs(self, row_block: int, column: int) -> tuple[list[int], int]:
        """Each array's cycles on the tiles that end in this block of columns, and outputs computed in the block."""
        stop = column + self._columns(column)
        worked = np.zeros(self.hw.array.count, np.int64)
        for tile in range(row_block, min(row_block + self.blocking.row_tiles, len(self.first_tile) - 1)):
            ends = self.last_columns[self.first_tile[tile] : self.first_tile[tile + 1]]
            low, high = self.first_tile[tile] + np.searchsorted(ends, (column, stop))
            worked += self.cycles_before[:, high] - self.cycles_before[:, low]
        cycles = worked.tolist()
        if self.outputs_before is None:
            return cycles, self._rows(row_block) * (stop - column)
        before = self.outputs_before[row_block // self.blocking.row_tiles]
        return cycles, int(before[stop] - before[column])

    def load_a(self, row_block: int, start: int, stop: int) -> list[int]:
        """Bytes and elements of A's rows x [start, stop) of K."""
        words = self.a_nonzeros_before[row_block : row_block + self.blocking.row_tiles]
        nonzeros = int((words[:, -(-stop // CHUNK)] - words[:, start // CHUNK]).sum())
        elements = self._rows(row_block) * (stop - start)
        return [stored_bytes(self.hw, self.gemm.a_kind, elements, nonzeros), elements]

    def load_b(self, column: int, start: int, stop: int) -> list[int]:
        """Bytes and elements of the source lines behind a block of columns and [start, stop) of K."""
        along_n = self.gemm.footprint.along == "n"
        low, high = (column, column + self._columns(column)) if along_n else (start, stop)
        lines, nonzeros = self.lines.behind(low, high)
        share, whole = self.problem.b_fraction(self._columns(column), stop - start)
        elements = -(-lines * self.gemm.footprint.line_elements * share // whole)
        return [stored_bytes(self.hw, self.gemm.b_kind, elements, -(-nonzeros * share // whole)), elements]

    def store(self, row_block: int, column: int, outputs: int) -> int:
        """Bytes of the block's outputs; they are stored compressed only where a mask says which were computed."""
        elements = self._rows(row_block) * self._columns(column)
        if self.masked:
            return stored_bytes(self.hw, self.gemm.output_kind, elements, outputs)
        return -(-elements * self.hw.precision.operand_bits // 8)


def _last_columns(plan: Schedule, cols: int) -> NDArray[np.int64]:
    """Last column of each tile, in tile order."""
    parts = [
        plan.columns[np.minimum(np.arange(start + cols, stop + cols, cols), stop) - 1]
        for start, stop in zip(plan.starts, plan.stops, strict=True)
    ]
    return np.concatenate(parts) if parts else np.zeros(0, np.int64)
