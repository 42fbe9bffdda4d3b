"""What a weight is worth: the higher its score, the longer it is kept. Scores are at least 0."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from accelsim.errors import TrainingError


@dataclass(frozen=True)
class Evidence:
    """What is known of one layer's weights when they are judged; tensors in the weight's shape.

    Attributes:
        weight: the weights that the layer computes with, zero where pruned.
        average: moving average of their magnitude, None if nobody keeps it.
        gradient: the dense gradient, None outside growth steps.
        generator: where random scores come from, on the CPU.
    """

    weight: Tensor
    average: Tensor | None
    gradient: Tensor | None
    generator: torch.Generator


Criterion = Callable[[Evidence], Tensor]


def magnitude(evidence: Evidence) -> Tensor:
    """Absolute value."""
    return evidence.weight.abs()


def ema_magnitude(evidence: Evidence) -> Tensor:
    """Moving average of the absolute value over steps: a weight that was small for a moment is not lost.

    Raises:
        TrainingError: no average is kept.
    """
    if evidence.average is None:
        raise TrainingError("criterion ema-magnitude needs an average kept over the steps, which this method does not")
    return evidence.average


def gradient_magnitude(evidence: Evidence) -> Tensor:
    """Absolute value of the dense gradient.

    Raises:
        TrainingError: there is no dense gradient.
    """
    if evidence.gradient is None:
        raise TrainingError("criterion gradient needs dense gradients, expected after_backward to judge by it")
    return evidence.gradient.abs()


def random(evidence: Evidence) -> Tensor:
    """Uniform in [0, 1)."""
    return torch.rand(evidence.weight.shape, generator=evidence.generator).to(evidence.weight)


def lamp(evidence: Evidence) -> Tensor:
    """Layer-adaptive magnitude (Lee et al. 2021): w^2 over the sum of all squares in the layer that are not smaller.

    Equal weights are taken in order of position. The largest weight of a layer scores 1, so a global ranking never
    empties a layer before all others are down to one weight.
    """
    squares = evidence.weight.reshape(-1).square()
    ascending, order = squares.sort(stable=True)
    not_smaller = ascending.flip(0).cumsum(0).flip(0)
    scores = torch.zeros_like(squares)
    scores[order] = torch.where(ascending > 0, ascending / not_smaller, torch.zeros_like(ascending))
    return scores.reshape(evidence.weight.shape)


CRITERIA: dict[str, Criterion] = {
    "magnitude": magnitude,
    "ema-magnitude": ema_magnitude,
    "gradient": gradient_magnitude,
    "random": random,
    "lamp": lamp,
}


def words_read(criterion: Criterion) -> int:
    """Return how many numbers are read to judge one weight: none by chance, else the weight, average or gradient."""
    return 0 if criterion is random else 1


def find_criterion(name: str) -> Criterion:
    """Return a criterion by name.

    Raises:
        TrainingError: an unknown name.
    """
    if name not in CRITERIA:
        raise TrainingError(f"unknown criterion {name!r}, expected one of {', '.join(CRITERIA)}")
    return CRITERIA[name]
