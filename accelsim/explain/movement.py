"""What bounds a pass: its cycles again with one of bandwidth, latency and array work taken away."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, replace
from operator import itemgetter
from typing import Literal

import numpy as np

from accelsim.hardware.model import Hardware
from accelsim.hardware.parts import Dram
from accelsim.memory import Mover
from accelsim.memory.blocking import Blocking
from accelsim.memory.recurrence import RowUse, pass_cycles, row_use

_UNLIMITED = 1e9  # bytes a cycle, the most that a hardware file may say
Bound = Literal["array", "bandwidth", "latency"]


@dataclass(frozen=True)
class MemoryAccount:
    """Memory's part in a pass.

    Attributes:
        array_cycles: the array alone.
        cycles: array and memory together.
        macro_tiles: steps in which operands are loaded, a chunk of K each.
        blockings: how the pass's GEMMs are cut into macro-tiles, and how many of them in that way.
        dram_read_bytes, dram_write_bytes: what crossed the DRAM channel.
        bound: whose absence would save most; None with ideal memory.
        without: cycles with unlimited bandwidth, without latency, and if the array took no time; empty with ideal
            memory. Of a DRAM with rows: all times of the DRAM none, and its peak bandwidth without rows and refresh.
        rows: how well such a DRAM is used; None for others.
        overlaps: whether in a run the pass's neighbours change its cycles (`memory.overlap`); here it is by itself.
    """

    array_cycles: int
    cycles: int
    macro_tiles: int
    blockings: tuple[tuple[Blocking, int], ...]
    dram_read_bytes: int
    dram_write_bytes: int
    bound: Bound | None
    without: dict[Bound, int]
    rows: RowUse | None
    overlaps: bool


def memory_account(hw: Hardware, mover: Mover) -> MemoryAccount:
    """Account for a pass whose GEMMs have all been added to the mover."""
    movement, steps, dram = mover.movement(), mover.steps, hw.memory.dram
    without: dict[Bound, int] = {}
    if dram is not None:
        idle = replace(steps, array_cycles=np.zeros_like(steps.array_cycles))
        latency_cycles = 0 if dram.has_rows else dram.latency_cycles
        without = {
            "array": pass_cycles(dram, idle),
            "bandwidth": pass_cycles(_constant(_UNLIMITED, latency_cycles), steps),
            "latency": pass_cycles(_constant(dram.bytes_per_cycle, 0), steps),
        }
    return MemoryAccount(
        array_cycles=mover.array_cycles,
        cycles=movement.cycles,
        macro_tiles=len(steps),
        blockings=tuple(Counter(mover.cuts).items()),
        dram_read_bytes=movement.dram_read_bytes,
        dram_write_bytes=movement.dram_write_bytes,
        bound=min(without.items(), key=itemgetter(1))[0] if without else None,
        without=without,
        rows=row_use(dram, steps) if dram is not None and dram.has_rows else None,
        overlaps=hw.memory.joins_passes,
    )


def _constant(bytes_per_cycle: float, latency_cycles: int) -> Dram:
    return Dram.model_validate({"bytes_per_cycle": bytes_per_cycle, "latency_cycles": latency_cycles})
