"""Prune during training: rank all units of all sparse layers together, keep exactly as many as the schedule says."""

from __future__ import annotations

from collections.abc import Mapping
from typing import cast

import torch
from torch import Tensor, nn

from accelsim.errors import TrainingError
from accelsim.sparsity.criteria import CRITERIA
from accelsim.sparsity.masks import apply_masks
from accelsim.sparsity.patterns import PATTERNS
from accelsim.sparsity.schedules import Schedule


class MagnitudePruner:
    """Global magnitude pruning of a set of layers.

    Call `update(step)` before the forward pass of every step. Scores are taken from the weights in use, where a pruned
    weight is zero: a weight once pruned stays pruned while the schedule rises.

    Args:
        layers: name to layer, as `sparse_layers` returns; masks are put on them.
        schedule: sparsity over training steps.
        pattern: key of `PATTERNS`.

    Raises:
        TrainingError: unknown pattern, or no layer.
    """

    def __init__(self, layers: Mapping[str, nn.Module], schedule: Schedule, pattern: str = "element") -> None:
        if pattern not in PATTERNS:
            raise TrainingError(f"unknown sparsity pattern {pattern!r}, expected one of {', '.join(PATTERNS)}")
        if not layers:
            raise TrainingError("no layer to prune was given")
        self.layers = dict(layers)
        self.schedule = schedule
        self.pattern = PATTERNS[pattern]
        self.criterion = CRITERIA["magnitude"]
        self.masks = apply_masks(self.layers)

    @torch.no_grad()
    def update(self, step: int) -> bool:
        """Recompute the masks if the schedule says so.

        Returns:
            Whether masks were recomputed.
        """
        if not self.schedule.updates_at(step):
            return False
        self.prune_to(self.schedule.sparsity(step))
        return True

    @torch.no_grad()
    def prune_to(self, sparsity: float) -> None:
        """Keep exactly units - round(sparsity * units) units, those with the highest scores over all layers.

        Equal scores are cut by position, so the count is exact always.

        Args:
            sparsity: share of units to prune, 0 to 1.

        Raises:
            TrainingError: a share outside [0, 1].
        """
        if not 0 <= sparsity <= 1:
            raise TrainingError(f"cannot prune a share of {sparsity} of the weights, expected 0 to 1")
        scores = [
            self.pattern.unit_scores(self.criterion(cast(Tensor, layer.weight))) for layer in self.layers.values()
        ]
        flat = torch.cat(scores)
        kept = torch.zeros(flat.numel(), dtype=torch.bool, device=flat.device)
        kept[flat.topk(flat.numel() - round(sparsity * flat.numel()), sorted=False).indices] = True
        for units, mask in zip(torch.split(kept, [s.numel() for s in scores]), self.masks.values(), strict=True):
            mask.mask.copy_(self.pattern.element_mask(units, tuple(mask.mask.shape)))
