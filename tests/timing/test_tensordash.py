"""TensorDash: the fast schedules equal the plain ones, and speed up random sparsity as published."""

from __future__ import annotations

from itertools import combinations
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from accelsim import OpTrace, load_hardware, simulate
from accelsim.hardware.model import Hardware
from accelsim.lowering import PASSES, lower
from accelsim.lowering.reference import plain_lower
from accelsim.timing import pe_kind, time_gemm
from accelsim.timing.tensordash import scheduled_operand
from accelsim.timing.tensordash_reference import LEVELS, MOVES, plain_tensordash
from tests.strategies import operations

TENSORS = ("weight", "activation", "gradient")


def machine(rows: int, cols: int, tensors=TENSORS, depth: int = 3, advance: str = "together") -> Hardware:
    skipping = {"tensors": tensors, "scheduler": "tensordash", "stage_depth": depth, "advance": advance}
    return Hardware.model_validate(
        {"name": "td", "array": {"rows": rows, "cols": cols, "lanes": 16}, "skipping": skipping}
    )


@st.composite
def machines(draw) -> Hardware:
    return machine(
        draw(st.integers(1, 5)),
        draw(st.integers(1, 5)),
        draw(st.lists(st.sampled_from(TENSORS), unique=True, min_size=1)),
        draw(st.integers(1, 3)),
        draw(st.sampled_from(("together", "alone"))),
    )


def linear(weight: np.ndarray, activation: np.ndarray) -> OpTrace:
    """A [M, K] and B [K, N] as the forward pass of a linear layer."""
    return OpTrace(name="fc", step=0, weight=weight, input=activation.T)


def check(hw: Hardware, op: OpTrace, which: str) -> None:
    for plain, gemm in zip(plain_lower(op, which), lower(op, which), strict=True):
        expected, timing = plain_tensordash(hw, plain), time_gemm(hw, gemm)
        assert timing.tile_cycles.tolist() == expected.tile_cycles
        slots = {name: count for name, count in vars(timing.slots).items() if count}
        assert slots == {name: count for name, count in expected.slots.items() if count}
        assert timing.slots.total == hw.array.rows * hw.array.cols * 16 * timing.cycles
        assert len(timing.tile_cycles) == timing.tiles_per_row.sum()


@pytest.mark.reference
@given(machines(), operations(largest=5), st.sampled_from(PASSES))
def test_equals_the_reference_on_any_operation(hw: Hardware, op: OpTrace, which: str) -> None:
    check(hw, op, which)


