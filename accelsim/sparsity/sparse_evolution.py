"""SET, sparse evolutionary training (Mocanu et al. 2018): constant sparsity, weights exchanged at random."""

from __future__ import annotations

from collections.abc import Sequence

from accelsim.errors import TrainingError
from accelsim.sparsity.criteria import CRITERIA
from accelsim.sparsity.masked_branch import MaskedBranch
from accelsim.sparsity.method import MaskMethod
from accelsim.sparsity.patterns import find_pattern
from accelsim.sparsity.schedules import CosineExchange


class SET(MaskMethod):
    """From random masks, in each layer: drop by magnitude, grow as many anywhere. It never needs a dense gradient.

    Args:
        branch: a branch whose masks have their final sparsity (`MaskedBranch.start`).
        exchange: when, and what share of the living; constant as published.
        pattern: see `find_pattern`; that of the start.
        criterion: key of `CRITERIA` by which weights are dropped; magnitude as published.
        followers: see `MaskMethod`.

    Raises:
        TrainingError: unknown pattern or criterion, or the criterion gradient.
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
        if criterion == "gradient":
            raise TrainingError("SET never asks for dense gradients, expected another criterion than gradient")
        super().__init__([branch], followers, criterion)

    def before_step(self, step: int) -> bool:
        """Exchange, if this is such a step."""
        self._keep_averages()
        if not self.exchange.exchanges_at(step):
            return False
        (branch,) = self.branches
        with self._update(step):
            drop, grow = self.criterion, CRITERIA["random"]
            branch.regrow(self.exchange.share(step), self.pattern, drop, grow, step)
        return True
