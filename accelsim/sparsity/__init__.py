"""Sparse weights while training: patterns x criteria x schedules, as `torch.nn.utils.parametrize` parametrisations."""

from accelsim.sparsity.criteria import CRITERIA
from accelsim.sparsity.masks import apply_masks, sparse_layers, sparsity_by_layer, total_sparsity
from accelsim.sparsity.patterns import PATTERNS, Pattern
from accelsim.sparsity.pruner import MagnitudePruner
from accelsim.sparsity.schedules import CubicSchedule, Schedule

__all__ = [
    "CRITERIA",
    "PATTERNS",
    "CubicSchedule",
    "MagnitudePruner",
    "Pattern",
    "Schedule",
    "apply_masks",
    "sparse_layers",
    "sparsity_by_layer",
    "total_sparsity",
]
