"""A global buffer: what passes on to the array's buffers is what they would load from DRAM."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from accelsim import Hardware, OpTrace, simulate
from accelsim.array import TiledGemm, time_tiled
from accelsim.lowering import PASSES, lower
from accelsim.memory import Mover
from tests.strategies import operations

LARGE = 1 << 16  # KiB


def machine(kib: int, level: dict[str, int] | None, dram: dict[str, int] | None = None) -> Hardware:
    return Hardware.model_validate(
        {
            "name": "levels",
            "array": {"rows": 4, "cols": 4},
            "memory": {
                "dram": dram,
                "buffers": {"weight_kib": kib, "input_kib": kib, "output_kib": kib},
                "global_buffer": level,
            },
        }
    )


def run(hw: Hardware, op: OpTrace, which: str) -> Mover:
    mover = Mover(hw)
    for gemm in lower(op, which):
        tiled = TiledGemm.of(hw, gemm)
        mover.add(tiled, time_tiled(hw, tiled))
    return mover


def conv(channels: int, outputs: int, size: int, kernel: int) -> OpTrace:
    made = size - kernel + 1
    return OpTrace(
        name="conv",
        step=0,
        weight=np.ones((outputs, channels, kernel, kernel)),
        input=np.ones((2, channels, size, size)),
        grad_output=np.ones((2, outputs, made, made)),
    )


@pytest.mark.reference
@pytest.mark.parametrize("kib", [1, 2, 8])
@pytest.mark.parametrize("op", [conv(32, 48, 8, 1), conv(16, 24, 10, 3)])
@pytest.mark.parametrize("which", ["forward", "weight_grad"])
def test_a_gemm_that_fits_the_global_buffer_passes_on_what_is_loaded_without_one(
    kib: int, op: OpTrace, which: str
) -> None:
    """All of it lies in one macro-tile, which is cut as the GEMM is for buffers that DRAM fills."""
    below, alone = run(machine(kib, {"kib": LARGE}), op, which), run(machine(kib, None), op, which)
    assert len(below.steps) == 1
    returned = 2 * alone.steps.return_bytes.sum() // 2  # sums there and back, in words of 2 bytes
    assert below.steps.refill_words.sum() == alone.steps.loaded_elements.sum() + returned
    assert below.movement().partial_sums == alone.movement().partial_sums


@pytest.mark.closed_form
def test_each_block_of_columns_reads_a_again() -> None:
    """8 x 64 by 64 x 512: half of 1 KiB holds 8 x 16 sums, so A passes for each of 32 blocks of columns, B once."""
    op = OpTrace(name="fc", step=0, weight=np.ones((8, 64)), input=np.ones((512, 64)))
    mover = run(machine(1, {"kib": LARGE}), op, "forward")
    assert mover.steps.refill_words.tolist() == [32 * 8 * 64 + 512 * 64]
    movement = mover.movement()
    assert movement.buffered_elements == 32 * 8 * 64 + 512 * 64
    once = 8 * 64 + 512 * 64
    assert movement.global_buffer_words == once + movement.buffered_elements + 2 * 2 * 8 * 512  # sums: two words each


@pytest.mark.relations
@settings(max_examples=100, deadline=None)
@given(operations(largest=12), st.sampled_from(PASSES), st.sampled_from((1, 2, 8)), st.sampled_from((1, 3, 40)))
def test_relations(op: OpTrace, which: str, kib: int, words: int) -> None:
    dram = {"bytes_per_cycle": 8, "latency_cycles": 20}
    slow = run(machine(kib, {"kib": 64, "words_per_cycle": words}, dram), op, which)
    fast = run(machine(kib, {"kib": 64, "words_per_cycle": 4 * words}, dram), op, which)
    alone = run(machine(kib, None, dram), op, which)
    assert fast.movement().cycles <= slow.movement().cycles
    assert slow.movement().cycles >= slow.steps.refill_words.sum() / words
    assert slow.array_cycles == alone.array_cycles
    for mover in (slow, fast):
        assert mover.movement().dram_read_bytes + mover.movement().dram_write_bytes <= sum(
            part.sum() for part in (alone.steps.load_bytes, alone.steps.store_bytes, alone.steps.return_bytes)
        )


@pytest.mark.closed_form
def test_the_level_is_paid_for_and_costs_nothing_on_ideal_memory() -> None:
    op = conv(8, 8, 6, 3)
    with_level, without = (simulate(machine(8, level), [op]).layers for level in ({"kib": 64}, None))
    assert (with_level["cycles"] == without["cycles"]).all()
    assert (with_level["energy_buffer_pj"] > without["energy_buffer_pj"]).all()
