"""What a better machine never costs with `mapping.search: best`, and that the best is no worse than the fixed cut."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from accelsim import Hardware, OpTrace
from accelsim.array import TiledGemm, time_tiled
from accelsim.lowering import PASSES, lower
from accelsim.lowering.lower import Lowering
from accelsim.memory import Movement, Mover
from tests.strategies import operations

KIB = ("weight_kib", "input_kib", "output_kib")


def machine(array: tuple[int, int], kib: tuple[int, int, int], *, bandwidth: float = 8, **changes: object) -> Hardware:
    """A dense machine; of buffers that hold no tile of the array, an operand comes in portions."""
    return Hardware.model_validate(
        {
            "name": "best",
            "array": {"rows": array[0], "cols": array[1]},
            "memory": {
                "dram": {"bytes_per_cycle": bandwidth, "latency_cycles": 20},
                "buffers": dict(zip(KIB, kib, strict=True)),
                **changes,
            },
            "mapping": {"search": "best"},
        }
    )


def moved(hw: Hardware, op: OpTrace, which: str) -> Movement:
    mover = Mover(hw)
    for gemm in lower(op, which):
        tiled = TiledGemm.of(hw, gemm)
        mover.add(tiled, time_tiled(hw, tiled))
    return mover.movement()


def dram_bytes(movement: Movement) -> int:
    return movement.dram_read_bytes + movement.dram_write_bytes


arrays = st.tuples(st.integers(1, 6), st.integers(1, 6))
buffers = st.tuples(*[st.sampled_from((1, 1, 2, 3, 5, 8, 16))] * 3)


@pytest.mark.relations
@settings(max_examples=300, deadline=None)
@given(operations(largest=16), st.sampled_from(PASSES), arrays, buffers, st.sampled_from((0, 1, 2)), st.integers(1, 20))
def test_larger_buffers_never_cost_bytes(op, which, array, kib, grown, more) -> None:  # type: ignore[no-untyped-def]
    larger = tuple(size + more * (place == grown) for place, size in enumerate(kib))
    assert dram_bytes(moved(machine(array, larger), op, which)) <= dram_bytes(moved(machine(array, kib), op, which))


@pytest.mark.relations
@settings(max_examples=300, deadline=None)
@given(operations(largest=16), st.sampled_from(PASSES), arrays, buffers, st.sampled_from((1.1, 2.0, 100.0)))
def test_more_bandwidth_never_costs_bytes_or_cycles(op, which, array, kib, factor) -> None:  # type: ignore[no-untyped-def]
    slow, fast = (moved(machine(array, kib, bandwidth=8 * more), op, which) for more in (1.0, factor))
    assert dram_bytes(fast) == dram_bytes(slow)
    assert fast.cycles <= slow.cycles


@pytest.mark.relations
@settings(max_examples=300, deadline=None)
@given(operations(largest=16), st.sampled_from(PASSES), arrays, buffers)
def test_compression_never_costs_bytes(op, which, array, kib) -> None:  # type: ignore[no-untyped-def]
    packed = machine(array, kib, compression=("weight", "activation", "gradient"))
    assert dram_bytes(moved(packed, op, which)) <= dram_bytes(moved(machine(array, kib), op, which))


@pytest.mark.relations
@settings(max_examples=200, deadline=None)
@given(operations(largest=10), st.sampled_from(PASSES), arrays, buffers)
def test_stacked_groups_move_what_they_move_alone(op, which, array, kib) -> None:  # type: ignore[no-untyped-def]
    """Whatever their masks; machines that run beside a machine may ask for GEMMs one by one."""
    hw = machine(array, kib, compression=("weight", "activation", "gradient"))
    stacked, alone = Mover(hw), Mover(hw)
    for mover, gemms in ((stacked, Lowering(op).gemms(which, stacked=True)), (alone, lower(op, which))):
        for gemm in gemms:
            tiled = TiledGemm.of(hw, gemm)
            mover.add(tiled, time_tiled(hw, tiled))
    assert stacked.cuts == alone.cuts
    assert stacked.movement() == alone.movement()


@pytest.mark.closed_form
@pytest.mark.parametrize(("a_density", "b_density", "order"), [(0.01, 0.9, "columns"), (0.9, 0.01, "rows")])
def test_the_masks_choose_which_operand_stays(a_density: float, b_density: float, order: str) -> None:
    """A and B alike, both too large for their buffers: the one with the fewer non-zeros is loaded again."""
    rng = np.random.default_rng(0)
    weight, given = (rng.random((256, 512)) < density for density in (a_density, b_density))
    hw = machine((4, 4), (64, 64, 2), compression=("weight", "activation"))
    (gemm,) = lower(OpTrace(name="fc", step=0, weight=weight, input=given), "forward")
    tiled = TiledGemm.of(hw, gemm)
    cut = Mover(hw).add(tiled, time_tiled(hw, tiled))
    assert cut.blocking.stays
    assert cut.blocking.order == order


@pytest.mark.closed_form
def test_groups_of_unlike_masks_are_cut_alike() -> None:
    """By itself the first group would keep B on chip and the second one A."""
    rng = np.random.default_rng(0)
    densities = (0.01, 0.9), (0.9, 0.01)
    weight = np.concatenate([rng.random((256, 512, 1, 1)) < own for own, _ in densities])
    given = np.concatenate([rng.random((256, 512, 1, 1)) < own for _, own in densities], axis=1)
    op = OpTrace(name="grouped", step=0, weight=weight, input=given, groups=2)
    hw = machine((4, 4), (64, 64, 2), compression=("weight", "activation"))
    mover = Mover(hw)
    for gemm in lower(op, "forward"):
        tiled = TiledGemm.of(hw, gemm)
        mover.add(tiled, time_tiled(hw, tiled))
    first, second = mover.cuts
    assert first == second
