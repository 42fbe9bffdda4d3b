"""Sparse weights while training: patterns x criteria x schedules, as `torch.nn.utils.parametrize` parametrisations.

A training loop builds a `Sparsifier` and calls its `before_step(step)` ahead of the forward pass and its
`after_backward(step)` between backward and the optimiser's step; the forward of the second branch (a second view, a
momentum encoder) runs inside `with branch(1):`.
"""

from accelsim.sparsity.branch import branch, current_branch
from accelsim.sparsity.criteria import CRITERIA
from accelsim.sparsity.masks import apply_masks, sparse_layers, sparsity_by_layer, total_sparsity
from accelsim.sparsity.patterns import PATTERNS, Pattern
from accelsim.sparsity.pruner import MagnitudePruner
from accelsim.sparsity.schedules import CubicSchedule, Schedule
from accelsim.sparsity.sparsifier import MaskUpdate, Sparsifier

__all__ = [
    "CRITERIA",
    "PATTERNS",
    "CubicSchedule",
    "MagnitudePruner",
    "MaskUpdate",
    "Pattern",
    "Schedule",
    "Sparsifier",
    "apply_masks",
    "branch",
    "current_branch",
    "sparse_layers",
    "sparsity_by_layer",
    "total_sparsity",
]
