"""TensorDash: the fast schedules equal the plain ones, and speed up random sparsity as published."""

from __future__ import annotations

from itertools import combinations
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from accelsim import OpTrace, load_hardware, simulate
from accelsim.array import pe_of, time_gemm
from accelsim.array.tensordash import TensorDashPE
from accelsim.hardware.model import Hardware
from accelsim.lowering import PASSES, MaskedGemm, lower
from tests.oracle.lowering import plain_lower
from tests.oracle.tensordash import LEVELS, MOVES, plain_tensordash
from tests.strategies import operations

TENSORS = ("weight", "activation", "gradient")


def machine(
    rows: int,
    cols: int,
    tensors=TENSORS,
    depth: int = 3,
    advance: str = "together",
    blocks=(),
    outputs: bool = False,
    scan_width: int = 16,
) -> Hardware:
    skipping = {
        "tensors": tensors,
        "scheduler": "tensordash",
        "stage_depth": depth,
        "advance": advance,
        "blocks": blocks,
        "outputs": outputs,
        "scan_width": scan_width,
    }
    return Hardware.model_validate(
        {"name": "td", "array": {"rows": rows, "cols": cols, "lanes": 16, "drain": "free"}, "skipping": skipping}
    )


@st.composite
def machines(draw) -> Hardware:
    hw = machine(
        draw(st.integers(1, 5)),
        draw(st.integers(1, 5)),
        draw(st.lists(st.sampled_from(TENSORS), unique=True, min_size=1)),
        draw(st.integers(1, 3)),
        draw(st.sampled_from(("together", "alone"))),
        draw(st.lists(st.sampled_from(TENSORS), unique=True)),
        draw(st.booleans()),
        draw(st.sampled_from((4, 16, 40))),
    )
    ports = {name: draw(st.sampled_from(("window", "unlimited", 5, 40, 90, 200))) for name in ("weight", "input")}
    more = {
        "array": hw.array.model_dump() | {"drain": draw(st.sampled_from(("overlapped", "exposed", "free")))},
        "mapping": {"row_order": draw(st.sampled_from(("natural", "density", "packed")))},
        "memory": {"buffers": {f"{name}_words_per_cycle": words for name, words in ports.items()}},
    }
    return Hardware.model_validate(hw.model_dump() | more)


def linear(weight: np.ndarray, activation: np.ndarray, needed: np.ndarray | None = None) -> OpTrace:
    """A [M, K] and B [K, N] as the forward pass of a linear layer, and which outputs [M, N] are needed."""
    return OpTrace(
        name="fc", step=0, weight=weight, input=activation.T, output_needed=None if needed is None else needed.T
    )


def scheduled(hw: Hardware, gemm: MaskedGemm) -> str | None:
    pe = pe_of(hw)
    assert isinstance(pe, TensorDashPE)
    return pe.scheduled_operand(gemm)


def check(hw: Hardware, op: OpTrace, which: str) -> None:
    """Compare with the reference; what is streamed and computed is, of each tile, what a dense PE has, too."""
    skips_no_zeros = {"blocks": hw.skipping.blocks, "outputs": hw.skipping.outputs}
    dense = Hardware.model_validate(hw.model_dump() | {"skipping": skips_no_zeros, "memory": {}})
    for plain, lowered in zip(plain_lower(op, which), lower(op, which), strict=True):
        gemm = lowered
        expected, timing = plain_tensordash(hw, plain), time_gemm(hw, gemm)
        assert timing.tile_cycles.tolist() == expected.tile_cycles
        slots = {name: count for name, count in vars(timing.slots).items() if count}
        assert slots == {name: count for name, count in expected.slots.items() if count}
        assert timing.slots.total == hw.array.rows * hw.array.cols * 16 * timing.cycles
        assert (timing.streamed_a, timing.streamed_b) == (expected.reads["a"], expected.reads["b"])
        streamed = time_gemm(dense, gemm)
        for name in ("tiles_per_row", "outputs"):
            assert np.array_equal(getattr(timing, name), getattr(streamed, name)), name
        whole = np.full(len(streamed.tile_cycles), gemm.k)  # None: all of K through every tile
        ours, theirs = (whole if run.tile_positions is None else run.tile_positions for run in (timing, streamed))
        assert ours.tolist() == theirs.tolist()


@pytest.mark.reference
@given(machines(), operations(largest=5), st.sampled_from(PASSES))
def test_equals_the_reference_on_any_operation(hw: Hardware, op: OpTrace, which: str) -> None:
    check(hw, op, which)


