"""Prune during training by magnitude, without a plan: the shortest way to a sparse run."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import nn

from accelsim.sparsity.gmp import GMP
from accelsim.sparsity.masked_branch import MaskedBranch
from accelsim.sparsity.schedules import Schedule


class MagnitudePruner(GMP):
    """Global magnitude pruning of a set of layers: `GMP` of one branch.

    Args:
        layers: name to layer, as `sparse_layers` returns; masks are put on them.
        schedule: sparsity over training steps.
        pattern: see `find_pattern`.

    Raises:
        TrainingError: unknown pattern, or no layer.
    """

    def __init__(self, layers: Mapping[str, nn.Module], schedule: Schedule, pattern: str = "element") -> None:
        super().__init__(MaskedBranch(layers), schedule, pattern)
        self.layers = dict(layers)
        self.masks = self.branches[0].parts

    def update(self, step: int) -> bool:
        """Recompute the masks if the schedule says so; return whether they were."""
        return self.before_step(step)

    @torch.no_grad()
    def prune_to(self, sparsity: float) -> None:
        """Prune a share of the units now; see `MaskedBranch.prune`.

        Raises:
            TrainingError: a share outside [0, 1], or more than the pattern can remove.
        """
        self.branches[0].prune(sparsity, self.pattern, self.criterion, step=0)
