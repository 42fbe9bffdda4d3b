"""Which of the two contrastive branches is running: masks and gates of a shared encoder may differ between them."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Literal

import torch

from accelsim.errors import TrainingError

BranchIndex = Literal[0, 1]

_CURRENT: ContextVar[BranchIndex | None] = ContextVar("branch", default=None)


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
    return _CURRENT.get() or 0


def distinguished_branch() -> BranchIndex:
    """Return the branch whose forward is running, for a layer that computes differently in each.

    Raises:
        TrainingError: activation checkpointing runs a forward again, and nothing says for which branch.
    """
    if _CURRENT.get() is None and torch._C._current_autograd_node() is not None:
        raise TrainingError(
            "a checkpointed forward runs again without its branch, whose masks or gates differ: put the block"
            " `with branch(0):` or `with branch(1):` inside the function that is checkpointed"
        )
    return current_branch()
