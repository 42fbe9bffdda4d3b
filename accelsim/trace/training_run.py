"""What a trace says of the run as a whole: how long it was, which steps grew weights, what its mask updates cost.

The tracer keeps it under `training` in the metadata, which are complete when the recording has ended:

    {"first_step": 0, "end_step": 600, "growth_steps": [100, 200], "mask_updates": [{"step": 100, "judged": ...}, ...]}
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, fields
from typing import Any

MAX_STEPS = 10_000_000
"""Steps of a run: sums over a run take some numbers a step."""


@dataclass(frozen=True)
class MaskWork:
    """What an update of the masks looked at, all selections of a step together.

    Attributes:
        step: the step before whose forward, or after whose backward, the masks changed.
        judged: weights compared with each other, or with a threshold; one that is judged twice counts twice.
        words_read: numbers read to judge them (weights, averages, dense gradients).
        mask_bits: bits of the masks that were read and written anew.
        pruned, grown: weights that lived before a selection and not after it, and the reverse.
    """

    step: int
    judged: int
    words_read: int
    mask_bits: int
    pruned: int
    grown: int


@dataclass(frozen=True)
class TrainingRun:
    """The steps of a run that a tracer saw, recorded or not.

    Attributes:
        first_step, end_step: from the first step up to, not including, the last.
        growth_steps: those that computed dense weight gradients, ascending.
        mask_updates: ascending by step.
    """

    first_step: int
    end_step: int
    growth_steps: tuple[int, ...] = ()
    mask_updates: tuple[MaskWork, ...] = ()

    @classmethod
    def from_meta(cls, meta: Mapping[str, Any]) -> TrainingRun | None:
        """Read a trace's metadata; None if they do not say, or not in these terms (a foreign writer)."""
        match meta.get("training"):
            case {
                "first_step": int(first),
                "end_step": int(end),
                "growth_steps": list(growth),
                "mask_updates": list(updates),
            } if 0 <= first <= end <= MAX_STEPS and all(type(step) is int for step in (first, end, *growth)):
                known = [update for update in updates if _is_work(update)]
                if len(known) == len(updates):
                    ascending = sorted((MaskWork(**update) for update in known), key=lambda update: update.step)
                    return cls(first, end, tuple(sorted(set(growth))), tuple(ascending))
        return None

    @classmethod
    def joined(cls, runs: Iterable[TrainingRun]) -> TrainingRun | None:
        """Join what several files say: ranks saw the same steps, parts of a resumed run follow one another.

        What several of them say of a step counts once: the ranks of a run update the same masks. None if no run is
        given, or steps between two of them were seen by none.
        """
        joined: TrainingRun | None = None
        for run in sorted(runs, key=lambda run: (run.first_step, run.end_step)):
            if joined is None:
                joined = run
                continue
            if run.first_step > joined.end_step:
                return None
            updates = {update.step: update for update in (*run.mask_updates, *joined.mask_updates)}
            joined = cls(
                joined.first_step,
                max(joined.end_step, run.end_step),
                tuple(sorted({*joined.growth_steps, *run.growth_steps})),
                tuple(updates[step] for step in sorted(updates)),
            )
        return joined

    def plain(self) -> dict[str, Any]:
        """Return the metadata that say this."""
        return {
            "first_step": self.first_step,
            "end_step": self.end_step,
            "growth_steps": list(self.growth_steps),
            "mask_updates": [asdict(update) for update in self.mask_updates],
        }


_FIELDS = {field.name for field in fields(MaskWork)}


def _is_work(update: object) -> bool:
    return (
        isinstance(update, dict)
        and update.keys() == _FIELDS
        and all(type(value) is int and value >= 0 for value in update.values())
    )
