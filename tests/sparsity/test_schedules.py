"""The ramp's shape, and schedules that make no sense."""

from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from accelsim.errors import TrainingError
from accelsim.sparsity import CosineExchange, CubicSchedule
from accelsim.sparsity.schedules import LessSparse


def test_cubic_ramp_has_published_values() -> None:
    schedule = CubicSchedule(start=100, end=300, final_density=0.2, every=50)
    assert [schedule.sparsity(step) for step in (0, 100, 150, 200, 300, 999)] == pytest.approx(
        [0, 0, 0.8 * (1 - 0.75**3), 0.8 * 0.875, 0.8, 0.8]
    )


@settings(deadline=None)
@given(
    start=st.integers(0, 50),
    length=st.integers(1, 100),
    every=st.integers(1, 30),
    densities=st.tuples(st.floats(0.01, 1), st.floats(0.01, 1)),
)
def test_ramp_rises_from_initial_to_final_and_its_last_update_is_the_end(
    start: int, length: int, every: int, densities: tuple[float, float]
) -> None:
    final, initial = sorted(densities)
    schedule = CubicSchedule(start, start + length, final, initial, every)
    values = [schedule.sparsity(step) for step in range(start + length + 20)]
    assert values[0] == pytest.approx(1 - initial)
    assert values[-1] == pytest.approx(1 - final)
    assert all(after >= before - 1e-12 for before, after in pairwise(values))
    updates = [step for step in range(start + length + 20) if schedule.updates_at(step)]
    assert updates[0] == start
    assert updates[-1] == start + length
    assert max(after - before for before, after in pairwise(updates)) <= every


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ((0, 10, 0.0), "density"),
        ((0, 10, 0.5, 0.4), "density"),
        ((0, 10, 0.5, 1.5), "density"),
        ((10, 10, 0.5), "start"),
        ((-1, 10, 0.5), "start"),
        ((0, 10, 0.5, 1.0, 0), "every"),
    ],
)
def test_impossible_schedules_are_refused(arguments: tuple[float, ...], said: str) -> None:
    with pytest.raises(TrainingError, match=said):
        CubicSchedule(*arguments)  # type: ignore[arg-type]


def test_exchanges_fall_along_half_a_cosine_at_their_steps_only() -> None:
    rigl = CosineExchange(start=0, end=300, initial=0.3, every=100)
    assert [step for step in range(400) if rigl.exchanges_at(step)] == [100, 200]
    assert [rigl.share(step) for step in (0, 100, 150, 200, 300, 999)] == pytest.approx([0.3, 0.225, 0.15, 0.075, 0, 0])
    scp = CosineExchange(start=100, end=300, initial=0.5, final=0.005)
    assert [scp.share(step) for step in (0, 100, 200, 300)] == pytest.approx([0.5, 0.5, 0.2525, 0.005])
    assert CosineExchange(0, 9, 0.3, 0.3).share(5) == 0.3


@given(gap=st.floats(0, 0.99), step=st.integers(0, 400))
def test_the_less_sparse_branch_updates_at_the_same_steps_a_gap_below(gap: float, step: int) -> None:
    online = CubicSchedule(start=100, end=300, final_density=0.2, every=50)
    offline = LessSparse(online, gap)
    assert offline.updates_at(step) == online.updates_at(step)
    assert offline.sparsity(step) == max(0.0, online.sparsity(step) - gap)


@pytest.mark.parametrize(
    "arguments", [(0, 9, 0.1, 0.2), (0, 9, 1.1, 0.0), (0, 9, 0.1, -0.1), (9, 9, 0.1), (0, 9, 0.1, 0, 0)]
)
def test_impossible_exchanges_are_refused(arguments: tuple[float, ...]) -> None:
    with pytest.raises(TrainingError, match="exchanged"):
        CosineExchange(*arguments)  # type: ignore[arg-type]
