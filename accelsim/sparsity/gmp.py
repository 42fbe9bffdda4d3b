"""Gradual pruning (Zhu and Gupta 2017), by magnitude or by any other criterion, over all layers at once."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from torch import Tensor

from accelsim.sparsity.criteria import gradient_magnitude
from accelsim.sparsity.masked_branch import MaskedBranch
from accelsim.sparsity.method import MaskMethod
from accelsim.sparsity.patterns import find_pattern
from accelsim.sparsity.schedules import Schedule


class GMP(MaskMethod):
    """Global pruning of one branch along a schedule; what is pruned stays pruned.

    Args:
        branch: whose layers are pruned.
        schedule: sparsity over training steps.
        pattern: see `find_pattern`.
        criterion: key of `CRITERIA`; by `gradient` the masks change after the backward pass, else before the forward.
        followers: see `MaskMethod`.

    Raises:
        TrainingError: unknown pattern or criterion.
    """

    def __init__(
        self,
        branch: MaskedBranch,
        schedule: Schedule,
        pattern: str = "element",
        criterion: str = "magnitude",
        followers: Sequence[MaskedBranch] = (),
    ) -> None:
        self.pattern, self.schedule = find_pattern(pattern), schedule
        super().__init__([branch], followers, criterion)

    def before_step(self, step: int) -> bool:
        """Prune as the schedule says, or ask for the gradients to prune by."""
        self._keep_averages()
        if not self.schedule.updates_at(step):
            return False
        if self.criterion is gradient_magnitude:
            self.branches[0].want_gradients()
            return False
        self._prune(step, None)
        return True

    def after_backward(self, step: int) -> bool:
        """Prune by gradient, where that is the criterion."""
        if self.criterion is not gradient_magnitude or not self.schedule.updates_at(step):
            return False
        self._prune(step, self.branches[0].take_gradients())
        return True

    def _prune(self, step: int, gradients: Mapping[str, Tensor] | None) -> None:
        with self._update(step):
            self.branches[0].prune(self.schedule.sparsity(step), self.pattern, self.criterion, step, gradients)
