"""Which cut a GEMM gets: `mapping.search` decides between the fixed one and the best of all candidates."""

from __future__ import annotations

import numpy as np

from accelsim.array import GemmTiming, TiledGemm
from accelsim.hardware.model import Hardware
from accelsim.lowering.gemm import MaskedGemm
from accelsim.memory.blocking import Blocking, cut_in_portions
from accelsim.memory.run import run_pass
from accelsim.memory.search import candidates
from accelsim.memory.shape import Shape
from accelsim.memory.steps import Cut, Steps

_MANY = 32  # steps: with more of them, their number hardly matters to cycles


def cut_gemm(hw: Hardware, tiled: TiledGemm, timing: GemmTiming, first_tile: int) -> tuple[Cut, Steps]:
    """Cut a GEMM, or several that are stacked, into steps.

    With `mapping.search: best` the cut is taken that moves the fewest bytes, given how many bits a word of each operand
    takes on average. If it has few steps, and there is another one of as many bytes, the one of fewer cycles.
    """
    if hw.mapping.search == "fixed":
        cuts = [Cut(hw, tiled, first_tile)]
    else:
        cuts = [Cut(hw, tiled, first_tile, blocking) for blocking in _best(hw, tiled.gemm)]
    ways = [(cut, cut.steps(timing.tile_cycles)) for cut in cuts]
    return ways[0] if len(ways) == 1 else min(ways, key=lambda way: _cost(hw, way[1]))


def _cost(hw: Hardware, steps: Steps) -> tuple[int, int]:
    dram = hw.memory.dram
    moved = int(steps.load_bytes.sum() + steps.store_bytes.sum())
    return moved, len(steps) if dram is None else run_pass(dram, steps)


def _best(hw: Hardware, gemm: MaskedGemm) -> list[Blocking]:
    """Return the cut that moves the fewest bytes on average; two, if it has few steps and another one moves as many."""
    found = candidates(Shape.of(hw, gemm))
    if not found:
        return [cut_in_portions(hw, gemm)]
    a_bits, b_bits = _bits_per_word(hw, gemm)
    bits = [one.a_words * a_bits + one.b_words * b_bits for one in found]
    best = found[bits.index(min(bits))]
    alike = [one.blocking for one in found if (one.a_words, one.b_words) == (best.a_words, best.b_words)]
    return alike if best.steps < _MANY and hw.memory.dram is not None else alike[:1]


def _bits_per_word(hw: Hardware, gemm: MaskedGemm) -> tuple[float, float]:
    """Return the DRAM bits that a word of A, and one of B, takes on average."""
    plain, packed, footprint = hw.precision.operand_bits, hw.memory.compression, gemm.footprint
    a_density = b_density = 1.0
    if gemm.a_kind in packed:
        a_density = float(np.bitwise_count(gemm.a).sum(dtype=np.int64)) / (gemm.stack * gemm.m * gemm.k)
    if gemm.b_kind in packed:
        elements = footprint.line_nonzeros.size * footprint.line_elements
        b_density = float(footprint.line_nonzeros.sum()) / max(elements, 1)
    return min(plain, 1 + plain * a_density), min(plain, 1 + plain * b_density)
