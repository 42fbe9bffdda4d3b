"""What stays in the PEs of an array: one dataflow, or a list of those that it can run."""

from __future__ import annotations

from difflib import get_close_matches
from typing import Annotated, Any, Literal, get_args

from pydantic import BeforeValidator

Dataflow = Literal["output_stationary", "weight_stationary", "input_stationary"]
DATAFLOWS: tuple[Dataflow, ...] = get_args(Dataflow)


def _known(given: Any) -> Any:
    """Refuse what is neither a dataflow nor a list of some, in one sentence; a list becomes a tuple."""
    names = given if isinstance(given, list | tuple) else [given]
    if not names:
        raise ValueError("it is empty, expected one dataflow at least")
    for name in names:
        if name not in DATAFLOWS:
            which = f"it names {str(name)[:40]!r}, " if names is given else ""
            close = get_close_matches(str(name)[:40], DATAFLOWS, 1)
            meant = f": did you mean {close[0]!r}?" if close else ""
            raise ValueError(f"{which}expected {', '.join(DATAFLOWS)}, or a list of some of them{meant}")
    if len(set(names)) < len(names):
        raise ValueError(f"a dataflow is listed twice: {', '.join(names)}")
    return tuple(names) if names is given else given


Dataflows = Annotated[Dataflow | tuple[Dataflow, ...], BeforeValidator(_known)]


def listed(dataflow: Dataflow | tuple[Dataflow, ...]) -> tuple[Dataflow, ...]:
    """Return a list of one, or the list."""
    return dataflow if isinstance(dataflow, tuple) else (dataflow,)
