"""The race is won by the dense machine that takes the fewest cycles."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from accelsim import Hardware, OpTrace, TraceError, TraceWriter, open_trace, simulate
from accelsim.area import area
from accelsim.equal_area import Racecourse, candidates, finalists
from accelsim.trace import open_traces


def machine(**parts: object) -> Hardware:
    return Hardware.model_validate(
        {
            "name": "small",
            "array": {"rows": 4, "cols": 4},
            "skipping": {"tensors": ["weight", "activation"], "scan_width": 8, "fifo_depth": 8},
            "memory": {
                "dram": {"bytes_per_cycle": 16},
                "buffers": {"weight_kib": 8, "input_kib": 8, "output_kib": 4},
                "compression": ["weight"],
            },
        }
        | parts
    )


def conv(name: str, out: int, channels: int, image: int, density: float, step: int = 0) -> OpTrace:
    rng = np.random.default_rng(out + image + step)
    return OpTrace(
        name=name,
        step=step,
        weight=rng.random((out, channels, 3, 3)) < density,
        input=rng.random((2, channels, image, image)) < 0.5,
        grad_output=rng.random((2, out, image - 2, image - 2)) < 0.9,
    )


@settings(max_examples=15, deadline=None)
@given(
    st.lists(
        st.tuples(st.integers(1, 40), st.integers(1, 8), st.integers(3, 9), st.floats(0.05, 1)), min_size=1, max_size=4
    ),
    st.sampled_from([{}, {"memory": {}}, {"skipping": {"kind": "dense"}}]),
)
def test_it_is_the_best_by_brute_force(shapes: list[tuple[int, int, int, float]], parts: dict[str, object]) -> None:
    hw, ops = machine(**parts), [conv(f"layer{number}", *shape) for number, shape in enumerate(shapes)]
    course = Racecourse.of(ops)
    alone = {
        one.name: simulate(one, ops, equal_area=False, workers=1).summary["total"]["cycles"]
        for one in candidates(hw, course.compressible(16))
    }
    found = simulate(hw, ops, workers=1)
    assert found.summary["total"]["equal_area_cycles"] == min(alone.values())
    assert found.equal_area.machine is not None
    assert alone[found.equal_area.machine.name] == min(alone.values())
    assert finalists([hw], course)[0][0].name in alone


@pytest.mark.reference
def test_ratios_are_those_of_two_simulations() -> None:
    hw = machine()
    ops = [conv("a", 24, 6, 8, 0.3), conv("b", 40, 12, 6, 0.2), conv("a", 24, 6, 8, 0.2, step=4)]
    result = simulate(hw, ops, workers=1)
    rival = result.equal_area.machine
    assert rival is not None
    other = simulate(rival, ops, equal_area=False, workers=1)
    summary = result.summary
    assert summary["equal_area"]["machine"] == rival.name
    assert summary["equal_area"]["area_mm2"] == area(rival).mm2 <= summary["equal_area"]["own_area_mm2"]
    assert result.rivals["equal_area_cycles"].tolist() == other.layers["cycles"].tolist()
    for part in ("total", "by_pass", "by_branch", "by_step"):
        own, its = ({"total": one[part]} if part == "total" else one[part] for one in (summary, other.summary))
        for name, totals in own.items():
            assert totals["equal_area_cycles"] == its[name]["cycles"]
            assert totals["speedup_at_equal_area"] == its[name]["cycles"] / totals["cycles"]
            assert totals["energy_ratio_at_equal_area"] == pytest.approx(its[name]["energy_pj"] / totals["energy_pj"])
    whole = simulate(hw, ops, run_steps=9, workers=1).training["total"]
    its = simulate(rival, ops, run_steps=9, equal_area=False, workers=1).training["total"]
    assert whole["speedup_at_equal_area"] == pytest.approx(its["cycles"] / whole["cycles"])
    assert whole["energy_ratio_at_equal_area"] == pytest.approx(its["energy_pj"] / whole["energy_pj"])


def test_a_dense_machine_never_beats_the_best_one() -> None:
    ops = [conv("a", 24, 6, 8, 0.3), conv("b", 40, 12, 6, 0.2)]
    dense = simulate(machine(skipping={}), ops, workers=1).summary
    assert dense["total"]["speedup"] == pytest.approx(1, rel=0.05)  # its baseline does not compress
    assert dense["total"]["speedup_at_equal_area"] <= 1
    systolic = machine(array={"rows": 4, "cols": 4, "interconnect": "systolic"}, skipping={})
    assert simulate(systolic, ops, workers=1).summary["total"]["speedup_at_equal_area"] <= 1


def test_nothing_is_compared_where_nothing_can_be() -> None:
    ops = [conv("a", 8, 4, 6, 0.3)]
    ideal = machine(skipping={"tensors": ["weight"], "fifo_depth": 5000})
    for result, why in (
        (simulate(ideal, ops), "an idealised machine has no area"),
        (simulate(machine(), iter(ops)), "these operations can be read only once"),
        (simulate(machine(), ops, equal_area=False), "not asked for"),
    ):
        assert result.summary["equal_area"]["why_none"].startswith(why)
        assert result.summary["total"]["speedup_at_equal_area"] is None
        assert result.summary["total"]["energy_ratio_at_equal_area"] is None
        assert result.rivals["equal_area_cycles"].isna().all()
    with pytest.raises(TraceError, match="operation 1 of the trace is"):
        simulate(machine(), [ops[0], "b"])  # type: ignore[list-item]


def test_a_course_is_the_same_from_files_and_in_memory(tmp_path: Path) -> None:
    ops = [conv(f"layer{number % 3}", 8 + number % 3, 4, 6, 0.4, step=number // 3) for number in range(9)]
    for number in (0, 1):
        with TraceWriter(tmp_path / f"{number}.pkl", meta={"rank": number}) as writer:
            for op in ops:
                writer.write(op)
    one, both = open_trace(tmp_path / "0.pkl"), open_traces([tmp_path / "0.pkl", tmp_path / "1.pkl"])
    listed, read, chained = Racecourse.of(ops), Racecourse.of(one), Racecourse.of(both)
    assert list(listed.weights.values()) == [3, 3, 3]
    assert (listed.weights, listed.words, listed.non_zeros) == (read.weights, read.words, read.non_zeros)
    assert set(chained.weights.values()) == {6}
    assert chained.compressible(16) == listed.compressible(16) == {"weight", "activation", "gradient"}
    assert listed.compressible(8) == {"weight", "activation"}
    for place in listed.weights:
        assert (listed.operation(place).name, listed.operation(place).step) == (
            read.operation(place).name,
            read.operation(place).step,
        )
    for place in chained.weights:
        assert chained.operation(place).name == ops[place % 9].name


def test_a_machine_whose_area_no_dense_one_fits_is_told_so() -> None:
    """One word per cycle is too narrow for any dense array, whose ports take a window."""
    ports = {"weight_words_per_cycle": 1, "input_words_per_cycle": 1}
    buffers = {"weight_kib": 4, "input_kib": 1, "output_kib": 4, **ports}
    hw = Hardware.model_validate(
        {
            "name": "small",
            "array": {"rows": 1, "cols": 7},
            "skipping": {"tensors": ["weight"], "scan_width": 1, "fifo_depth": 1, "sync": "array"},
            "memory": {"buffers": buffers},
        }
    )
    assert not candidates(hw, ())
    op = OpTrace(name="fc", step=0, weight=np.ones((2, 3), bool), input=np.ones((2, 3), bool))
    assert simulate(hw, [op]).summary["equal_area"]["why_none"] == "no dense machine fits its area"
