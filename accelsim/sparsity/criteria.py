"""What a weight is worth: the higher its score, the longer it is kept."""

from __future__ import annotations

from collections.abc import Callable

from torch import Tensor

Criterion = Callable[[Tensor], Tensor]


def magnitude(weight: Tensor) -> Tensor:
    """Score each weight by its absolute value (the weights the layer computes with, so a pruned one scores 0)."""
    return weight.abs()


CRITERIA: dict[str, Criterion] = {"magnitude": magnitude}
