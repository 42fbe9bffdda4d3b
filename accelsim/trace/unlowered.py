"""What ran beside the records of a trace, as its metadata tell it: operations that could not be lowered.

The tracer keeps them under `unlowered`: {"operator (reason)": {"count": 3, "macs": 99, "reason": "..."}}; `macs` is
None where nobody knows how many multiply-accumulates they were.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeGuard

EVALUATION = "evaluation, the model was in eval mode"
_MOST = 10**30  # far above the work of any training


@dataclass(frozen=True)
class UnloweredNote:
    """Operations that ran but are not in the trace: how often, their multiply-accumulates (None: unknown), and why."""

    name: str
    count: int
    macs: int | None
    reason: str

    @property
    def trains(self) -> bool:
        """Whether they are part of the training, not of an evaluation beside it."""
        return self.reason != EVALUATION


def read_unlowered(meta: Mapping[str, Any]) -> tuple[UnloweredNote, ...]:
    """Read a trace's metadata; a field that a foreign writer left out or filled otherwise is shown as unknown."""
    noted = meta.get("unlowered")
    if not isinstance(noted, dict):
        return ()
    notes = []
    for name, fields in noted.items():
        known = fields if isinstance(fields, dict) else {}
        count, macs, reason = known.get("count"), known.get("macs"), known.get("reason")
        notes.append(
            UnloweredNote(
                str(name),
                count if _is_number(count) else 0,
                macs if _is_number(macs) else None,
                str(reason or ""),
            )
        )
    return tuple(notes)


def _is_number(value: object) -> TypeGuard[int]:
    return type(value) is int and 0 <= value <= _MOST


def join_unlowered(metas: Iterable[Mapping[str, Any]]) -> dict[str, dict[str, Any]]:
    """Add up what the traces of a run left out, as metadata tell it."""
    joined: dict[str, dict[str, Any]] = {}
    for note in (note for meta in metas for note in read_unlowered(meta)):
        before = joined.get(note.name, {"count": 0, "macs": 0})
        known = note.macs is not None and before["macs"] is not None
        joined[note.name] = {
            "count": before["count"] + note.count,
            "macs": before["macs"] + note.macs if known else None,
            "reason": note.reason,
        }
    return joined


def shares(notes: Sequence[UnloweredNote], recorded_macs: int) -> list[str]:
    """Return each note's share of all multiply-accumulates of the training, in words.

    Where the work of some operations is not known, all of it is more than what is, and the others' shares are upper
    bounds.

    Args:
        recorded_macs: those of the trace's records, all passes.
    """
    training = [note for note in notes if note.trains]
    every = recorded_macs + sum(note.macs or 0 for note in training)
    at_most = "at most " if any(note.macs is None for note in training) else ""
    return [
        "not part of the training"
        if not note.trains
        else "unknown"
        if note.macs is None
        else f"{at_most}{100 * note.macs / max(every, 1):.1f}%"
        for note in notes
    ]
