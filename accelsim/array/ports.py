"""Ports between the on-chip buffers and the array: how many words of an operand can be read in a cycle."""

from __future__ import annotations

from typing import NamedTuple, Self

import numpy as np

from accelsim.array.outcome import GemmTiming
from accelsim.array.tiled import Integers, TiledGemm
from accelsim.array.waiting import lengthen
from accelsim.hardware.parts import Array, Buffers, Width


class Ports(NamedTuple):
    """Words of operands A and B that can be read in a cycle; None: as many as are asked for."""

    a_words: int | None
    b_words: int | None

    @classmethod
    def of(cls, buffers: Buffers, array: Array, positions: int) -> Self:
        """Return a machine's ports.

        Args:
            positions: of K, that a row or column of PEs takes at most in a cycle.
        """
        a_words = _words(buffers.weight_words_per_cycle, array.rows * positions)
        return cls(a_words, _words(buffers.input_words_per_cycle, array.cols * positions))


def _words(width: Width, window: int) -> int | None:
    match width:
        case "unlimited":
            return None
        case "window":
            return window
        case _:
            return int(width)


def through_ports(ports: Ports, array: Array, tiled: TiledGemm, timing: GemmTiming, window: int = 0) -> GemmTiming:
    """Lengthen tiles to what their words take; PEs with an output wait in `port` slots.

    Words are those of the windows that are streamed, for the rows and columns that a tile uses, each once. It is all
    that a port costs PEs that take positions of K as they come, or one window per cycle, and the least that it costs
    any others.

    Args:
        window: see `port_cycles`.
    """
    if ports == (None, None):
        return timing
    positions = np.full(tiled.tiles, tiled.gemm.k) if timing.tile_positions is None else timing.tile_positions
    return lengthen(
        array, tiled, timing, np.maximum(timing.tile_cycles, port_cycles(ports, tiled, positions, window)), "port"
    )


def port_cycles(ports: Ports, tiled: TiledGemm, positions: Integers, window: int = 0) -> Integers:
    """Return how long each tile's words take to be read once, int64 [tiles]; 0 where neither port is limited.

    They take ceil(words / words per cycle) of either operand. A window that is taken whole, one per cycle, also waits
    for those before it: the last one is taken at the earliest in the cycle after they have come.

    Args:
        positions: int64 [tiles], K positions that each tile streams.
        window: positions that PEs take at once; 0: as they come.
    """
    cycles = np.zeros(tiled.tiles, np.int64)
    before = (positions - 1) // window * window if window else positions  # of all windows but the last
    for lines, words in ((tiled.heights, ports.a_words), (tiled.widths, ports.b_words)):
        if words is not None:
            cycles = np.maximum(cycles, -(-lines * positions // words))
            if window:
                cycles = np.maximum(cycles, np.where(positions > 0, -(-lines * before // words) + 1, 0))
    return cycles
