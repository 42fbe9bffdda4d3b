"""What is known of a run: from the trace, from its user, or not at all."""

from __future__ import annotations

import pytest

from accelsim.errors import AccelsimError
from accelsim.results import find_run
from accelsim.trace import MaskWork, TrainingRun

UPDATES = (MaskWork(4, 9, 9, 9, 1, 1), MaskWork(8, 9, 9, 9, 1, 1))
RUN = TrainingRun(0, 10, (4, 8), UPDATES)
META = {"training": RUN.plain(), "incomplete_step": None}


def test_the_trace_says_it() -> None:
    found = find_run(META, None, (0, 9), whole=True)
    assert (found.run, found.notes) == (RUN, ())


def test_nobody_says_it() -> None:
    found = find_run({"steps": 600}, None, (0, 9), whole=True)
    assert found.run is None
    (note,) = found.notes
    assert "--run-steps" in note
    assert "(600 in its metadata)" in note


def test_the_user_says_it() -> None:
    found = find_run({}, 20, (0, 9), whole=True)
    assert found.run == TrainingRun(0, 20)
    assert found.notes == ("The trace does not say where weights grew and masks changed: counted as nowhere.",)


def test_the_user_knows_of_a_longer_or_a_shorter_run() -> None:
    longer = find_run(META, 20, (0, 9), whole=True)
    assert longer.run == TrainingRun(0, 20, (4, 8), UPDATES)
    assert longer.notes[0].startswith("Outside steps 0 to 9 the trace does not say")
    shorter = find_run(META, 8, (0, 7), whole=True)
    assert (shorter.run, shorter.notes) == (TrainingRun(0, 8, (4,), UPDATES[:1]), ())


@pytest.mark.parametrize("steps", [-1, 0, 9])
def test_fewer_steps_than_recorded_are_refused(steps: int) -> None:
    with pytest.raises(AccelsimError, match=f"said to have {steps} steps, expected at least the 10 of the trace"):
        find_run(META, steps, (0, 9), whole=True)


def test_a_run_too_long_to_sum_is_refused() -> None:
    with pytest.raises(AccelsimError, match="said to have 1000000000000 steps, expected at most 10000000"):
        find_run(META, 10**12, (0, 9), whole=True)


def test_a_step_that_broke_off_does_not_count_as_recorded() -> None:
    found = find_run(META | {"incomplete_step": 10}, 10, (0, 10), whole=True)
    assert found.unfinished == 10
    assert found.run == RUN


def test_a_part_of_the_layers_is_charged_no_update_of_the_masks() -> None:
    found = find_run(META, None, (0, 9), whole=False)
    assert found.run == TrainingRun(0, 10, (4, 8))
    assert found.notes == ("Mask updates are not counted where only some layers or passes are replayed.",)
