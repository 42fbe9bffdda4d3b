"""Blocks of output by input channels (vectors among them), and whole output channels."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn import functional

from accelsim.errors import TrainingError
from accelsim.sparsity.swap import swap


class BlockPattern:
    """Blocks of `rows` output channels x `columns` input channels at one kernel position, ranked by their mean score.

    One row makes vectors along the input channels. A square block stays one under the transpose that input_grad sees.
    Blocks are aligned to multiples of their size; those at a ragged edge are smaller.

    Raises:
        TrainingError: rows or columns below 1.
    """

    removed = 1.0
    exchanges = True

    def __init__(self, rows: int, columns: int) -> None:
        if rows < 1 or columns < 1:
            raise TrainingError(f"a block of {rows}x{columns} weights makes no pattern, expected at least 1x1")
        self.rows, self.columns = rows, columns

    def units(self, shape: Sequence[int]) -> int:
        """Return the number of blocks, those at a ragged edge among them."""
        c_out, c_in, *kernel = shape
        return -(-c_out // self.rows) * -(-c_in // self.columns) * math.prod(kernel)

    def unit_scores(self, scores: Tensor) -> Tensor:
        """Return the mean score of each block."""
        return (self._sums(scores) / self._sums(torch.ones_like(scores))).reshape(-1)

    def element_mask(self, kept: Tensor, scores: Tensor) -> Tensor:
        """Return the elements of the kept blocks."""
        c_out, c_in, *kernel = scores.shape
        blocks = kept.reshape(-(-c_out // self.rows), -(-c_in // self.columns), -1)
        elements = blocks.repeat_interleave(self.rows, 0).repeat_interleave(self.columns, 1)
        return elements[:c_out, :c_in].reshape(c_out, c_in, *kernel)

    def regrow(self, mask: Tensor, worth: Tensor, gain: Tensor, share: float) -> Tensor:
        """Exchange whole blocks; among the smaller blocks of a ragged edge the number of blocks is what stays."""
        alive = self._sums(mask.float()).reshape(-1) > 0
        return self.element_mask(swap(alive, self.unit_scores(worth), self.unit_scores(gain), share), worth)

    def _sums(self, values: Tensor) -> Tensor:
        """Sum of each block, [blocks of C_out, blocks of C_in, kernel positions]."""
        c_out, c_in, *_ = values.shape
        padded = functional.pad(values.reshape(c_out, c_in, -1), (0, 0, 0, -c_in % self.columns, 0, -c_out % self.rows))
        rows, columns, positions = padded.shape
        grid = padded.reshape(rows // self.rows, self.rows, columns // self.columns, self.columns, positions)
        return grid.sum((1, 3))


class ChannelPattern:
    """Whole output channels (filters), ranked by their mean score."""

    removed = 1.0
    exchanges = True

    def units(self, shape: Sequence[int]) -> int:
        """Return the number of output channels."""
        return shape[0]

    def unit_scores(self, scores: Tensor) -> Tensor:
        """Return the mean score of each output channel."""
        return scores.flatten(1).mean(1)

    def element_mask(self, kept: Tensor, scores: Tensor) -> Tensor:
        """Return the elements of the kept channels."""
        return kept.reshape(-1, *(1 for _ in scores.shape[1:])).expand(scores.shape)

    def regrow(self, mask: Tensor, worth: Tensor, gain: Tensor, share: float) -> Tensor:
        """Exchange whole channels."""
        kept = swap(mask.flatten(1).any(1), self.unit_scores(worth), self.unit_scores(gain), share)
        return self.element_mask(kept, worth)
