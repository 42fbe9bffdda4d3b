"""The ramp's shape, and schedules that make no sense."""

from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from accelsim.errors import TrainingError
from accelsim.sparsity import CubicSchedule


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
