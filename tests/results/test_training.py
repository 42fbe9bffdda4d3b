"""A whole training from its recorded steps: by hand, and exact where every step was recorded."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from accelsim import AccelsimError, Hardware, Result, TraceWriter, load_hardware, open_trace, simulate
from accelsim.results.energy_range import EnergyRanges
from accelsim.results.other_work import OtherWorkCosts
from accelsim.results.result import mask_update_table
from accelsim.results.training import stands_for, sum_training, tabulate_steps
from accelsim.results.whole_run import WholeRun
from accelsim.trace import MaskWork, OpTrace, TrainingRun, open_traces

HW = Path(__file__).parents[2] / "hw_configs"
UPDATES = mask_update_table(
    [
        {"step": step, "judged": 6, "pruned": 1, "grown": 1, "dram_bytes": 4, "cycles": 5, "energy_pj": 0.5}
        for step in (3, 7)
    ]
)
NONE = mask_update_table([])


def _layers(cycles: dict[int, float], dense: float = 100, passes: tuple[str, ...] = ("forward",)) -> pd.DataFrame:
    """One layer; every pass takes the given cycles, three macs and as many pJ as cycles."""
    rows = [
        {
            "step": step,
            "pass": name,
            "branch": "online",
            "macs": 3,
            "effectual_macs": 1,
            "cycles": number,
            "dense_cycles": dense,
            "energy_pj": float(number),
            "dense_energy_pj": float(dense),
            "equal_area_cycles": float("nan"),
            "equal_area_energy_pj": float("nan"),
        }
        for step, number in cycles.items()
        for name in passes
    ]
    return pd.DataFrame(rows)


def _training(layers: pd.DataFrame, run: TrainingRun | None, updates: pd.DataFrame = NONE) -> dict[str, Any]:
    return sum_training(layers, OtherWorkCosts(), WholeRun(run), updates, 500, EnergyRanges({}))[0]


@pytest.mark.closed_form
def test_three_steps_by_hand() -> None:
    # Steps 0 to 9: 20 25 30 35 40 50 60 70 80 80.
    found = _training(_layers({0: 20, 4: 40, 8: 80}), TrainingRun(0, 10))
    assert found["total"]["cycles"] == 490
    assert found["total"]["dense_cycles"] == 1000
    assert found["total"]["speedup"] == 1000 / 490
    assert found["total"]["energy_pj"] == 490
    assert found["total"]["seconds"] == pytest.approx(490 / 500e6)
    assert (found["steps"], found["growth_steps"], found["recorded"]) == (10, 0, {"ordinary": 3})
    assert found["mask_updates"]["count"] == 0
    assert found["halves"] is None
    assert found["notes"] == ["Fewer than 4 recorded ordinary steps: no estimate of the sampling error."]


@pytest.mark.closed_form
def test_growth_steps_and_mask_updates_by_hand() -> None:
    # Steps 3 and 7 grow at 60 cycles each, where they were 35 and 70; two updates cost 5 each, and dense none.
    layers = _layers({0: 20, 3: 60, 4: 40, 8: 80}, passes=("forward", "weight_grad"))
    found = _training(layers, TrainingRun(0, 10, (3, 7)), UPDATES)
    assert found["by_kind"]["ordinary"]["cycles"] == 2 * (490 - 35 - 70)
    assert found["by_kind"]["growth"]["cycles"] == 2 * 120
    assert found["by_pass"]["forward"]["cycles"] == 490 - 35 - 70 + 120
    assert found["by_branch"]["online"]["cycles"] == 2 * (490 - 35 - 70 + 120)
    assert found["total"]["cycles"] == 2 * (490 - 35 - 70 + 120) + 10
    assert found["total"]["energy_pj"] == 2 * (490 - 35 - 70 + 120) + 1
    assert found["total"]["dense_cycles"] == 2 * 1000
    assert found["mask_updates"]["cycles"] == 10
    assert found["mask_updates"]["judged"] == 12
    assert found["recorded"] == {"ordinary": 3, "growth": 1}


@pytest.mark.closed_form
def test_halves_are_what_every_other_recorded_step_gives() -> None:
    found = _training(_layers({0: 10, 2: 30, 4: 20, 6: 80}), TrainingRun(0, 7))
    one = _training(_layers({0: 10, 4: 20}), TrainingRun(0, 7))["total"]
    other = _training(_layers({2: 30, 6: 80}), TrainingRun(0, 7))["total"]
    assert found["halves"]["cycles"] == [one["cycles"], other["cycles"]]
    assert found["halves"]["speedup"] == [one["speedup"], other["speedup"]]
    assert found["notes"] == []


def test_a_kind_that_was_not_recorded_is_said() -> None:
    found = _training(_layers({0: 10, 4: 10}), TrainingRun(0, 5, (1, 2)))
    assert found["total"]["cycles"] == 50
    assert "None of the 2 growth steps was recorded: the others stand for them, too little." in found["notes"]


@pytest.mark.parametrize(
    ("run", "words"),
    [(None, None), (TrainingRun(0, 600), "1 recorded step of 600 does not show its course")],
)
def test_no_guess_where_the_course_of_the_run_is_unknown(run: TrainingRun | None, words: str | None) -> None:
    layers = _layers({30: 10})
    found = _training(layers, run)
    assert found["total"] is None
    assert words is None or words in found["notes"][0]
    table = tabulate_steps(layers, OtherWorkCosts(), WholeRun(run), pd.Series(dtype=float))
    assert table["stands_for"].isna().all()


def test_a_run_of_one_step_is_that_step() -> None:
    assert _training(_layers({0: 10}), TrainingRun(0, 1))["total"]["cycles"] == 10


def test_an_unfinished_step_stands_for_nothing() -> None:
    whole = WholeRun(TrainingRun(0, 4), unfinished=4)
    layers = _layers({0: 10, 3: 10, 4: 1})
    found = sum_training(layers, OtherWorkCosts(), whole, NONE, 500, EnergyRanges({}))[0]
    assert found["total"]["cycles"] == 40


runs = st.integers(2, 40).flatmap(
    lambda steps: st.tuples(
        st.lists(st.integers(1, 10**6), min_size=steps, max_size=steps), st.sets(st.integers(0, steps - 1))
    )
)


@pytest.mark.relations
@given(runs)
def test_with_every_step_recorded_the_sum_is_exact(drawn: tuple[list[int], set[int]]) -> None:
    cycles, growth = drawn
    found = _training(_layers(dict(enumerate(cycles))), TrainingRun(0, len(cycles), tuple(sorted(growth))))
    assert found["total"]["cycles"] == sum(cycles)
    assert found["total"]["dense_cycles"] == 100 * len(cycles)
    assert sum(part["cycles"] for part in found["by_kind"].values()) == sum(cycles)


@pytest.mark.relations
@given(
    recorded=st.sets(st.integers(0, 99), min_size=1).map(sorted),
    steps=st.sets(st.integers(0, 120), min_size=1).map(sorted),
    slope=st.floats(-5, 5),
)
def test_recorded_steps_stand_for_all_steps_and_lines_are_exact(
    recorded: list[int], steps: list[int], slope: float
) -> None:
    weights = stands_for(recorded, np.array(steps))
    assert (weights >= 0).all()
    assert weights.sum() == pytest.approx(len(steps))
    inside = [step for step in steps if recorded[0] <= step <= recorded[-1]]
    line = stands_for(recorded, np.array(inside, dtype=np.int64)) @ (slope * np.array(recorded))
    assert line == pytest.approx(slope * sum(inside), abs=1e-6)


@pytest.mark.relations
@given(
    cycles=st.dictionaries(st.integers(0, 50), st.integers(1, 10**6), min_size=2),
    grown=st.integers(0, 50),
    more=st.integers(1, 10**6),
)
def test_a_slower_step_never_makes_a_faster_training(cycles: dict[int, int], grown: int, more: int) -> None:
    run = TrainingRun(0, 60, (grown,))
    before = _training(_layers(cycles), run)["total"]
    slower = {step: number + more * (step == min(cycles)) for step, number in cycles.items()}
    after = _training(_layers(slower), run)["total"]
    assert after["cycles"] >= before["cycles"]
    assert _training(_layers(cycles), run, UPDATES)["total"]["cycles"] == before["cycles"] + 10


def _op(step: int, density: float) -> OpTrace:
    rng = np.random.default_rng(step)
    weight, inputs = rng.random((16, 24)) < density, rng.random((20, 24)) < 0.5
    return OpTrace(name="fc", step=step, weight=weight, input=inputs, grad_output=np.ones((20, 16)))


def _trace(path: Path, steps: dict[int, float], run: TrainingRun | None) -> Path:
    with TraceWriter(path) as writer:
        for step, density in steps.items():
            writer.write(_op(step, density))
        if run is not None:
            writer.meta["training"] = run.plain()
    return path


@pytest.fixture
def machine() -> Hardware:
    return load_hardware(HW / "pe16x16.yaml")


WORK = MaskWork(step=6, judged=400, words_read=400, mask_bits=384, pruned=3, grown=3)
RUN = TrainingRun(0, 10, (6,), (WORK,))


def test_simulate_sums_what_the_trace_says(tmp_path: Path, machine: Hardware) -> None:
    result = simulate(machine, _trace(tmp_path / "t.pkl", {0: 1.0, 4: 0.5, 6: 0.4, 8: 0.2}, RUN))
    steps = result.steps
    whole = steps[steps["pass"] == "all passes"].set_index("step")
    assert list(whole["kind"]) == ["ordinary", "ordinary", "growth", "ordinary"]
    assert whole["stands_for"].sum() == 10
    assert whole.loc[6, "stands_for"] == 1
    # 400 words of 2 bytes read twice and 384 bits both ways are 1696 bytes at 32 a cycle
    assert list(result.mask_updates["cycles"]) == [53]
    total = result.training["total"]
    assert total["cycles"] == round((whole["stands_for"] * whole["cycles"]).sum() + 53)
    assert total["speedup"] == total["dense_cycles"] / total["cycles"]
    assert result.summary["training"] == result.training
    assert "training" not in result.summary["trace"]["meta"]


def test_parts_and_ranks_are_one_training(tmp_path: Path, machine: Hardware) -> None:
    one = _trace(tmp_path / "a.pkl", {0: 1.0, 4: 0.5}, TrainingRun(0, 5))
    two = _trace(tmp_path / "b.pkl", {6: 0.4, 8: 0.2}, TrainingRun(5, 10, (6,), (WORK,)))
    parts = simulate(machine, open_traces([one, two]))
    whole = simulate(machine, _trace(tmp_path / "t.pkl", {0: 1.0, 4: 0.5, 6: 0.4, 8: 0.2}, RUN))
    assert parts.training == whole.training
    # two ranks with the same masks: twice the work, one update
    ranks = [_trace(tmp_path / f"r{rank}.pkl", {0: 1.0, 4: 0.5, 6: 0.4, 8: 0.2}, RUN) for rank in range(2)]
    both = simulate(machine, open_traces(ranks)).training["total"]
    assert both["dense_cycles"] == 2 * whole.training["total"]["dense_cycles"]
    assert both["cycles"] == pytest.approx(2 * whole.training["total"]["cycles"] - 53, abs=1)


def test_the_users_word_and_its_absence(tmp_path: Path, machine: Hardware) -> None:
    path = _trace(tmp_path / "t.pkl", {0: 1.0, 4: 0.5}, None)
    assert simulate(machine, path).training["total"] is None
    said = simulate(machine, path, vector_work=False, run_steps=8).training
    assert said["steps"] == 8
    assert said["total"]["dense_cycles"] == 8 * _dense(machine)
    with pytest.raises(AccelsimError, match="said to have 4 steps"):
        simulate(machine, path, run_steps=4)
    operations = [_op(0, 1.0), _op(4, 0.5)]
    assert simulate(machine, operations, vector_work=False, run_steps=8).training["total"] == said["total"]


def test_a_part_of_layers_or_passes_is_charged_no_mask_update(tmp_path: Path, machine: Hardware) -> None:
    path = _trace(tmp_path / "t.pkl", {0: 1.0, 4: 0.5}, RUN)
    assert simulate(machine, path).training["mask_updates"]["count"] == 1
    assert simulate(machine, path, passes=["forward"]).training["mask_updates"]["count"] == 0
    assert simulate(machine, open_trace(path).select(layers=["fc"])).training["mask_updates"]["count"] == 1


def test_the_steps_are_saved(tmp_path: Path, machine: Hardware) -> None:
    result: Result = simulate(machine, _trace(tmp_path / "t.pkl", {0: 1.0, 4: 0.5}, RUN))
    result.save(tmp_path / "out")
    pd.testing.assert_frame_equal(pd.read_csv(tmp_path / "out" / "training.csv"), result.steps)


def _dense(machine: Hardware) -> int:
    return int(simulate(machine, [_op(0, 1.0)]).layers["dense_cycles"].sum())
