"""Which of the two contrastive branches is running: masks and gates of a shared encoder may differ between them."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Literal

BranchIndex = Literal[0, 1]

_CURRENT: ContextVar[BranchIndex] = ContextVar("branch", default=0)


@contextmanager
def branch(index: BranchIndex) -> Iterator[None]:
    """Run the forward of the online branch (0) or of the other one (1): `with branch(1): z = encoder(view)`.

    Masks and gates that distinguish branches look here; everything else is unaffected. Outside any such block the
    online branch runs.
    """
    token = _CURRENT.set(index)
    try:
        yield
    finally:
        _CURRENT.reset(token)


def current_branch() -> BranchIndex:
    """Return the branch whose forward is running."""
    return _CURRENT.get()
