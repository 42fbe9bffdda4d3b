"""Tiles that take longer than their PEs do: all PEs wait."""

from __future__ import annotations

from dataclasses import replace
from typing import Literal

from accelsim.array.outcome import GemmTiming, Slots
from accelsim.array.tiled import Integers, TiledGemm
from accelsim.hardware.parts import Array


def lengthen(
    array: Array, tiled: TiledGemm, timing: GemmTiming, cycles: Integers, cause: Literal["port", "skew"]
) -> GemmTiming:
    """Let each tile take that many cycles; PEs with an output wait for `cause`, the others are `edge` as before.

    Args:
        cycles: int64 [tiles], none below `timing.tile_cycles`.
    """
    waiting = cycles - timing.tile_cycles
    if not waiting.any():
        return timing
    every = tiled.rows * tiled.cols * int(waiting.sum())
    working = int((tiled.outputs * waiting).sum())
    slots = timing.slots + Slots(edge=array.lanes * (every - working)) + Slots(**{cause: array.lanes * working})
    return replace(timing, tile_cycles=cycles, slots=slots)
