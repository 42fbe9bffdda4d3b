"""Which steps of a run are recorded, and what is kept of all of them."""

from __future__ import annotations

import sys
from typing import Any

from accelsim.errors import TracingError
from accelsim.trace.training_run import MaskWork, TrainingRun
from accelsim.tracing.annotations import Selection


class StepPlan:
    """Every Nth step, and beside each the nearest later one of the other kind.

    A step that grows weights by gradient computes gradients that the others leave out, so the two kinds are sampled
    each for itself. An ordinary step that is recorded beside a planned one is not the one right after a growth step if
    it can be helped: there the newborn weights are still exactly zero, so it is sparser than its kind. A run that never
    grows weights is recorded at every Nth step and nowhere else.

    Args:
        every, start, stop: the planned steps are `start`, `start + every`, ... before `stop`; None means never.
        growth_steps: whether to record steps of the other kind beside them.

    Raises:
        TracingError: numbers that cannot be used.
    """

    def __init__(self, every: int, start: int, stop: int | None, growth_steps: bool) -> None:
        first = count("start", start, 0)
        last = sys.maxsize if stop is None else count("stop", stop, first)
        self.planned = range(first, last, count("every", every, 1))
        self.both_kinds = growth_steps
        self._grows = False
        self._passed_over: int | None = None  # the ordinary step right after a growth step, once
        self._owed: set[bool] = set()  # kinds: True is growth

    def begins(self, step: int) -> bool:
        """Return whether to record a step, of which nothing is known yet but that it follows the one before."""
        behind_growth, self._grows = self._grows, False
        if behind_growth and self._passed_over is None and False in self._owed and step not in self.planned:
            self._passed_over = step
            return False
        return self._wanted(step)

    def grows(self, step: int) -> bool:
        """Return whether to record the running step, which turns out to grow weights."""
        self._grows = True
        if self._passed_over == step:
            self._passed_over = None
        return self._wanted(step)

    def recorded(self, step: int) -> None:
        """Take note that the running step was recorded to its end."""
        self._owed.discard(self._grows)
        self._passed_over = None
        if self.both_kinds and step in self.planned:
            self._owed.add(not self._grows)

    def plain(self) -> dict[str, Any]:
        """Return the plan as metadata say it."""
        planned = self.planned
        stop = None if planned.stop == sys.maxsize else planned.stop
        return {"every": planned.step, "start": planned.start, "stop": stop, "growth_steps": self.both_kinds}

    def why_none(self, first: int, last: int) -> str:
        """Say of the steps from `first` to `last`, none of which was to be recorded, which ran and what was planned."""
        ran = f"steps {first} to {last} ran, none of which" if last > first else f"only step {first} ran, which"
        planned = self.planned
        stop = "" if planned.stop == sys.maxsize else f", stop={planned.stop}"
        return f"{ran} was {'not ' * (last == first)}to be recorded (start={planned.start}, every={planned.step}{stop})"

    def _wanted(self, step: int) -> bool:
        return step in self.planned or (self._grows in self._owed and step < self.planned.stop)


class RunLog:
    """Which steps of the run grew weights, and what its mask updates looked at.

    Args:
        first_step: number of the first step that the tracer sees.
    """

    def __init__(self, first_step: int) -> None:
        self.first_step = first_step
        self._growth: set[int] = set()
        self._updates: dict[int, Selection] = {}

    def grows(self, step: int) -> None:
        """Note a step that grows weights by gradient."""
        self._growth.add(step)

    def selected(self, step: int, selection: Selection) -> None:
        """Add a selection to the step's update of the masks."""
        before = self._updates.get(step, Selection(0, 0, 0, 0, 0))
        self._updates[step] = Selection(*(a + b for a, b in zip(before, selection, strict=True)))

    def until(self, end: int) -> TrainingRun:
        """Return what is known of the steps before `end`."""
        works = (MaskWork(step, *selection) for step, selection in sorted(self._updates.items()) if step < end)
        growth = sorted(step for step in self._growth if step < end)
        return TrainingRun(self.first_step, end, tuple(growth), tuple(works))


def count(name: str, value: int, least: int) -> int:
    """Check a number of steps.

    Raises:
        TracingError: no integer of at least `least`.
    """
    if not isinstance(value, int) or isinstance(value, bool) or value < least:
        raise TracingError(f"{name} is {value!r}, expected an integer of at least {least}")
    return value
