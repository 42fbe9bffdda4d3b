"""A GEMM as a sequence of macro-tile steps: what each one loads, how long the arrays work on it, what it stores."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields

import numpy as np
from numpy.typing import NDArray

from accelsim.hardware.model import Hardware
from accelsim.lowering.gemm import MaskedGemm
from accelsim.memory.parts import Parts
from accelsim.timing.outcome import GemmTiming

Integers = NDArray[np.int64]


@dataclass(frozen=True)
class Steps:
    """Steps in the order in which the arrays take them; each is a macro-tile, or one chunk of K of it.

    Attributes:
        load_bytes: int64 [steps], DRAM bytes that a step waits for; 0 if all it needs is on chip.
        loaded_elements: int64 [steps], the same in words, as they lie on chip.
        array_cycles: int64 [steps, arrays], how long each array works on a step.
        store_bytes: int64 [steps], DRAM bytes that a step leaves behind; 0 unless it finishes its outputs.
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
        """Put at least one sequence of steps one behind another."""
        return cls(*(np.concatenate([getattr(part, column.name) for part in parts]) for column in fields(cls)))

    @classmethod
    def none(cls, arrays: int) -> Steps:
        """Return no step of a machine with this many arrays."""
        nothing = np.zeros(0, np.int64)
        return cls(nothing, nothing, np.zeros((0, arrays), np.int64), nothing, np.zeros(0, bool), nothing)


class Cut:
    """A GEMM cut into steps; how long the arrays work on each is given afterwards.

    Macro-tiles without an output that must be computed are left out. An operand's block that the step before has used
    is still on chip.

    Args:
        first_tile: tiles that earlier GEMMs of the pass had; tile t of a pass goes to array t mod `array.count`.

    Raises:
        HardwareError: a buffer does not hold one tile.
    """

    def __init__(self, hw: Hardware, gemm: MaskedGemm, first_tile: int = 0) -> None:
        self._parts, self._first_tile = Parts(hw, gemm), first_tile
        self._outputs, self._stored = self._parts.outputs()
        if self._parts.blocking.order == "rows":
            row, column = np.nonzero(self._outputs)
        else:
            column, row = np.nonzero(self._outputs.T)
        chunks = self._parts.starts.size
        # step by step: chunks are innermost
        self._row, self._column = np.repeat(row, chunks), np.repeat(column, chunks)
        self._chunk = np.tile(np.arange(chunks), row.size)

    def work(self, tile_cycles: Integers) -> Integers:
        """Share tiles' cycles out among steps: int64 [tiles] to [steps, arrays]."""
        parts = self._parts
        work = parts.cycles(tile_cycles, self._first_tile)[self._row, self._column]
        if parts.starts.size == 1:
            return work
        starts, stops = parts.starts[self._chunk, None], parts.stops[self._chunk, None]
        return work * stops // parts.gemm.k - work * starts // parts.gemm.k

    def steps(self, tile_cycles: Integers) -> Steps:
        """Return the steps in the order in which the arrays take them, given each tile's cycles."""
        a, b = self._parts.operand_a(), self._parts.operand_b()
        row, column, chunk, chunks = self._row, self._column, self._chunk, self._parts.starts.size
        loads_a, loads_b = _changes(row * chunks + chunk), _changes(column * chunks + chunk)
        last = chunk == chunks - 1
        return Steps(
            load_bytes=loads_a * a.size_bytes[row, chunk] + loads_b * b.size_bytes[column, chunk],
            loaded_elements=loads_a * a.elements[row, chunk] + loads_b * b.elements[column, chunk],
            array_cycles=self.work(tile_cycles),
            store_bytes=last * self._stored[row, column],
            finishes=last,
            partial_sums=self._outputs[row, column],
        )


def macro_steps(hw: Hardware, gemm: MaskedGemm, timing: GemmTiming, first_tile: int = 0) -> Steps:
    """Return the steps of one timed GEMM, see `Cut`.

    Raises:
        HardwareError: a buffer does not hold one tile.
    """
    return Cut(hw, gemm, first_tile).steps(timing.tile_cycles)


def _changes(keys: Integers) -> NDArray[np.bool_]:
    """Where a key differs from the one before it."""
    changes = np.ones(keys.size, bool)
    np.not_equal(keys[1:], keys[:-1], out=changes[1:])
    return changes
