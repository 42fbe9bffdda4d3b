"""Which cut a GEMM gets: `mapping.search` decides between the fixed one and the best of all candidates."""

from __future__ import annotations

import numpy as np

from accelsim.array import GemmTiming, TiledGemm
from accelsim.hardware.model import Hardware
from accelsim.lowering.gemm import MaskedGemm
from accelsim.memory.blocking import cut_in_portions
from accelsim.memory.run import run_pass
from accelsim.memory.search import Candidate, Shape, candidates
from accelsim.memory.steps import Cut, Steps

_FEW = 3  # candidates that are compared with the masks' own bytes


def cut_gemm(hw: Hardware, tiled: TiledGemm, timing: GemmTiming, first_tile: int) -> tuple[Cut, Steps]:
    """Cut a GEMM, or several that are stacked, into steps.

    With `mapping.search: best` the cut that moves the fewest bytes is taken, and of several the one of the fewest
    cycles with memory. Candidates are ordered by the bytes that their words make on average; the first few are cut.
    """
    if hw.mapping.search == "fixed":
        cut = Cut(hw, tiled, first_tile)
        return cut, cut.steps(timing.tile_cycles)
    found = candidates(Shape.of(hw, tiled.gemm))
    if not found:
        cut = Cut(hw, tiled, first_tile, cut_in_portions(hw, tiled.gemm))
        return cut, cut.steps(timing.tile_cycles)
    cuts = [Cut(hw, tiled, first_tile, one.blocking) for one in _likeliest(hw, tiled.gemm, found)]
    ways = [(cut, cut.steps(timing.tile_cycles)) for cut in cuts]
    return ways[0] if len(ways) == 1 else min(ways, key=lambda way: _cost(hw, way[1]))


def _cost(hw: Hardware, steps: Steps) -> tuple[int, int]:
    dram = hw.memory.dram
    moved = int(steps.load_bytes.sum() + steps.store_bytes.sum())
    return moved, len(steps) if dram is None else run_pass(dram, steps)


def _likeliest(hw: Hardware, gemm: MaskedGemm, found: tuple[Candidate, ...]) -> list[Candidate]:
    """Return the few candidates that move the fewest bytes on average."""
    a_bits, b_bits = _bits_a_word(hw, gemm)
    bits = np.array([one.a_words * a_bits + one.b_words * b_bits for one in found])
    if not {gemm.a_kind, gemm.b_kind} & set(hw.memory.compression):
        return [one for one, least in zip(found, bits == bits.min(), strict=True) if least][:_FEW]
    return [found[place] for place in np.argsort(bits, kind="stable")[:_FEW].tolist()]


def _bits_a_word(hw: Hardware, gemm: MaskedGemm) -> tuple[float, float]:
    """DRAM bits that a word of A and of B takes on average."""
    plain, packed, footprint = hw.precision.operand_bits, hw.memory.compression, gemm.footprint
    a_density = b_density = 1.0
    if gemm.a_kind in packed:
        a_density = float(np.bitwise_count(gemm.a).sum(dtype=np.int64)) / (gemm.stack * gemm.m * gemm.k)
    if gemm.b_kind in packed:
        elements = footprint.line_nonzeros.size * footprint.line_elements
        b_density = float(footprint.line_nonzeros.sum()) / max(elements, 1)
    return min(plain, 1 + plain * a_density), min(plain, 1 + plain * b_density)
