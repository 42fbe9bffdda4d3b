"""What the array did with one GEMM: cycles per tile, and where every lane of every cycle went."""

from __future__ import annotations

import operator
from dataclasses import dataclass
from typing import Self

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class Slots:
    """Lane-cycles by what became of them; they sum to R · C · L · cycles.

    Attributes:
        effectual: a pair with two non-zeros.
        ineffectual: a consumed pair with a zero.
        edge: a PE with no output to compute.
        barrier: the PE's group has ended, another has not.
        sync: the group's scanner was blocked by a full queue, or the group is only draining.
        starved: the scanner advanced and gave the PE too little.
        port: the PE's group waits for a window that the buffers' ports have not delivered yet.
        skew: operands travel into, or results out of, the array (its fill and drain).
        memory: the array waits for data or for room.
    """

    effectual: int = 0
    ineffectual: int = 0
    edge: int = 0
    barrier: int = 0
    sync: int = 0
    starved: int = 0
    port: int = 0
    skew: int = 0
    memory: int = 0

    @property
    def total(self) -> int:
        """All lane-cycles."""
        return sum(vars(self).values())

    @property
    def idle(self) -> int:
        """Lane-cycles without a pair."""
        return self.total - self.effectual - self.ineffectual

    def __add__(self, other: Self) -> Slots:
        return Slots(*map(operator.add, vars(self).values(), vars(other).values()))


@dataclass(frozen=True)
class GemmTiming:
    """One GEMM on the array, memory aside.

    Attributes:
        tile_cycles: int64, cycles of each tile; row tiles outermost.
        tiles_per_row: int64 [row tiles], scheduled column tiles of each row tile.
        slots: where the lane-cycles of all tiles went.
        scan_windows: windows looked at, summed over PEs; 0 on a dense PE.
        fifo_pushes: pairs that went through a queue; 0 on a dense PE.
        streamed_a, streamed_b: operand elements read from the buffers: those of a window once for every cycle in which
            some group of PEs takes it.
        outputs: outputs computed.
        buffered_sums: partial sums and outputs that the array writes to the output buffer, where an operand stays in
            the PEs; None: each output once.
        tile_positions: int64, K positions streamed through each tile; None means all of K through every one.
    """

    tile_cycles: NDArray[np.int64]
    tiles_per_row: NDArray[np.int64]
    slots: Slots
    scan_windows: int
    fifo_pushes: int
    streamed_a: int
    streamed_b: int
    outputs: int
    tile_positions: NDArray[np.int64] | None = None
    buffered_sums: int | None = None

    @property
    def cycles(self) -> int:
        """Cycles of all tiles, one after another."""
        return int(self.tile_cycles.sum())
