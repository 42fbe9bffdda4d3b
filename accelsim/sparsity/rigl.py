"""RigL (Evci et al. 2020): constant sparsity, weights exchanged by gradient."""

from __future__ import annotations

from collections.abc import Sequence

from accelsim.sparsity.criteria import CRITERIA
from accelsim.sparsity.masked_branch import MaskedBranch
from accelsim.sparsity.method import MaskMethod
from accelsim.sparsity.patterns import find_pattern
from accelsim.sparsity.schedules import CosineExchange


class RigL(MaskMethod):
    """From random masks, in each layer: drop by magnitude, grow as many by the dense gradient's magnitude.

    Args:
        branch: a branch whose masks have their final sparsity (`MaskedBranch.start`).
        exchange: when, and what share of the living.
        pattern: see `find_pattern`; that of the start.
        criterion: key of `CRITERIA` by which weights are dropped; magnitude as published.
        followers: see `MaskMethod`.

    Raises:
        TrainingError: unknown pattern or criterion.
    """

    def __init__(
        self,
        branch: MaskedBranch,
        exchange: CosineExchange,
        pattern: str = "element",
        criterion: str = "magnitude",
        followers: Sequence[MaskedBranch] = (),
    ) -> None:
        self.pattern, self.exchange = find_pattern(pattern), exchange
        super().__init__([branch], followers, criterion)

    def before_step(self, step: int) -> bool:
        """Ask for dense gradients in a step that exchanges."""
        self._keep_averages()
        if self.exchange.exchanges_at(step):
            self.branches[0].want_gradients()
        return False

    def after_backward(self, step: int) -> bool:
        """Exchange, if this is such a step."""
        if not self.exchange.exchanges_at(step):
            return False
        (branch,) = self.branches
        gradients = branch.take_gradients()
        with self._update(step):
            drop, grow = self.criterion, CRITERIA["gradient"]
            branch.regrow(self.exchange.share(step), self.pattern, drop, grow, step, gradients)
        return True
