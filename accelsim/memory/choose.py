"""Which cut a GEMM gets, of those that no other beats: `mapping.search`."""

from __future__ import annotations

import numpy as np

from accelsim.array import GemmTiming, TiledGemm
from accelsim.hardware.model import Hardware
from accelsim.lowering.gemm import MaskedGemm
from accelsim.memory.blocking import Blocking
from accelsim.memory.portions import cut_in_portions
from accelsim.memory.run import run_pass
from accelsim.memory.search import candidates
from accelsim.memory.shape import Shape
from accelsim.memory.steps import Cut, Steps

_MANY = 32  # steps: with more of them, their number hardly matters to cycles


def cut_gemm(
    hw: Hardware, tiled: TiledGemm, timing: GemmTiming, first_tile: int, given: Blocking | None = None
) -> tuple[Cut, Steps]:
    """Cut a GEMM, or several that are stacked, into steps.

    The cut is taken that moves the fewest bits: with `mapping.search: best` given how many a word of each operand takes
    on average, with `fixed` as if all were stored plainly. If it has few steps and another one moves as much, the one
    of fewer cycles. All groups of a convolution are cut alike, in the fewest steps: they hide each other's first loads.

    Args:
        first_tile: tiles that earlier GEMMs of the pass had.
        given: the cut to take instead.

    Raises:
        AccelsimError: that one does not fit the buffers.
    """
    cuts = [Cut(hw, tiled, first_tile, blocking) for blocking in ([given] if given else _best(hw, tiled.gemm))]
    if given:
        cuts[0].check_fits()
    ways = [(cut, cut.steps(timing.tile_cycles)) for cut in cuts]
    return ways[0] if len(ways) == 1 else min(ways, key=lambda way: _cost(hw, way[1]))


def _cost(hw: Hardware, steps: Steps) -> tuple[int, int]:
    dram = hw.memory.dram
    moved = int(steps.load_bytes.sum() + steps.store_bytes.sum() + steps.return_bytes.sum())
    return moved, len(steps) if dram is None else run_pass(dram, steps)


def _best(hw: Hardware, gemm: MaskedGemm) -> list[Blocking]:
    """Return the cut that moves the least on average; two, if it has few steps and another one moves as much."""
    shape = Shape.of(hw, gemm)
    found = candidates(shape)
    if not found:
        return [cut_in_portions(shape)]
    a_bits, b_bits = _bits_per_word(hw, gemm)
    sum_bits = 2 * hw.precision.accumulator_bits  # there and back
    bits = [one.a_words * a_bits + one.b_words * b_bits + one.spilled_sums * sum_bits for one in found]
    least = min(bits)
    alike = [one for one, moved in zip(found, bits, strict=True) if moved == least]
    few = alike[0].steps < _MANY and hw.memory.dram is not None and gemm.groups == 1
    return [one.blocking for one in (alike if few else alike[:1])]


def _bits_per_word(hw: Hardware, gemm: MaskedGemm) -> tuple[float, float]:
    """Return the DRAM bits that a word of A, and one of B, takes on average."""
    plain, packed = hw.precision.operand_bits, hw.memory.compression
    a_density = b_density = 1.0
    if hw.mapping.search == "best" and gemm.a_kind in packed:
        a_density = gemm.tensor_densities[0]
        if gemm.groups == 1:  # just the taps of a stride phase
            a_density = float(np.bitwise_count(gemm.a).sum(dtype=np.int64)) / (gemm.m * gemm.k)
    if hw.mapping.search == "best" and gemm.b_kind in packed:
        b_density = gemm.tensor_densities[1]
    return min(plain, 1 + plain * a_density), min(plain, 1 + plain * b_density)
