"""Stochastic pruning of activation gradients (SparseTrain, Dai et al. 2020), so that input_grad has zeros to skip."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass, field
from statistics import NormalDist
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils.hooks import RemovableHandle

from accelsim.errors import TrainingError


def prune_gradient(gradient: Tensor, share: float) -> Tensor:
    """Round small gradients to zero or up to a threshold, at random and without bias.

    The threshold t is that below which `share` of a normal distribution's magnitudes lie, its deviation estimated from
    the mean magnitude. A magnitude below t becomes t with probability |g| / t, else 0, so its expectation stays.

    Args:
        gradient: any shape.
        share: of magnitudes below the threshold, [0, 1); fewer become zero, since some are rounded up (for a normal
            distribution and 0.9 about half).

    Returns:
        The pruned gradient, same shape. Random numbers come from PyTorch's global generator.
    """
    deviation = gradient.abs().mean() * math.sqrt(math.pi / 2)
    threshold = deviation * NormalDist().inv_cdf((1 + share) / 2)
    size = gradient.abs()
    up = torch.rand_like(gradient) * threshold < size
    return torch.where(size >= threshold, gradient, torch.where(up, gradient.sign() * threshold, 0.0))


@dataclass
class PrunedGradients:
    """What `prune_output_gradients` did so far.

    Attributes:
        elements: of all gradients pruned.
        nonzeros: those that were left.
    """

    elements: int = 0
    nonzeros: int = 0
    _handles: list[RemovableHandle] = field(default_factory=list)

    @property
    def density(self) -> float:
        """Share of elements left; NaN before the first backward."""
        return self.nonzeros / self.elements if self.elements else math.nan

    def remove(self) -> None:
        """Prune no gradients from here on."""
        for handle in self._handles:
            handle.remove()


def prune_output_gradients(layers: Iterable[nn.Module], share: float) -> PrunedGradients:
    """Prune the gradient at the output of layers from here on; batch norm's dense gradients get zeros again.

    Both gradients that a layer computes from it, its input's and its weight's, see the pruned one.

    Args:
        layers: convolutions or linear layers.
        share: see `prune_gradient`.

    Returns:
        The counts of what is left, whose `remove()` ends it.

    Raises:
        TrainingError: a share outside [0, 1).
    """
    if not 0 <= share < 1:
        raise TrainingError(f"a share of {share} of the gradients is to be pruned, expected 0 to below 1")
    pruned = PrunedGradients()

    def prune(gradient: Tensor) -> Tensor:
        left = prune_gradient(gradient, share)
        pruned.elements += left.numel()
        pruned.nonzeros += int(left.count_nonzero())
        return left

    def hook(_layer: nn.Module, _inputs: Any, output: Tensor) -> None:
        if output.requires_grad:
            output.register_hook(prune)

    pruned._handles += [layer.register_forward_hook(hook) for layer in layers]
    return pruned
