"""Ports between the on-chip buffers and the array: a tile takes at least as long as its words take to arrive."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from accelsim.hardware.model import Hardware
from accelsim.lowering.gemm import MaskedGemm
from accelsim.timing.outcome import GemmTiming, Slots
from accelsim.timing.tiles import schedule


def through_ports(hw: Hardware, gemm: MaskedGemm, timing: GemmTiming) -> GemmTiming:
    """Stretch tiles to ceil(words / words_per_cycle) of either operand; the array waits, in `memory` slots.

    Words are those of the windows that are streamed, for the rows and columns that a tile uses. A port works ahead as
    far as it likes within a tile, so this is the least that a port can cost; banks and their conflicts are left out.
    """
    buffers, array = hw.memory.buffers, hw.array
    plan = schedule(hw, gemm)
    heights, widths = plan.extents(hw, gemm)
    positions = np.full(plan.tiles, gemm.k) if timing.tile_positions is None else timing.tile_positions
    cycles = timing.tile_cycles
    for words, port in (
        (heights * positions, buffers.weight_words_per_cycle),
        (widths * positions, buffers.input_words_per_cycle),
    ):
        if port is not None:
            cycles = np.maximum(cycles, -(-words // port))
    waiting = int((cycles - timing.tile_cycles).sum())
    slots = timing.slots + Slots(memory=array.rows * array.cols * array.lanes * waiting)
    return replace(timing, tile_cycles=cycles, slots=slots)
