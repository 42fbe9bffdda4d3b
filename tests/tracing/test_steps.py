"""Which steps are recorded where some grow weights by gradient, and what the trace says of all of them."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from accelsim.errors import AccelsimWarning, TracingError
from accelsim.sparsity import SparsePlan, build_sparsifier, sparse_layers
from accelsim.trace import TrainingRun, open_trace
from accelsim.tracing import Tracer, annotations
from accelsim.tracing.annotations import Selection, note_growth_step, note_selection
from accelsim.tracing.steps import RunLog, StepPlan


def _choose(plan: StepPlan, growth: set[int], steps: int) -> list[int]:
    chosen = []
    for step in range(steps):
        wanted = plan.begins(step)
        if step in growth:
            wanted = plan.grows(step)
        if wanted:
            chosen.append(step)
            plan.recorded(step)
    return chosen


def test_the_next_growth_step_is_recorded_beside_each_planned_one() -> None:
    plan = StepPlan(every=10, start=0, stop=None, growth_steps=True)
    assert _choose(plan, {4, 8, 14, 18}, 31) == [0, 4, 10, 14, 20, 30]


def test_an_ordinary_step_is_recorded_beside_each_planned_one_that_grows() -> None:
    plan = StepPlan(every=10, start=0, stop=None, growth_steps=True)
    assert _choose(plan, {0, 1, 2, 10, 20}, 25) == [0, 4, 10, 12, 20, 22]


def test_the_step_right_behind_a_growth_step_is_passed_over_once() -> None:
    assert _choose(StepPlan(10, 0, None, True), set(range(0, 40, 2)), 25) == [0, 3, 10, 13, 20, 23]
    assert _choose(StepPlan(10, 1, None, True), {0, 10, 20}, 25) == [1, 10, 11, 20, 21]  # planned ones stay


def test_nothing_behind_stop_and_nothing_unless_asked() -> None:
    growth = {9, 12, 15}
    assert _choose(StepPlan(10, 5, 12, True), growth, 30) == [5, 9]
    assert _choose(StepPlan(10, 5, None, True), growth, 30) == [5, 9, 15, 17, 25]
    assert _choose(StepPlan(10, 5, None, False), growth, 30) == [5, 15, 25]


@given(
    st.sets(st.integers(0, 60)),
    st.integers(1, 9),
    st.integers(0, 9),
    st.one_of(st.none(), st.integers(10, 60)),
)
def test_at_most_twice_the_planned_steps_and_no_others_without_growth(
    growth: set[int], every: int, start: int, stop: int | None
) -> None:
    """Two steps of the other kind suffice to record one of them: the first may lie right after a growth step."""
    planned = list(range(start, 60 if stop is None else stop, every))
    assert _choose(StepPlan(every, start, stop, True), set(), 60) == planned
    chosen = _choose(StepPlan(every, start, stop, True), growth, 60)
    assert set(planned) <= set(chosen)
    assert len(chosen) <= 2 * len(planned)
    for kind in (True, False):  # whatever kind was planned, the other one follows if there is one in time
        last = max((step for step in planned if (step in growth) != kind), default=None)
        later = [s for s in range(0 if last is None else last, 60 if stop is None else stop) if (s in growth) == kind]
        assert last is None or len(later) < 2 or any(step >= last and (step in growth) == kind for step in chosen)


def test_selections_of_a_step_add_up_and_an_unfinished_step_does_not_count() -> None:
    log = RunLog(3)
    log.grows(5)
    log.grows(7)
    log.selected(5, Selection(10, 20, 30, 1, 2))
    log.selected(5, Selection(1, 1, 1, 1, 1))
    log.selected(7, Selection(1, 1, 1, 1, 1))
    assert log.until(7).plain() == {
        "first_step": 3,
        "end_step": 7,
        "growth_steps": [5],
        "mask_updates": [{"step": 5, "judged": 11, "words_read": 21, "mask_bits": 31, "pruned": 2, "grown": 3}],
    }


class _Loop:
    """RigL on a small network: exchanges at steps 3, 6 and 9 of a run of 11."""

    def __init__(self) -> None:
        torch.set_num_threads(1)
        torch.manual_seed(0)
        self.model = nn.Sequential(nn.Linear(6, 8), nn.ReLU(), nn.Linear(8, 10), nn.ReLU(), nn.Linear(10, 4))
        plan = SparsePlan("rigl", 0.5, "element", start=0, end=10, every=3, distribution="uniform")
        self.sparsifier = build_sparsifier(plan, sparse_layers(self.model))
        self.optimizer = torch.optim.SGD(self.model.parameters(), 0.1)

    def run(self, steps: int = 11, fails_at: int | None = None) -> None:
        for step in range(steps):
            self.sparsifier.before_step(step)
            loss = self.model(torch.randn(5, 6)).square().sum()
            if step == fails_at:
                raise KeyboardInterrupt
            self.optimizer.zero_grad()
            loss.backward()
            self.sparsifier.after_backward(step)
            self.optimizer.step()


def test_a_loop_of_the_users_own_records_both_kinds(tmp_path: Path) -> None:
    loop = _Loop()
    with Tracer(loop.model, tmp_path / "t.pkl", every=5, start=1):
        loop.run()
    trace = open_trace(tmp_path / "t.pkl")
    assert trace.steps == (1, 3, 6, 8)
    assert trace.meta["recorded_steps"] == 4
    for op in trace:  # whole steps, the growth steps with all weight gradients
        assert op.needs_weight_grad
        assert (op.weight_grad_needed is None) == (op.name == "0" or op.step in (3, 6))
    assert [op.name for op in trace] == ["0", "2", "4"] * 4
    run = TrainingRun.from_meta(trace.meta)
    assert run is not None
    assert (run.first_step, run.end_step, run.growth_steps) == (0, 11, (3, 6, 9))
    assert [work.step for work in run.mask_updates] == [3, 6, 9]
    # 80 + 40 weights, half of them living: all are judged, by weight or gradient, and those that go once more.
    shares = [loop.sparsifier.exchange.share(step) for step in (3, 6, 9)]  # type: ignore[attr-defined]
    again = [int(share * 40) + int(share * 20) for share in shares]
    assert [work.judged for work in run.mask_updates] == [120 + more for more in again]
    assert all(work.words_read == work.judged and work.mask_bits == 120 for work in run.mask_updates)
    assert run.mask_updates[0].grown > 0
    assert all(work.pruned == work.grown <= more for work, more in zip(run.mask_updates, again, strict=True))


def test_growth_steps_may_be_left_out(tmp_path: Path) -> None:
    loop = _Loop()
    with Tracer(loop.model, tmp_path / "t.pkl", every=5, start=1, growth_steps=False):
        loop.run()
    assert open_trace(tmp_path / "t.pkl").steps == (1, 6)


def test_a_resumed_tracer_and_an_interrupted_one(tmp_path: Path) -> None:
    loop = _Loop()
    with pytest.raises(KeyboardInterrupt), Tracer(loop.model, tmp_path / "t.pkl", every=100, first_step=100):
        loop.run(fails_at=6)
    trace = open_trace(tmp_path / "t.pkl")
    assert trace.steps == (100, 103)
    assert trace.meta["training"]["first_step"] == 100
    assert trace.meta["training"]["end_step"] == 106
    assert trace.meta["training"]["growth_steps"] == [103]


def test_a_growth_step_that_is_told_of_too_late_is_not_recorded_in_part(tmp_path: Path) -> None:
    layer = nn.Linear(2, 2)
    optimizer = torch.optim.SGD(layer.parameters(), 0.1)
    with Tracer(layer, tmp_path / "t.pkl", every=10):
        for step in range(3):
            loss = layer(torch.ones(3, 2)).sum()
            if step == 1:
                note_growth_step()
            loss.backward()
            optimizer.step()
    trace = open_trace(tmp_path / "t.pkl")
    assert trace.steps == (0,)
    assert trace.meta["training"]["growth_steps"] == [1]


def test_a_last_step_that_no_optimizer_ends_counts(tmp_path: Path) -> None:
    layer = nn.Linear(2, 2)
    with Tracer(layer, tmp_path / "t.pkl"):
        layer(torch.ones(3, 2)).sum().backward()
    assert open_trace(tmp_path / "t.pkl").meta["training"]["end_step"] == 1


def test_nobody_hears_outside_a_tracer(tmp_path: Path) -> None:
    assert not annotations.is_heard()
    note_growth_step()
    note_selection(Selection(1, 1, 1, 1, 1))
    layer = nn.Linear(2, 2)
    with pytest.warns(AccelsimWarning, match="is empty"), Tracer(layer, tmp_path / "t.pkl"):
        assert annotations.is_heard()
    assert not annotations.is_heard()
    assert open_trace(tmp_path / "t.pkl").meta["training"]["mask_updates"] == []


def test_a_number_of_steps_is_checked(tmp_path: Path) -> None:
    with pytest.raises(TracingError, match="every is 0, expected an integer of at least 1"):
        Tracer(nn.Linear(1, 1), tmp_path / "t.pkl", every=0)
