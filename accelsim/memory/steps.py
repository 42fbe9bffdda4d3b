"""A GEMM as a sequence of macro-tile steps: what each one loads, how long the arrays work on it, what it stores."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields
from functools import lru_cache
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from accelsim.array import GemmTiming, TiledGemm
from accelsim.hardware.model import Hardware
from accelsim.memory.blocking import Blocking
from accelsim.memory.parts import Parts

Integers = NDArray[np.int64]


@dataclass(frozen=True)
class Steps:
    """Steps in the order in which the arrays take them; each is a macro-tile, or one chunk of K of it.

    Attributes:
        load_bytes: int64 [steps], DRAM bytes that a step waits for; 0 if all it needs is on chip.
        loaded_elements: int64 [steps], the same in words, as they lie on chip.
        array_cycles: int64 [steps, arrays], how long each array works on a step.
        store_bytes: int64 [steps], DRAM bytes of outputs that a step leaves; 0 unless it finishes its outputs.
        finishes: bool [steps], whether a step's outputs are complete and leave for DRAM.
        partial_sums: int64 [steps], outputs that a step writes to the output buffer.
    """

    load_bytes: Integers
    loaded_elements: Integers
    array_cycles: Integers
    store_bytes: Integers
    finishes: NDArray[np.bool_]
    partial_sums: Integers

    def __len__(self) -> int:
        return self.load_bytes.size

    @classmethod
    def join(cls, parts: Sequence[Steps]) -> Steps:
        """Put at least one sequence of steps one after another."""
        return cls(*(np.concatenate([getattr(part, column.name) for part in parts]) for column in fields(cls)))

    @classmethod
    def none(cls, arrays: int) -> Steps:
        """Return no step of a machine with this many arrays."""
        nothing = np.zeros(0, np.int64)
        return cls(nothing, nothing, np.zeros((0, arrays), np.int64), nothing, np.zeros(0, bool), nothing)


class Order(NamedTuple):
    """The chunks of a GEMM's macro-tiles in the order of the steps; a chunk that is cut again has several of these.

    Attributes:
        row, column, chunk: int64 [chunks], the blocks of rows, of columns and of K.
        last: bool [chunks], whether it is its macro-tile's last one.
        step: int64 [steps], the chunk of each step.
        portion: int64 [steps], which of its portions it is; after the last ones come those in which outputs leave.
        loads_a, loads_b: bool [chunks], whether a chunk's operand is not the one that the chunk before it has used.
    """

    row: Integers
    column: Integers
    chunk: Integers
    last: NDArray[np.bool_]
    step: Integers
    portion: Integers
    loads_a: NDArray[np.bool_]
    loads_b: NDArray[np.bool_]


@lru_cache(maxsize=64)
def _whole_order(blocking: Blocking, row_blocks: int, column_blocks: int, chunks: int) -> Order:
    return _order(blocking, np.ones((row_blocks, column_blocks), bool), chunks)


def _order(blocking: Blocking, computed: NDArray[np.bool_], chunks: int) -> Order:
    """Put macro-tiles in order, given which of them have an output to compute: bool [row blocks, column blocks]."""
    if blocking.order == "rows":
        row, column = np.nonzero(computed)
    else:
        column, row = np.nonzero(computed.T)
    chunk = np.tile(np.arange(chunks), row.size)  # innermost
    row, column = np.repeat(row, chunks), np.repeat(column, chunks)
    last = chunk == chunks - 1
    # steps of each chunk: its portions, and after a macro-tile's last one those that only store
    counts = blocking.portions + (blocking.output_portions - 1) * last
    step = np.repeat(np.arange(counts.size), counts)
    portion = np.arange(step.size) - np.repeat(np.cumsum(counts) - counts, counts)
    loads_a = _changes(row * chunks + chunk) | (blocking.a_portions > 1)
    loads_b = _changes(column * chunks + chunk) | (blocking.b_portions > 1)
    return Order(row, column, chunk, last, step, portion, loads_a, loads_b)


class Cut:
    """A GEMM cut into steps; how long the arrays work on each is given afterwards.

    Macro-tiles without an output that must be computed are left out. An operand's block that the step before has used
    is still on chip, unless it went through its buffer in portions. Then each portion is a step; and after a
    macro-tile's last step come, without work, those in which the rest of its outputs leave.

    Args:
        first_tile: tiles that earlier GEMMs of the pass had; tile t of a pass goes to array t mod `array.count`.
    """

    def __init__(self, hw: Hardware, tiled: TiledGemm, first_tile: int = 0) -> None:
        self._parts, self._first_tile = Parts(hw, tiled), first_tile
        self._outputs, self._stored = self._parts.outputs()
        blocking, chunks = self._parts.blocking, self._parts.starts.size
        if tiled.needed is None:
            self._order = _whole_order(blocking, *self._outputs.shape, chunks)
        else:
            self._order = _order(blocking, self._outputs > 0, chunks)
        self._several_tiles = blocking.row_tiles > 1 or blocking.columns > hw.array.cols

    def work(self, tile_cycles: Integers) -> Integers:
        """Share tiles' cycles out among steps: int64 [tiles] to [steps, arrays]."""
        parts, order = self._parts, self._order
        work = parts.cycles(tile_cycles, self._first_tile)[order.row, order.column]
        if parts.starts.size > 1:
            starts, stops = parts.starts[order.chunk, None], parts.stops[order.chunk, None]
            work = work * stops // parts.gemm.k - work * starts // parts.gemm.k
        return self._share(work, order.portion[:, None], parts.blocking.portions)

    def steps(self, tile_cycles: Integers) -> Steps:
        """Return the steps in the order in which the arrays take them, given each tile's cycles."""
        a, b, blocking = self._parts.operand_a(), self._parts.operand_b(), self._parts.blocking
        row, column, chunk, last, step, portion, loads_a, loads_b = self._order
        last_portion = blocking.portions - 1
        # the sums of one tile stay in the PEs until its portions are done
        computes = portion <= last_portion if self._several_tiles else portion == last_portion
        return Steps(
            load_bytes=self._loads(loads_a * a.size_bytes[row, chunk] + loads_b * b.size_bytes[column, chunk]),
            loaded_elements=self._loads(loads_a * a.elements[row, chunk] + loads_b * b.elements[column, chunk]),
            array_cycles=self.work(tile_cycles),
            store_bytes=self._share(last * self._stored[row, column], portion - last_portion, blocking.output_portions),
            finishes=last[step] & (portion >= last_portion),
            partial_sums=computes * self._outputs[row, column][step],
        )

    def _loads(self, amounts: Integers) -> Integers:
        return self._share(amounts, self._order.portion, self._parts.blocking.portions)

    def _share(self, amounts: Integers, number: Integers, count: int) -> Integers:
        """Share each chunk's amount out among portions 0 to count - 1; steps that are none of them get nothing."""
        if self._order.step.size == self._order.chunk.size:  # nothing was cut again
            return amounts
        amounts, number = amounts[self._order.step], np.clip(number, -1, count)
        return amounts * np.minimum(number + 1, count) // count - amounts * np.maximum(number, 0) // count


def macro_steps(hw: Hardware, tiled: TiledGemm, timing: GemmTiming, first_tile: int = 0) -> Steps:
    """Return the steps of one timed GEMM, see `Cut`."""
    return Cut(hw, tiled, first_tile).steps(timing.tile_cycles)


def _changes(keys: Integers) -> NDArray[np.bool_]:
    """Where a key differs from the one before it."""
    changes = np.ones(keys.size, bool)
    np.not_equal(keys[1:], keys[:-1], out=changes[1:])
    return changes
