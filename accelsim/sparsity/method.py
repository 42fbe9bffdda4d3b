"""What all methods that update masks share: newborn weights, followers and the log."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import torch
from torch import Tensor

from accelsim.sparsity.criteria import ema_magnitude, find_criterion
from accelsim.sparsity.masked_branch import MaskedBranch
from accelsim.sparsity.sparsifier import MaskUpdate


class MaskMethod:
    """The base of the methods; alone it is a `Sparsifier` that keeps averages and changes nothing.

    Args:
        branches: whose masks are updated, one or two.
        followers: branches that take over the first branch's masks after every update (a momentum encoder pruned as
            its online encoder is).
        criterion: key of `CRITERIA`; for `ema-magnitude` the averages are kept from here on.

    Attributes:
        criterion: what a weight is worth.
        log: every mask update so far.

    Raises:
        TrainingError: an unknown criterion.
    """

    def __init__(
        self,
        branches: Sequence[MaskedBranch],
        followers: Sequence[MaskedBranch] = (),
        criterion: str = "magnitude",
    ) -> None:
        self.branches, self.followers = tuple(branches), tuple(followers)
        self.criterion = find_criterion(criterion)
        self._keep_averages()
        self.log: list[MaskUpdate] = []
        self._follow()

    def before_step(self, step: int) -> bool:
        """Keep the averages."""
        self._keep_averages()
        return False

    def after_backward(self, step: int) -> bool:
        """Change nothing."""
        return False

    @contextmanager
    def _update(self, step: int) -> Iterator[None]:
        """Log what the block does to the masks; a weight that no branch used before starts at 0."""
        with torch.no_grad():
            before = [{name: mask.clone() for name, mask in branch.masks.items()} for branch in self.branches]
            yield
            for branch in self.branches:
                self._zero_newborn(branch, before)
            self._follow()
        self._note(step, [list(masks.values()) for masks in before])

    def _note(self, step: int, before: list[list[Tensor]]) -> None:
        """Log an update, given each branch's masks before it."""
        now = [list(branch.masks.values()) for branch in self.branches]
        self.log.append(
            MaskUpdate(
                step=step,
                sparsity=tuple(branch.sparsity for branch in self.branches),
                overlap_previous=tuple(overlap(old, new) for old, new in zip(before, now, strict=True)),
                overlap_branches=overlap(now[0], now[1]) if len(now) == 2 else None,
            )
        )

    def _zero_newborn(self, branch: MaskedBranch, before: list[dict[str, Tensor]]) -> None:
        stored = branch.stored
        for name, mask in branch.masks.items():
            used = torch.zeros_like(mask)
            for other, masks in zip(self.branches, before, strict=True):
                if other.layers.get(name) is branch.layers[name]:
                    used |= masks[name]
            newborn = mask & ~used
            stored[name].masked_fill_(newborn, 0)
            if (average := branch.parts[name].average) is not None:
                average.masked_fill_(newborn, 0)

    def _keep_averages(self) -> None:
        """Take this step's magnitudes into the averages, if the criterion goes by them."""
        if self.criterion is ema_magnitude:
            for branch in self.branches:
                if branch.index == 0:  # the second branch of a shared encoder has the same weights
                    branch.keep_average()

    def _follow(self) -> None:
        for follower in self.followers:
            follower.copy_masks(self.branches[0])


def overlap(first: Sequence[Tensor], second: Sequence[Tensor]) -> float:
    """Return |a and b| / min(|a|, |b|) of two sets of masks over the same layers: 1 where one lies inside the other."""
    common = sum(int((a & b).sum()) for a, b in zip(first, second, strict=True))
    least = min(sum(int(mask.sum()) for mask in masks) for masks in (first, second))
    return common / least if least else 1.0