@pytest.mark.reference
@given(machines(), st.integers(0, 2**32 - 1), st.integers(1, 12), st.integers(1, 12), st.integers(1, 200))
def test_equals_the_reference_on_long_reductions(hw: Hardware, seed: int, m: int, n: int, k: int) -> None:
    rng = np.random.default_rng(seed)
    blocks = np.repeat(rng.random((m, -(-k // 16))) < 0.6, 16, axis=1)[:, :k]  # whole windows without a non-zero, too
    check(hw, linear((rng.random((m, k)) < rng.random()) & blocks, rng.random((k, n)) < rng.random()), "forward")


@pytest.mark.smoke
def test_the_shipped_machine_runs() -> None:
    hw = load_hardware(Path(__file__).parents[2] / "hw_configs" / "tensordash16x16.yaml")
    rng = np.random.default_rng(0)
    op = linear(rng.random((64, 640)) < 0.1, rng.random((640, 64)) < 0.5)
    row = simulate(hw, [op], workers=1).layers.iloc[0]
    assert 2.5 < row["dense_array_cycles"] / row["array_cycles"] < 3


def test_lanes_of_a_level_share_no_candidate() -> None:
    assert sorted(lane for level in LEVELS for lane in level) == list(range(16))
    for level in LEVELS:
        reach = [{(step, (lane + across) % 16) for step, across in MOVES} for lane in level]
        assert all(not one & other for one, other in combinations(reach, 2))


@pytest.mark.reference
@pytest.mark.parametrize(
    ("rows", "zeros", "speedup"),
    [
        *((1, zeros, speedup) for zeros, speedup in ((0.1, 1.10), (0.3, 1.36), (0.5, 1.74), (0.7, 2.32), (0.9, 2.99))),
        *((16, zeros, speedup) for zeros, speedup in ((0.1, 1.07), (0.3, 1.26), (0.5, 1.51), (0.7, 1.92), (0.9, 2.77))),
    ],
)
def test_random_sparsity_speeds_up_as_published(rows: int, zeros: float, speedup: float) -> None:
    rng = np.random.default_rng(0)
    hw = machine(rows, 1, ("weight",))
    (gemm,) = lower(linear(rng.random((rows, 64_000)) >= zeros, np.ones((64_000, 1), bool)), "forward")
    assert 4_000 / time_gemm(hw, gemm).cycles == pytest.approx(speedup, rel=0.03)


@pytest.mark.closed_form
@pytest.mark.parametrize("depth", [1, 2, 3])
def test_nothing_to_do_is_as_fast_as_the_stage_is_deep_and_nothing_to_skip_is_dense(depth: int) -> None:
    hw = machine(2, 2, ("weight",), depth)
    for mask, cycles in ((np.zeros((2, 16 * 12), bool), 12 // depth), (np.ones((2, 16 * 12), bool), 12)):
        (gemm,) = lower(linear(mask, np.ones((16 * 12, 2), bool)), "forward")
        assert time_gemm(hw, gemm).cycles == cycles


@pytest.mark.closed_form
def test_one_cycle_by_hand() -> None:
    """Window 1's lane 15 goes to lane 0 by (1, -1), which leaves lane 15 free to take window 2's by (2, 0)."""
    a = np.zeros((1, 48), bool)
    a[0, [1, 16 + 15, 32 + 15]] = True  # window 0: lane 1; windows 1 and 2: lane 15
    (gemm,) = lower(linear(a, np.ones((48, 1), bool)), "forward")
    timing = time_gemm(machine(1, 1), gemm)
    assert timing.cycles == 1
    assert (timing.slots.effectual, timing.slots.starved) == (3, 13)


@pytest.mark.closed_form
def test_a_schedule_that_waits_for_another_counts_as_sync() -> None:
    """Row 0 has 3 empty windows, row 1 is full: together 3 cycles, of which row 0 needs 1 and waits in 2."""
    a = np.array([[False] * 48, [True] * 48])
    (gemm,) = lower(linear(a, np.ones((48, 1), bool)), "forward")
    together, alone = (time_gemm(machine(2, 1, advance=mode), gemm) for mode in ("together", "alone"))
    assert together.cycles == alone.cycles == 3
    assert (together.slots.effectual, together.slots.sync, together.slots.starved) == (48, 32, 16)
    assert (alone.slots.effectual, alone.slots.barrier, alone.slots.starved) == (48, 32, 16)


def test_the_sparser_listed_operand_is_scheduled() -> None:
    dense, sparse = np.ones((4, 32), bool), np.zeros((32, 8), bool)
    (gemm,) = lower(linear(dense, sparse), "forward")
    assert scheduled_operand(machine(1, 1), gemm) == "b"
    assert scheduled_operand(machine(1, 1, ("weight",)), gemm) == "a"
    assert scheduled_operand(machine(1, 1, ("gradient",)), gemm) is None
    (equal,) = lower(linear(~dense, sparse), "forward")
    assert scheduled_operand(machine(1, 1), equal) == "a"


@pytest.mark.relations
@settings(max_examples=60, deadline=None)
@given(operations(largest=5), machines())
def test_runs_end_to_end_within_the_ceiling(op: OpTrace, hw: Hardware) -> None:
    memory = {"dram": {"bytes_per_cycle": 8}, "compression": ["weight"]}
    hw = Hardware.model_validate({**hw.model_dump(), "memory": memory})
    assert pe_kind(hw) == "tensordash"
    assert pe_kind(hw.dense()) == "dense"
    layers = simulate(hw, [op], workers=1).layers
    assert (layers["array_cycles"] <= layers["dense_array_cycles"]).all()
    assert (layers["dense_array_cycles"] <= 3 * layers["array_cycles"]).all()
    slots = layers[[name for name in layers.columns if name.startswith("slots_")]].sum(axis=1)
    assert (slots == layers["cycles"] * 16 * hw.array.rows * hw.array.cols).all()