@pytest.mark.reference
@given(machines(), st.integers(0, 2**32 - 1), st.integers(1, 12), st.integers(1, 12), st.integers(1, 200))
def test_equals_the_reference_on_long_reductions(hw: Hardware, seed: int, m: int, n: int, k: int) -> None:
    rng = np.random.default_rng(seed)

    def blocks(lines: int) -> np.ndarray:
        """Whole windows without a non-zero, in single lines and in all of them."""
        present = (rng.random((lines, -(-k // 16))) < 0.8) & (rng.random(-(-k // 16)) < 0.8)
        return np.repeat(present, 16, axis=1)[:, :k]

    a, b = (rng.random((m, k)) < rng.random()) & blocks(m), (rng.random((n, k)) < rng.random()) & blocks(n)
    needed = (rng.random((m, n)) < rng.choice((0.1, 0.5, 0.9))) & (rng.random(n) < rng.choice((0.5, 1)))
    check(hw, linear(a, b.T, needed), "forward")


@pytest.mark.smoke
def test_the_shipped_machine_runs() -> None:
    hw = load_hardware(Path(__file__).parents[2] / "hw_configs" / "tensordash16x16.yaml")
    rng = np.random.default_rng(0)
    op = linear(rng.random((64, 640)) < 0.1, rng.random((640, 64)) < 0.5)
    row = simulate(hw, [op], workers=1).layers.iloc[0]
    assert row["dense_array_cycles"] / row["array_cycles"] == 640 / 16 / 16  # results take 16 cycles to leave
    hw = hw.model_copy(update={"array": hw.array.model_copy(update={"drain": "free"})})
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


@pytest.mark.closed_form
def test_a_partners_windows_are_read_in_as_many_cycles_as_they_are_taken_in() -> None:
    """Row 0 takes windows 0 to 2 in cycle 1 and 3 to 5 in cycle 2. Row 1, full, takes 3, 4, 5 in cycles 2, 3, 4."""
    a = np.array([[False] * 88, [True] * 88])  # the last window has 8 positions
    (gemm,) = lower(linear(a, np.ones((88, 2), bool)), "forward")
    for mode, partner in (("together", 88), ("alone", 3 * 16 + 16 + 2 * 16 + 2 * 8)):
        timing = time_gemm(machine(2, 2, ("weight",), advance=mode), gemm)
        assert (timing.streamed_a, timing.streamed_b) == (2 * 88, 2 * partner)


@pytest.mark.closed_form
def test_a_schedule_sees_what_the_ports_have() -> None:
    """Of 12 empty windows two rows see P at a time; with less than a window a cycle, each as soon as it is there."""
    empty = np.zeros((2, 16 * 12), bool)
    (gemm,) = lower(linear(empty, np.ones((16 * 12, 1), bool)), "forward")

    def timing(words: int):
        hw = machine(2, 1, ("weight",))
        buffers = hw.memory.buffers.model_copy(update={"weight_words_per_cycle": words})
        return time_gemm(hw.model_copy(update={"memory": hw.memory.model_copy(update={"buffers": buffers})}), gemm)

    assert [timing(words).cycles for words in (96, 95, 64, 32, 24, 16)] == [4, 6, 6, 12, 16, 24]
    assert [timing(words).slots.port for words in (96, 64, 32)] == [0, 5 * 32, 11 * 32]


@pytest.mark.closed_form
def test_a_row_without_a_needed_output_holds_nobody_up() -> None:
    """Row 0 is full, row 1 empty: three windows take 3 cycles with row 0, one without it."""
    a, b = np.array([[True] * 48, [False] * 48]), np.ones((48, 2), bool)
    for wanted, cycles, edge in (([[1, 0], [1, 1]], 3, 1), ([[0, 0], [1, 1]], 1, 2), ([[0, 0], [0, 1]], 1, 3)):
        (gemm,) = lower(linear(a, b, np.array(wanted, bool)), "forward")
        timing = time_gemm(machine(2, 2, ("weight",), outputs=True), gemm)
        assert (timing.cycles, timing.slots.edge) == (cycles, edge * 16 * cycles)
        assert timing.scan_windows == 3 * np.any(wanted, axis=1).sum()


@pytest.mark.closed_form
def test_columns_without_a_needed_output_make_room() -> None:
    """Columns 1 and 3 are full and needed: one tile of two schedules, each for the one row that needs it."""
    a, b = np.ones((2, 32), bool), np.tile([False, True], (32, 2))
    needed = np.array([[0, 1, 0, 0], [0, 0, 0, 1]], bool)
    (gemm,) = lower(linear(a, b, needed), "forward")
    timing = time_gemm(machine(2, 2, outputs=True), gemm)
    assert scheduled(machine(2, 2), gemm) == "b"
    assert timing.tile_cycles.tolist() == [2]
    assert (timing.slots.effectual, timing.slots.edge) == (64, 64)
    assert time_gemm(machine(2, 2), gemm).tile_cycles.tolist() == [2, 2]


@pytest.mark.closed_form
def test_dropped_blocks_leave_out_windows_of_the_partner() -> None:
    """A is full and scheduled, B's middle window is empty: two of three windows are left, and no ineffectual pair."""
    a, b = np.ones((1, 40), bool), np.ones((40, 2), bool)
    b[16:32] = False
    (gemm,) = lower(linear(a, b), "forward")
    kept, dropped = (time_gemm(machine(1, 2, ("weight",), blocks=names), gemm) for names in ((), ("activation",)))
    assert (kept.scan_windows, dropped.scan_windows) == (3, 2)
    assert (kept.cycles, kept.slots.ineffectual, kept.tile_positions.tolist()) == (3, 32, [40])
    assert (dropped.cycles, dropped.slots.ineffectual, dropped.tile_positions.tolist()) == (2, 0, [24])
    b[:] = False
    (gemm,) = lower(linear(a, b), "forward")
    assert time_gemm(machine(1, 2, ("weight",), blocks=("activation",)), gemm).tile_cycles.tolist() == [0]


@pytest.mark.relations
def test_the_scanners_width_changes_nothing() -> None:
    rng = np.random.default_rng(0)
    op = linear(rng.random((8, 100)) < 0.3, rng.random((100, 8)) < 0.5)
    narrow, wide = (
        Hardware.model_validate(
            {
                "name": "td",
                "array": {"rows": 4, "cols": 4, "lanes": 16},
                "skipping": {"tensors": TENSORS, "scheduler": "tensordash", "scan_width": width, "fifo_depth": 64},
            }
        )
        for width in (8, 64)
    )
    one, other = (simulate(hw, [op], workers=1).layers for hw in (narrow, wide))
    assert one.equals(other)


@pytest.mark.smoke
def test_it_skips_blocks_and_outputs_like_any_machine() -> None:
    """The documented example of a hardware file, with 16 lanes and this scheduler."""
    hw = Hardware.model_validate(
        {
            "name": "pe16x16",
            "clock_mhz": 500,
            "array": {"rows": 16, "cols": 16, "lanes": 16},
            "skipping": {
                "tensors": TENSORS,
                "scan_width": 16,
                "fifo_depth": 16,
                "sync": "row",
                "blocks": ["weight"],
                "outputs": True,
                "scheduler": "tensordash",
            },
            "memory": {"dram": {"bytes_per_cycle": 32, "latency_cycles": 100}, "compression": TENSORS},
        }
    )
    rng = np.random.default_rng(0)
    op = linear(rng.random((64, 640)) < 0.1, rng.random((640, 64)) < 0.5, rng.random((64, 64)) < 0.3)
    row = simulate(hw, [op], workers=1).layers.iloc[0]
    assert row["array_cycles"] < row["dense_array_cycles"]
    assert row["slots_edge"] > 0.6 * 16**3 * row["array_cycles"]


def test_the_sparser_listed_operand_is_scheduled() -> None:
    dense, sparse = np.ones((4, 32), bool), np.zeros((32, 8), bool)
    (gemm,) = lower(linear(dense, sparse), "forward")
    assert scheduled(machine(1, 1), gemm) == "b"
    assert scheduled(machine(1, 1, ("weight",)), gemm) == "a"
    assert scheduled(machine(1, 1, ("gradient",)), gemm) is None
    (equal,) = lower(linear(~dense, sparse), "forward")
    assert scheduled(machine(1, 1), equal) == "a"


@pytest.mark.relations
@settings(max_examples=60, deadline=None)
@given(operations(largest=5), machines())
def test_runs_end_to_end_within_the_ceiling(op: OpTrace, hw: Hardware) -> None:
    memory = hw.memory.model_dump() | {"dram": {"bytes_per_cycle": 8}, "compression": ["weight"]}
    hw = Hardware.model_validate({**hw.model_dump(), "memory": memory})
    assert hw.skipping.kind == "tensordash"
    assert hw.dense().skipping.kind == "dense"
    layers = simulate(hw, [op], workers=1).layers
    assert (layers["array_cycles"] <= layers["dense_array_cycles"]).all()
    if not (hw.skipping.blocks or hw.skipping.outputs):
        assert (layers["dense_array_cycles"] <= 3 * layers["array_cycles"]).all()
    slots = layers[[name for name in layers.columns if name.startswith("slots_")]].sum(axis=1)
    assert (slots == layers["cycles"] * 16 * hw.array.rows * hw.array.cols).all()
