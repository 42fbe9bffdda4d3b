"""Systolic arrays: cycles and slots equal a skewed array stepped cycle by cycle, and memory sees exact sums."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from accelsim import OpTrace, load_hardware, simulate
from accelsim.area.area import area
from accelsim.area.buffers import buffer_shapes
from accelsim.array import TiledGemm, pe_of, time_gemm, timing_key
from accelsim.energy.load import table_of
from accelsim.explain import explain
from accelsim.hardware.model import Hardware
from accelsim.lowering import PASSES, lower
from accelsim.replay import replay_pass
from tests.oracle.lowering import PlainGemm, plain_lower
from tests.strategies import operations

CONFIGS = Path(__file__).parents[2] / "hw_configs"
DATAFLOWS = ("output_stationary", "weight_stationary", "input_stationary")


def machine(rows: int, cols: int, dataflow: str | list[str], **more: object) -> Hardware:
    array = {"rows": rows, "cols": cols, "dataflow": dataflow, "interconnect": "systolic"}
    return Hardware.model_validate({"name": "s", "array": array, **more})


@st.composite
def machines(draw, **more: object) -> Hardware:
    return machine(draw(st.integers(1, 5)), draw(st.integers(1, 5)), draw(st.sampled_from(DATAFLOWS)), **more)


def stepped(hw: Hardware, gemm: PlainGemm) -> dict[str, int]:
    """Walk the array of every fold cycle by cycle: who multiplies what when operands move one PE a cycle.

    `sums` leave for the output buffer: an output that stayed at the end of its fold, or one that the last PE of a
    column has added to.
    """
    rows, cols, dataflow = hw.array.rows, hw.array.cols, hw.array.dataflow
    (m, k), n = gemm.a.shape, gemm.b.shape[1]
    down, across, stream = {
        "output_stationary": (m, n, k),
        "weight_stationary": (k, m, n),
        "input_stationary": (k, n, m),
    }[dataflow]
    slots = dict.fromkeys(("cycles", "effectual", "ineffectual", "edge", "skew", "sums"), 0)

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
            last_row = min(rows, down - top) - 1
            duration = filled + stream + (rows - 1) + (cols - 1)
            slots["cycles"] += duration
            for pe_row in range(rows):
                for pe_col in range(cols):
                    used = top + pe_row < down and left + pe_col < across
                    if used and dataflow == "output_stationary":
                        slots["sums"] += 1
                    for cycle in range(duration):
                        t = cycle - filled - pe_row - pe_col
                        if not used:
                            slots["edge"] += 1
                        elif not 0 <= t < stream:
                            slots["skew"] += 1
                        else:
                            pair = effectual(top + pe_row, left + pe_col, t)
                            slots["effectual" if pair else "ineffectual"] += 1
                            slots["sums"] += dataflow != "output_stationary" and pe_row == last_row
    return slots


@pytest.mark.reference
@given(machines(), operations(largest=5), st.sampled_from(PASSES))
def test_cycles_and_slots_equal_the_stepped_array(hw: Hardware, op: OpTrace, which: str) -> None:
    for plain, gemm in zip(plain_lower(op, which), lower(op, which), strict=True):
        expected, timing = stepped(hw, plain), time_gemm(hw, gemm)
        assert timing.cycles == expected.pop("cycles")
        assert timing.buffered_sums == expected.pop("sums")
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


@pytest.mark.closed_form
def test_partial_sums_go_through_the_output_buffer() -> None:
    op = OpTrace(name="fc", step=0, weight=np.ones((5, 11), bool), input=np.ones((7, 11), bool))
    words = {}
    for dataflow in DATAFLOWS:
        hw = machine(2, 3, dataflow)
        replayed = replay_pass(hw, table_of(hw), op, "forward").machine
        words[dataflow] = replayed.actions.output_buffer_words
    # ceil(11 / 2) = 6 folds along K, each of which writes all 5 x 7 sums
    assert words == {"output_stationary": 35, "weight_stationary": 6 * 35, "input_stationary": 6 * 35}


def test_an_output_buffer_of_sums_has_two_banks() -> None:
    banks = [buffer_shapes(machine(2, 3, dataflow))[2].banks for dataflow in DATAFLOWS]
    assert banks == [1, 2, 2]


@pytest.mark.relations
@settings(max_examples=60, deadline=None)
@given(st.permutations(DATAFLOWS), st.integers(1, 3), st.integers(1, 5), st.integers(1, 5), operations(largest=5))
def test_of_several_dataflows_each_gemm_takes_the_fastest(
    order: list[str], count: int, rows: int, cols: int, op: OpTrace
) -> None:
    listed = order[:count]
    best, fixed = (machine(rows, cols, listed, mapping={"search": search}) for search in ("best", "fixed"))
    for which in PASSES:
        for gemm in lower(op, which):
            alone = {name: time_gemm(machine(rows, cols, name), gemm) for name in listed}
            tiled = TiledGemm.of(best, gemm)
            chosen = pe_of(best).dataflow(tiled)
            timing = time_gemm(best, gemm)
            costs = {name: (one.cycles, one.buffered_sums) for name, one in alone.items()}
            assert costs[chosen] == min(costs.values())
            assert chosen == next(name for name in listed if costs[name] == costs[chosen])
            assert timing.slots == alone[chosen].slots
            assert (timing.tile_cycles == alone[chosen].tile_cycles).all()
            assert pe_of(fixed).dataflow(tiled) == listed[0]
            assert time_gemm(fixed, gemm).slots == alone[listed[0]].slots


def test_an_exposed_drain_counts_in_the_choice() -> None:
    # 4 x 1 fold of 3 + 2 cycles with outputs in place, 2 x 1 of 8 + 4 with A: 20, or 24
    op = OpTrace(name="fc", step=0, weight=np.ones((2, 3), bool), input=np.ones((8, 3), bool))
    (gemm,) = lower(op, "forward")
    chosen = {}
    for drain in ("overlapped", "exposed"):
        array = {"rows": 2, "cols": 2, "interconnect": "systolic", "drain": drain}
        array["dataflow"] = ["output_stationary", "weight_stationary"]
        hw = Hardware.model_validate({"name": "s", "array": array, "mapping": {"search": "best"}})
        chosen[drain] = pe_of(hw).dataflow(TiledGemm.of(hw, gemm)), time_gemm(hw, gemm).cycles
    assert chosen == {"overlapped": ("output_stationary", 20), "exposed": ("weight_stationary", 24)}


def test_the_order_of_dataflows_matters_only_where_it_decides() -> None:
    lists = [["output_stationary", "weight_stationary"], ["weight_stationary", "output_stationary"]]
    for search, keys in (("best", 2), ("fixed", 2)):
        assert len({timing_key(machine(2, 2, some, mapping={"search": search})) for some in lists}) == keys
    fixed = [machine(2, 2, some, mapping={"search": "fixed"}) for some in (lists[0], "output_stationary")]
    assert timing_key(fixed[0]) == timing_key(fixed[1])


def test_what_an_array_of_several_dataflows_has_more() -> None:
    def parts(*dataflows: str) -> dict[str, int]:
        return {part.name: part.count for part in area(machine(2, 3, list(dataflows))).parts if "choice" in part.name}

    assert parts("output_stationary") == parts("weight_stationary") == {}
    assert parts("weight_stationary", "output_stationary") == {"choice of sums": 6, "choice of operands": 5}
    assert parts("input_stationary", "output_stationary") == {"choice of sums": 6}
    assert parts("weight_stationary", "input_stationary") == {"choice of operands": 5}


def test_explain_names_the_chosen_dataflow() -> None:
    op = OpTrace(name="fc", step=0, weight=np.ones((5, 11), bool), input=np.ones((7, 11), bool))
    hw = machine(2, 3, ["weight_stationary", "output_stationary"], mapping={"search": "best"})
    (part,) = explain(hw, op, ["forward"]).passes
    assert part.shapes[0].dataflow == "output_stationary"
    assert part.shapes[0].dense_formula.startswith("output_stationary: 3 × 3 folds")
    assert part.shapes[0].dense_cycles == part.memory.array_cycles == 3 * 3 * (11 + 3)


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
        ({"interconnect": "systolic", "dataflow": "ws"}, {}, "expected output_stationary, weight_stationary, input_"),
        ({"interconnect": "systolic", "dataflow": "weight_stationry"}, {}, "did you mean 'weight_stationary'"),
        ({"interconnect": "systolic", "dataflow": ["os"]}, {}, "it names 'os', expected output_stationary"),
        ({"interconnect": "systolic", "dataflow": []}, {}, "it is empty, expected one dataflow at least"),
        ({"interconnect": "systolic", "dataflow": ["input_stationary"] * 2}, {}, "a dataflow is listed twice"),
        ({"dataflow": ["output_stationary", "input_stationary"]}, {}, "input_stationary needs a systolic one"),
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
