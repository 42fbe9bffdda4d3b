"""Ports between the on-chip buffers and the array: a tile takes at least as long as its words take to arrive."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from accelsim.array.outcome import GemmTiming, Slots
from accelsim.array.tiled import Integers, TiledGemm
from accelsim.hardware.model import Hardware
from accelsim.hardware.parts import Buffers


def through_ports(hw: Hardware, tiled: TiledGemm, timing: GemmTiming) -> GemmTiming:
    """Stretch tiles to ceil(words / words_per_cycle) of either operand; the array waits, in `memory` slots.

    Words are those of the windows that are streamed, for the rows and columns that a tile uses. A port works ahead as
    far as it likes within a tile, so this is the least that a port can cost; banks and their conflicts are left out.
    """
    array, buffers = hw.array, hw.memory.buffers
    if buffers.weight_words_per_cycle is None and buffers.input_words_per_cycle is None:
        return timing
    positions = np.full(tiled.tiles, tiled.gemm.k) if timing.tile_positions is None else timing.tile_positions
    cycles = np.maximum(timing.tile_cycles, port_cycles(buffers, tiled, positions))
    waiting = int((cycles - timing.tile_cycles).sum())
    slots = timing.slots + Slots(memory=array.rows * array.cols * array.lanes * waiting)
    return replace(timing, tile_cycles=cycles, slots=slots)


def port_cycles(buffers: Buffers, tiled: TiledGemm, positions: Integers) -> Integers:
    """Return how long each tile's words take to arrive, int64 [tiles]; 0 where neither port is limited.

    Args:
        positions: int64 [tiles], K positions that each tile streams.
    """
    cycles = np.zeros(tiled.tiles, np.int64)
    ports = ((tiled.heights, buffers.weight_words_per_cycle), (tiled.widths, buffers.input_words_per_cycle))
    for lines, words_per_cycle in ports:
        if words_per_cycle is not None:
            cycles = np.maximum(cycles, -(-lines * positions // words_per_cycle))
    return cycles
