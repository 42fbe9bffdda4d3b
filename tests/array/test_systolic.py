"""Systolic arrays: cycles and slots equal a skewed array stepped cycle by cycle, and memory sees exact sums."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from accelsim import OpTrace, load_hardware, simulate
from accelsim.array import time_gemm
from accelsim.hardware.model import Hardware
from accelsim.lowering import PASSES, lower
from tests.oracle.lowering import PlainGemm, plain_lower
from tests.strategies import operations

CONFIGS = Path(__file__).parents[2] / "hw_configs"
DATAFLOWS = ("output_stationary", "weight_stationary", "input_stationary")


def machine(rows: int, cols: int, dataflow: str, **more: object) -> Hardware:
    array = {"rows": rows, "cols": cols, "dataflow": dataflow, "interconnect": "systolic"}
    return Hardware.model_validate({"name": "s", "array": array, **more})


@st.composite
def machines(draw, **more: object) -> Hardware:
    return machine(draw(st.integers(1, 5)), draw(st.integers(1, 5)), draw(st.sampled_from(DATAFLOWS)), **more)


def stepped(hw: Hardware, gemm: PlainGemm) -> dict[str, int]:
    """Walk the array of every fold cycle by cycle: who multiplies what when operands move one PE a cycle."""
    rows, cols, dataflow = hw.array.rows, hw.array.cols, hw.array.dataflow
    (m, k), n = gemm.a.shape, gemm.b.shape[1]
    down, across, stream = {
        "output_stationary": (m, n, k),
        "weight_stationary": (k, m, n),
        "input_stationary": (k, n, m),
    }[dataflow]
    slots = dict.fromkeys(("cycles", "effectual", "ineffectual", "edge", "skew"), 0)

    def effectual(i: int, j: int, t: int) -> bool:
        row, col, depth = {
            "output_stationary": (i, j, t),
            "weight_stationary": (j, t, i),
            "input_stationary": (t, j, i),
        }[dataflow]
        return bool(gemm.a[row, depth] and gemm.b[depth, col])

    for top in range(0, down, rows):
        for left in range(0, across, cols):
            filled = 0 if dataflow == "output_stationary" else rows  # the stationary operand is shifted in first
            # The last PE's last operand: it enters at its row and its column, skewed by one a PE.
            duration = filled + stream + (rows - 1) + (cols - 1)
            slots["cycles"] += duration
            for pe_row in range(rows):
                for pe_col in range(cols):
                    used = top + pe_row < down and left + pe_col < across
                    for cycle in range(duration):
                        t = cycle - filled - pe_row - pe_col
                        if not used:
                            slots["edge"] += 1
                        elif not 0 <= t < stream:
                            slots["skew"] += 1
                        elif effectual(top + pe_row, left + pe_col, t):
                            slots["effectual"] += 1
                        else:
                            slots["ineffectual"] += 1
    return slots


@pytest.mark.reference
@given(machines(), operations(largest=5), st.sampled_from(PASSES))
def test_cycles_and_slots_equal_the_stepped_array(hw: Hardware, op: OpTrace, which: str) -> None:
    for plain, gemm in zip(plain_lower(op, which), lower(op, which), strict=True):
        expected, timing = stepped(hw, plain), time_gemm(hw, gemm)
        assert timing.cycles == expected.pop("cycles")
        assert {name: getattr(timing.slots, name) for name in expected} == expected
        assert timing.slots.total == hw.array.rows * hw.array.cols * timing.cycles
        assert len(timing.tile_cycles) == timing.tiles_per_row.sum()
        assert (timing.tile_cycles >= 0).all()


@pytest.mark.closed_form
@pytest.mark.parametrize(
    ("dataflow", "cycles", "streamed_a", "streamed_b"),
    [
        # M, N, K = 5, 7, 11 on 2 x 3: folds x (T + o), and how often each operand's elements enter the array
        ("output_stationary", 3 * 3 * (11 + 3), 3 * 55, 3 * 77),
        ("weight_stationary", 6 * 2 * (7 + 5), 55, 2 * 77),
        ("input_stationary", 6 * 3 * (5 + 5), 3 * 55, 77),
    ],
)
def test_by_hand(dataflow: str, cycles: int, streamed_a: int, streamed_b: int) -> None:
    op = OpTrace(name="fc", step=0, weight=np.ones((5, 11), bool), input=np.ones((7, 11), bool))
    (gemm,) = lower(op, "forward")
    timing = time_gemm(machine(2, 3, dataflow), gemm)
    assert (timing.cycles, timing.streamed_a, timing.streamed_b) == (cycles, streamed_a, streamed_b)
    if dataflow == "output_stationary":
        assert set(timing.tile_cycles.tolist()) == {14}


@pytest.mark.relations
@settings(max_examples=60, deadline=None)
@given(
    machines(memory={"dram": {"bytes_per_cycle": 2, "latency_cycles": 7}, "compression": ["activation"]}),
    operations(largest=5),
)
def test_simulates_with_memory(hw: Hardware, op: OpTrace) -> None:
    layers = simulate(hw, [op], workers=1).layers
    assert (layers["cycles"] >= layers["array_cycles"]).all()
    assert (layers["cycles"] * 2 >= layers["dram_bytes"]).all()
    assert (layers["array_cycles"] == layers["dense_array_cycles"]).all()
    slots = layers[[name for name in layers.columns if name.startswith("slots_")]].sum(axis=1)
    assert (slots == layers["cycles"] * hw.array.rows * hw.array.cols).all()
    ideal = hw.model_copy(update={"memory": hw.memory.model_copy(update={"dram": None})})
    assert simulate(ideal, [op], workers=1).layers["cycles"].tolist() == layers["array_cycles"].tolist()


@pytest.mark.smoke
def test_the_shipped_machine_runs_in_all_three_dataflows() -> None:
    hw = load_hardware(CONFIGS / "systolic16x16.yaml")
    op = OpTrace(name="fc", step=0, weight=np.ones((20, 30), bool), input=np.ones((40, 30), bool))
    cycles = []
    for dataflow in DATAFLOWS:
        machine = hw.model_copy(update={"array": hw.array.model_copy(update={"dataflow": dataflow})})
        row = simulate(machine, [op], workers=1).layers.iloc[0]
        cycles.append(int(row["array_cycles"]))
        assert row["cycles"] > row["array_cycles"]
    assert cycles == [2 * 3 * (30 + 30), 2 * 2 * (40 + 46), 2 * 3 * (20 + 46)]


@pytest.mark.relations
def test_the_baseline_is_the_machine_itself() -> None:
    hw = machine(2, 2, "weight_stationary")
    assert hw.dense() == hw
    assert hw.skipping.kind == "systolic"


@pytest.mark.parametrize(
    ("array", "skipping", "words"),
    [
        ({"interconnect": "systolic", "lanes": 2}, {}, "one lane, not 2"),
        ({"dataflow": "weight_stationary"}, {}, "weight_stationary needs a systolic one"),
        ({"dataflow": "input_stationary", "interconnect": "broadcast"}, {}, "input_stationary needs a systolic one"),
        ({"interconnect": "systolic"}, {"tensors": ["weight"]}, "skips nothing"),
        ({"interconnect": "systolic"}, {"blocks": ["weight"]}, "skips nothing"),
        ({"interconnect": "systolic"}, {"outputs": True}, "skips nothing"),
        ({}, {"scheduler": "tensordash"}, "at least one tensor"),
        ({}, {"scheduler": "tensordash", "tensors": ["weight"]}, "lanes 16, not 1"),
        (
            {"lanes": 16},
            {"scheduler": "tensordash", "tensors": ["weight"], "stage_depth": 4},
            "less than or equal to 3",
        ),
    ],
)
def test_impossible_machines_are_refused(array: dict, skipping: dict, words: str) -> None:
    with pytest.raises(ValidationError, match=words) as caught:
        Hardware.model_validate({"name": "s", "array": {"rows": 2, "cols": 2, **array}, "skipping": skipping})
    assert len(caught.value.errors()) == 1
