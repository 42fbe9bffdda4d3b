"""Data movement of one pass: from GEMMs and their timing to cycles with memory, and what crossed each boundary."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from accelsim.hardware.model import Hardware
from accelsim.lowering.gemm import MaskedGemm
from accelsim.memory.recurrence import pass_cycles
from accelsim.memory.steps import Step, dealt_cycles, macro_steps
from accelsim.timing.outcome import GemmTiming


@dataclass(frozen=True)
class Movement:
    """Memory's side of a pass.

    Attributes:
        cycles: array and memory together.
        dram_read_bytes, dram_write_bytes: what crossed the DRAM channel.
        buffered_elements: words written to the operand buffers.
        partial_sums: accumulators written to the output buffer (and as many read: to go on, or to be stored).
    """

    cycles: int
    dram_read_bytes: int
    dram_write_bytes: int
    buffered_elements: int
    partial_sums: int


@dataclass
class Mover:
    """Collects the macro-tile steps of a pass's GEMMs; they run as one pipeline, without a gap between GEMMs."""

    hw: Hardware
    steps: list[Step] = field(default_factory=list)
    tiles: int = 0

    def __post_init__(self) -> None:
        self.worked = np.zeros(self.hw.array.count, np.int64)

    def add(self, gemm: MaskedGemm, timing: GemmTiming) -> None:
        """Append one GEMM.

        Raises:
            HardwareError: a buffer does not hold one tile.
        """
        self.worked += dealt_cycles(self.hw, timing, self.tiles).sum(axis=1)
        self.steps.extend(macro_steps(self.hw, gemm, timing, self.tiles))
        self.tiles += timing.tile_cycles.size

    @property
    def array_cycles(self) -> int:
        """Cycles of the array that works longest, memory aside."""
        return int(self.worked.max())

    @property
    def unshared_cycles(self) -> int:
        """Cycles for which arrays that are done wait for the last one, summed over them, memory aside."""
        return int((self.worked.max() - self.worked).sum())

    def movement(self) -> Movement:
        """Run the pass; ideal memory (`dram: null`) costs no cycle."""
        dram = self.hw.memory.dram
        return Movement(
            cycles=self.array_cycles if dram is None else pass_cycles(dram, self.steps),
            dram_read_bytes=sum(step.load_bytes for step in self.steps),
            dram_write_bytes=sum(step.store_bytes for step in self.steps),
            buffered_elements=sum(step.loaded_elements for step in self.steps),
            partial_sums=sum(step.partial_sums for step in self.steps),
        )
