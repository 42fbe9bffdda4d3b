"""What is known of the run behind a trace's recorded steps: from the trace, and from its user."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from accelsim.errors import AccelsimError
from accelsim.trace.training_run import MAX_STEPS, TrainingRun


@dataclass(frozen=True)
class WholeRun:
    """The run, if its length is known.

    Attributes:
        run: its steps; None if nobody says how many there were.
        unfinished: a step of which only a part was recorded.
        notes: what is missing, a sentence each.
    """

    run: TrainingRun | None
    unfinished: int | None = None
    notes: tuple[str, ...] = ()


def find_run(meta: Mapping[str, Any], run_steps: int | None, recorded: Sequence[int], whole: bool) -> WholeRun:
    """Return what a trace's metadata and its user say of the run.

    Args:
        meta: the trace's metadata.
        run_steps: the run's number of steps as the user knows it, from step 0 on; None: as the trace says.
        recorded: the steps to replay, as far as they are known.
        whole: whether all layers and passes are replayed; mask updates are not charged to a part of them.

    Raises:
        AccelsimError: fewer steps than were recorded, or more than can be summed.
    """
    unfinished = meta.get("incomplete_step")
    if not isinstance(unfinished, int):
        unfinished = None
    least = max((step for step in recorded if step != unfinished), default=0) + 1
    if run_steps is not None and run_steps < least:
        raise AccelsimError(f"the run is said to have {run_steps} steps, expected at least the {least} of the trace")
    if run_steps is not None and run_steps > MAX_STEPS:
        raise AccelsimError(f"the run is said to have {run_steps} steps, expected at most {MAX_STEPS}")
    known = TrainingRun.from_meta(meta)
    if known is None and run_steps is None:
        steps = meta.get("steps")
        perhaps = f" ({steps} in its metadata)" if isinstance(steps, int) and steps >= least else ""
        note = (
            "No whole training: the trace does not say which steps of the run grew weights; --run-steps (run_steps)"
            f" gives their number{perhaps} and counts all alike."
        )
        return WholeRun(None, unfinished, (note,))
    run, notes = known or TrainingRun(0, 0), []
    if run_steps is not None:
        if run.first_step > 0 or run.end_step < run_steps:
            seen = f"Outside steps {run.first_step} to {run.end_step - 1} the" if run.end_step else "The"
            notes.append(f"{seen} trace does not say where weights grew and masks changed: counted as nowhere.")
        growth = tuple(step for step in run.growth_steps if step < run_steps)
        run = TrainingRun(0, run_steps, growth, tuple(work for work in run.mask_updates if work.step < run_steps))
    if run.mask_updates and not whole:
        run = replace(run, mask_updates=())
        notes.append("Mask updates are not counted where only some layers or passes are replayed.")
    return WholeRun(run, unfinished, tuple(notes))
