"""N of M: groups along the input channels that keep N of M weights, and blocks that keep N of M both ways."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn import functional

from accelsim.errors import TrainingError
from accelsim.sparsity.transposable import best_masks

_LARGEST = 64
"""Largest M of a transposable pattern: time grows with M."""


class NofM:
    """Groups of M consecutive input channels at a fixed output channel and kernel position; a pruned one keeps N.

    A unit is a group: kept, it stays dense, so the share of N:M groups may rise along a schedule. The group whose M - N
    smallest weights sum up to least is pruned first. The last group of a number of channels that M does not divide is
    smaller and keeps at most N.

    Raises:
        TrainingError: not 0 < N < M.
    """

    exchanges = True

    def __init__(self, n: int, m: int) -> None:
        if not 0 < n < m:
            raise TrainingError(f"{n}:{m} makes no pattern, expected N:M with 0 < N < M")
        self.n, self.m = n, m
        self.removed = 1 - n / m

    def units(self, shape: Sequence[int]) -> int:
        """Return the number of groups, smaller ones among them."""
        c_out, c_in, *kernel = shape
        return c_out * -(-c_in // self.m) * math.prod(kernel)

    def unit_scores(self, scores: Tensor) -> Tensor:
        """Return the mean score of the M - N elements that a group would lose."""
        ranked = self._groups(scores).sort(dim=1, descending=True).values
        lost = ranked[:, self.n :]
        return lost.masked_fill(lost.isinf(), 0).sum(1) / (self.m - self.n)

    def element_mask(self, kept: Tensor, scores: Tensor) -> Tensor:
        """Return all elements of the kept groups and the N best of every other."""
        groups = self._groups(scores)
        best = torch.zeros_like(groups, dtype=torch.bool)
        best.scatter_(1, groups.argsort(dim=1, descending=True, stable=True)[:, : self.n], True)
        return self._ungroup(best | kept[:, None], scores)

    def regrow(self, mask: Tensor, worth: Tensor, gain: Tensor, share: float) -> Tensor:
        """Exchange elements inside each pruned group, so that all groups keep their numbers; dense groups stay."""
        alive = self._groups(mask.float()) > 0
        real = self._groups(torch.ones_like(worth)) > 0
        thinned = (alive != real).any(1)
        candidates = (alive & thinned[:, None]).reshape(-1)
        count = int(share * int(candidates.sum()))
        weakest = self._groups(worth).reshape(-1).masked_fill(~candidates, torch.inf).topk(count, largest=False).indices
        after = alive.reshape(-1).clone()
        after[weakest] = False
        after = after.reshape(alive.shape)
        missing = (alive & ~after).sum(1, keepdim=True)
        closed = self._groups(gain).masked_fill(after | ~real, -torch.inf)
        place = closed.argsort(dim=1, descending=True, stable=True).argsort(dim=1)
        return self._ungroup(after | (place < missing), worth)

    def _groups(self, values: Tensor) -> Tensor:
        """Return [groups, M]; what is missing in a smaller group is -inf."""
        last = values.movedim(1, -1)
        return functional.pad(last, (0, -last.shape[-1] % self.m), value=-torch.inf).reshape(-1, self.m)

    def _ungroup(self, groups: Tensor, like: Tensor) -> Tensor:
        c_out, c_in, *kernel = like.shape
        return groups.reshape(c_out, *kernel, -1)[..., :c_in].movedim(-1, 1)


class TransposableNofM:
    """M x M blocks of output by input channels at a kernel position; a pruned one keeps N in each row and each column.

    So N:M holds for forward and for input_grad, which reads the weight transposed. The mask of a block is the best one,
    see `best_masks`. Blocks at a ragged edge keep at most N in each row and column.

    Raises:
        TrainingError: not 0 < N < M <= 64.
    """

    exchanges = False

    def __init__(self, n: int, m: int) -> None:
        if not 0 < n < m <= _LARGEST:
            raise TrainingError(f"transposable-{n}:{m} makes no pattern, expected N:M with 0 < N < M <= {_LARGEST}")
        self.n, self.m = n, m
        self.removed = 1 - n / m

    def units(self, shape: Sequence[int]) -> int:
        """Return the number of blocks, those at a ragged edge among them."""
        c_out, c_in, *kernel = shape
        return -(-c_out // self.m) * -(-c_in // self.m) * math.prod(kernel)

    def unit_scores(self, scores: Tensor) -> Tensor:
        """Return the mean score of the elements that a block would lose."""
        blocks = self._blocks(scores)
        lost = blocks.masked_fill(best_masks(blocks, self.n), 0)
        return lost.sum((1, 2)) / (self.m * (self.m - self.n))

    def element_mask(self, kept: Tensor, scores: Tensor) -> Tensor:
        """Return all elements of the kept blocks and the best mask of every other."""
        blocks = self._blocks(scores)
        chosen = torch.ones_like(blocks, dtype=torch.bool)
        chosen[~kept] = best_masks(blocks[~kept], self.n)
        return self._unblock(chosen, scores)

    def regrow(self, mask: Tensor, worth: Tensor, gain: Tensor, share: float) -> Tensor:
        """Refuse: no single weight of a block can go or come without breaking a row or a column."""
        raise TrainingError(
            f"transposable-{self.n}:{self.m} cannot exchange single weights: prune it with gmp, or regrow N:M"
        )

    def _blocks(self, values: Tensor) -> Tensor:
        """Return [blocks, M, M]; what is missing at an edge is 0."""
        c_out, c_in, *_ = values.shape
        m = self.m
        padded = functional.pad(values.reshape(c_out, c_in, -1), (0, 0, 0, -c_in % m, 0, -c_out % m))
        rows, columns, positions = padded.shape
        grid = padded.reshape(rows // m, m, columns // m, m, positions)
        return grid.permute(0, 2, 4, 1, 3).reshape(-1, m, m)

    def _unblock(self, blocks: Tensor, like: Tensor) -> Tensor:
        c_out, c_in, *_ = like.shape
        m = self.m
        down, across = -(-c_out // m), -(-c_in // m)
        grid = blocks.reshape(down, across, -1, m, m).permute(0, 3, 1, 4, 2)
        return grid.reshape(down * m, across * m, -1)[:c_out, :c_in].reshape(like.shape)
