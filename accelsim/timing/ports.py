"""Ports between the on-chip buffers and the array: a tile takes at least as long as its words take to arrive."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from accelsim.hardware.model import Hardware
from accelsim.lowering.gemm import MaskedGemm
from accelsim.timing.outcome import GemmTiming, Slots
from accelsim.timing.tiles import Schedule, schedule


def through_ports(hw: Hardware, gemm: MaskedGemm, timing: GemmTiming) -> GemmTiming:
    """Stretch tiles to ceil(words / words_per_cycle) of either operand; the array waits, in `memory` slots.

    Words are those of the windows that are streamed, for the rows and columns that a tile uses. A port works ahead as
    far as it likes within a tile, so this is the least that a port can cost; banks and their conflicts are left out.
    """
    array = hw.array
    positions = np.full(timing.tile_cycles.size, gemm.k) if timing.tile_positions is None else timing.tile_positions
    cycles = np.maximum(timing.tile_cycles, port_cycles(hw, gemm, schedule(hw, gemm), positions))
    waiting = int((cycles - timing.tile_cycles).sum())
    slots = timing.slots + Slots(memory=array.rows * array.cols * array.lanes * waiting)
    return replace(timing, tile_cycles=cycles, slots=slots)


def port_cycles(hw: Hardware, gemm: MaskedGemm, plan: Schedule, positions: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return how long each tile's words take to arrive, int64 [tiles]; 0 where neither port is limited.

    Args:
        positions: int64 [tiles], K positions that each tile streams.
    """
    buffers, extents = hw.memory.buffers, plan.extents(hw, gemm)
    cycles = np.zeros(plan.tiles, np.int64)
    for lines, port in zip(extents, (buffers.weight_words_per_cycle, buffers.input_words_per_cycle), strict=True):
        if port is not None:
            cycles = np.maximum(cycles, -(-lines * positions // port))
    return cycles
