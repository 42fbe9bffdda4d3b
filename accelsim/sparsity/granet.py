"""GraNet (Liu et al. 2021): prune along a cubic schedule, then exchange some of what is left by gradient."""

from __future__ import annotations

from collections.abc import Sequence

from accelsim.errors import TrainingError
from accelsim.sparsity.criteria import CRITERIA
from accelsim.sparsity.masked_branch import MaskedBranch
from accelsim.sparsity.method import MaskMethod
from accelsim.sparsity.patterns import find_pattern
from accelsim.sparsity.schedules import CosineExchange, Schedule


class GraNet(MaskMethod):
    """At each update of the schedule, after the backward pass: global pruning, then an exchange in each layer.

    Args:
        branches: one, or two that are updated at the same steps, each ranked for itself. Dense gradients are the first
            branch's: the second is the same encoder, or a momentum encoder that has none.
        schedules: sparsity over training steps, one a branch; the first says when.
        exchange: share of the living to exchange at an update (its own times of exchange do not count here).
        pattern: see `find_pattern`.
        criterion: key of `CRITERIA` by which weights are pruned and dropped.
        followers: see `MaskMethod`.

    Raises:
        TrainingError: unknown pattern or criterion, a criterion that cannot prune, other numbers of schedules.
    """

    def __init__(
        self,
        branches: Sequence[MaskedBranch],
        schedules: Sequence[Schedule],
        exchange: CosineExchange,
        pattern: str = "element",
        criterion: str = "magnitude",
        followers: Sequence[MaskedBranch] = (),
    ) -> None:
        if len(schedules) != len(branches):
            raise TrainingError(f"{len(branches)} branches have {len(schedules)} schedules, expected one each")
        self.pattern = find_pattern(pattern)
        self.schedules, self.exchange = tuple(schedules), exchange
        super().__init__(branches, followers, criterion)

    def before_step(self, step: int) -> bool:
        """Ask for dense gradients in a step that updates."""
        self._keep_averages()
        if self.schedules[0].updates_at(step):
            self.branches[0].want_gradients()
        return False

    def after_backward(self, step: int) -> bool:
        """Prune and exchange as the schedules say."""
        if not self.schedules[0].updates_at(step):
            return False
        gradients = self.branches[0].take_gradients()
        share = self.exchange.share(step)
        with self._update(step):
            for branch, schedule in zip(self.branches, self.schedules, strict=True):
                mine = dict(zip(branch.layers, gradients.values(), strict=True))
                branch.prune(schedule.sparsity(step), self.pattern, self.criterion, step, mine)
                branch.regrow(share, self.pattern, self.criterion, CRITERIA["gradient"], step, mine)
        return True
