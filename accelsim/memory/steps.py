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


def macro_steps(hw: Hardware, gemm: MaskedGemm, timing: GemmTiming, first_tile: int = 0) -> Steps:
    """Return the steps of one GEMM in the order in which the arrays take them.

    Macro-tiles without an output that must be computed are left out. An operand's block that the step before has used
    is still on chip.

    Args:
        first_tile: tiles that earlier GEMMs of the pass had; tile t of a pass goes to array t mod `array.count`.

    Raises:
        HardwareError: a buffer does not hold one tile.
    """
    parts = Parts(hw, gemm)
    outputs, stored = parts.outputs()
    if parts.blocking.order == "rows":
        row, column = np.nonzero(outputs)
    else:
        column, row = np.nonzero(outputs.T)
    a, b = parts.operand_a(), parts.operand_b()
    chunks = parts.starts.size
    # step by step: chunks are innermost
    row, column, chunk = np.repeat(row, chunks), np.repeat(column, chunks), np.tile(np.arange(chunks), row.size)
    loads_a, loads_b = _changes(row * chunks + chunk), _changes(column * chunks + chunk)
    last = chunk == chunks - 1
    work = parts.cycles(timing, first_tile)[row, column]
    starts, stops = parts.starts[chunk, None], parts.stops[chunk, None]
    return Steps(
        load_bytes=loads_a * a.size_bytes[row, chunk] + loads_b * b.size_bytes[column, chunk],
        loaded_elements=loads_a * a.elements[row, chunk] + loads_b * b.elements[column, chunk],
        array_cycles=work * stops // gemm.k - work * starts // gemm.k if chunks > 1 else work,
        store_bytes=last * stored[row, column],
        finishes=last,
        partial_sums=outputs[row, column],
    )


def _changes(keys: Integers) -> NDArray[np.bool_]:
    """Where a key differs from the one before it."""
    changes = np.ones(keys.size, bool)
    np.not_equal(keys[1:], keys[:-1], out=changes[1:])
    return changes
