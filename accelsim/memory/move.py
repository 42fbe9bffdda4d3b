"""Data movement of one pass: from GEMMs and their timing to cycles with memory, and what crossed each boundary."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from itertools import zip_longest

import numpy as np
from numpy.typing import NDArray

from accelsim.array import GemmTiming, TiledGemm
from accelsim.hardware.model import Hardware
from accelsim.memory.blocking import Blocking
from accelsim.memory.choose import cut_gemm
from accelsim.memory.mappings import GivenCuts
from accelsim.memory.run import run_pass
from accelsim.memory.steps import Cut, Steps


@dataclass(frozen=True)
class Movement:
    """Memory's side of a pass.

    Attributes:
        cycles: array and memory together.
        dram_read_bytes, dram_write_bytes: what crossed the DRAM channel.
        buffered_elements: words written to the operand buffers.
        partial_sums: accumulators written to the output buffer (and as many read: to go on, or to be stored), after
            each chunk of K on chip, or more often where the array's dataflow passes them through.
        global_buffer_words: words of operands' width that are written to or read from the global buffer.
    """

    cycles: int
    dram_read_bytes: int
    dram_write_bytes: int
    buffered_elements: int
    partial_sums: int
    global_buffer_words: int


@dataclass
class Mover:
    """Collects the macro-tile steps of a pass's GEMMs; they run as one pipeline, without a gap between GEMMs.

    Attributes:
        tiles, step_count: of the GEMMs so far.
        given: how they are to be cut; None: the cuts are searched.
    """

    hw: Hardware
    given: GivenCuts | None = None
    tiles: int = 0
    step_count: int = 0

    def __post_init__(self) -> None:
        self.worked = np.zeros(self.hw.array.count, np.int64)
        self._cuts: defaultdict[int, list[Blocking]] = defaultdict(list)
        self._partial_sums = 0
        self._parts: list[Steps] = []
        self._groups: list[NDArray[np.int64]] = []

    def add(self, tiled: TiledGemm, timing: GemmTiming) -> Cut:
        """Append one GEMM, or several that are stacked, on a machine with one array; returns how they were cut."""
        group, stack = tiled.gemm.group, tiled.gemm.stack
        given = None if self.given is None else self.given.of(group, len(self._cuts[group]))
        cut, steps = cut_gemm(self.hw, tiled, timing, self.tiles, given)
        self._parts.append(steps)
        self._groups.append(cut.groups)
        for member in range(group, group + stack):
            self._cuts[member].append(cut.blocking)
        self._partial_sums += max(int(steps.partial_sums.sum()), timing.buffered_sums or 0)
        self.worked += steps.array_cycles.sum(axis=0)
        self.tiles += timing.tile_cycles.size
        self.step_count += len(steps)
        return cut

    def _global_buffer_words(self, refilled: int) -> int:
        """Operands that come and go, and the sums of each step: written, and read to go on or to be stored."""
        steps, precision = self.steps, self.hw.precision
        sums = 2 * int(steps.held_sums.sum()) * precision.accumulator_bits // precision.operand_bits
        return int(steps.loaded_elements.sum()) + refilled + sums

    @property
    def cuts(self) -> list[Blocking]:
        """How the GEMMs were cut: those of the first stride phase of each group, then those of the next."""
        phases = zip_longest(*(self._cuts[group] for group in sorted(self._cuts)))
        return [cut for phase in phases for cut in phase if cut is not None]

    @property
    def steps(self) -> Steps:
        """The steps so far, group by group."""
        if not self._parts:
            return Steps.none(self.hw.array.count)
        if len(self._parts) > 1:  # joined once
            steps, groups = Steps.join(self._parts), np.concatenate(self._groups)
            if (groups[1:] < groups[:-1]).any():  # stride phases of GEMMs that were stacked
                order = np.argsort(groups, kind="stable")
                steps, groups = steps.take(order), groups[order]
            self._parts, self._groups = [steps], [groups]
        return self._parts[0]

    @property
    def array_cycles(self) -> int:
        """Cycles of the array that works longest, memory aside."""
        return int(self.worked.max())

    @property
    def unshared_cycles(self) -> int:
        """Cycles for which arrays that are done wait for the last one, summed over them, memory aside."""
        return int((self.worked.max() - self.worked).sum())

    def movement(self, cycles: int | None = None) -> Movement:
        """Run the pass; ideal memory (`dram: null`) costs no cycle.

        Args:
            cycles: that it takes among other passes; None: it runs by itself.
        """
        dram, steps = self.hw.memory.dram, self.steps
        refilled = 0 if steps.refill_words is None else int(steps.refill_words.sum())
        if cycles is None:
            cycles = self.array_cycles if dram is None else run_pass(dram, steps)
        returned = int(steps.return_bytes.sum())
        return Movement(
            cycles=cycles,
            dram_read_bytes=int(steps.load_bytes.sum()) + returned,
            dram_write_bytes=int(steps.store_bytes.sum()),
            buffered_elements=refilled or int(steps.loaded_elements.sum()),
            global_buffer_words=self._global_buffer_words(refilled) if refilled else 0,
            partial_sums=self._partial_sums + returned * 8 // self.hw.precision.accumulator_bits,
        )
