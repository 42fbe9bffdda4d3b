"""SR-STE (Zhou et al. 2021): top N of M in every forward, gradients straight through, pruned weights decayed."""

from __future__ import annotations

from collections.abc import Sequence
from typing import cast

import torch
from torch import Tensor, nn

from accelsim.errors import TrainingError
from accelsim.sparsity.masked_branch import MaskedBranch
from accelsim.sparsity.masks import StraightThroughMask
from accelsim.sparsity.method import MaskMethod
from accelsim.sparsity.patterns import find_pattern


class SRSTE(MaskMethod):
    """N:M from the first step on, chosen afresh before every step from the dense weights.

    The weights' gradient is g + decay * (1 - mask) * w. The second term is added once per step, after the backward
    pass, so that a layer which runs twice (two views) is decayed once.

    Args:
        branch: with `kind=StraightThroughMask`.
        pattern: N:M, or transposable-N:M.
        decay: of pruned weights.
        followers: see `MaskMethod`.

    Raises:
        TrainingError: another pattern, ordinary masks, a negative decay.
    """

    def __init__(
        self,
        branch: MaskedBranch,
        pattern: str = "2:4",
        decay: float = 2e-4,
        followers: Sequence[MaskedBranch] = (),
    ) -> None:
        self.pattern, self.decay = find_pattern(pattern), decay
        if self.pattern.removed == 1:
            raise TrainingError(f"SR-STE chooses N of M weights, which {pattern} does not: expected a pattern like 2:4")
        if not all(isinstance(part, StraightThroughMask) for part in branch.parts.values()):
            raise TrainingError("SR-STE needs gradients of pruned weights: expected masks of kind StraightThroughMask")
        if not decay >= 0:
            raise TrainingError(f"pruned weights decay by {decay}, expected at least 0")
        super().__init__([branch], followers)

    def before_step(self, step: int) -> bool:
        """Choose the masks."""
        (branch,) = self.branches
        before = [mask.clone() for mask in branch.masks.values()]
        with torch.no_grad():
            branch.choose(self.pattern)
            self._follow()
        self._note(step, [before])
        return True

    def after_backward(self, step: int) -> bool:
        """Add the decay of pruned weights to the gradients."""
        (branch,) = self.branches
        for name, layer in branch.layers.items():
            weight = cast(Tensor, cast(nn.ModuleDict, layer.parametrizations)["weight"].original)
            if weight.grad is not None:
                weight.grad.add_(weight.detach() * ~branch.masks[name], alpha=self.decay)
        return False
