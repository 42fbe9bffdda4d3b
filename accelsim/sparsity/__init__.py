"""Sparse weights while training: patterns x criteria x schedules, as `torch.nn.utils.parametrize` parametrisations.

A training loop builds a `Sparsifier` and calls its `before_step(step)` ahead of the forward pass and its
`after_backward(step)` between backward and the optimiser's step; the forward of the second branch (a second view, a
momentum encoder) runs inside `with branch(1):`.
"""

from accelsim.sparsity.branch import branch, current_branch
from accelsim.sparsity.criteria import CRITERIA, Criterion, find_criterion
from accelsim.sparsity.densities import DENSITIES, erk_densities, uniform_densities
from accelsim.sparsity.gating import GatedConv2d, apply_gates, gate_penalty
from accelsim.sparsity.gmp import GMP
from accelsim.sparsity.gradient_pruning import PrunedGradients, prune_gradient, prune_output_gradients
from accelsim.sparsity.granet import GraNet
from accelsim.sparsity.masked_branch import MaskedBranch
from accelsim.sparsity.masks import (
    StraightThroughMask,
    WeightMask,
    apply_masks,
    sparse_layers,
    sparsity_by_layer,
    total_sparsity,
)
from accelsim.sparsity.patterns import PATTERNS, Pattern, find_pattern
from accelsim.sparsity.plan import METHODS, SparsePlan, build_sparsifier
from accelsim.sparsity.rigl import RigL
from accelsim.sparsity.schedules import CosineExchange, CubicSchedule, OneShot, Schedule
from accelsim.sparsity.scp import SCP
from accelsim.sparsity.sparse_evolution import SET
from accelsim.sparsity.sparsifier import MaskUpdate, Sparsifier
from accelsim.sparsity.sr_ste import SRSTE

__all__ = [
    "CRITERIA",
    "DENSITIES",
    "GMP",
    "METHODS",
    "PATTERNS",
    "SCP",
    "SET",
    "SRSTE",
    "CosineExchange",
    "Criterion",
    "CubicSchedule",
    "GatedConv2d",
    "GraNet",
    "MaskUpdate",
    "MaskedBranch",
    "OneShot",
    "Pattern",
    "PrunedGradients",
    "RigL",
    "Schedule",
    "SparsePlan",
    "Sparsifier",
    "StraightThroughMask",
    "WeightMask",
    "apply_gates",
    "apply_masks",
    "branch",
    "build_sparsifier",
    "current_branch",
    "erk_densities",
    "find_criterion",
    "find_pattern",
    "gate_penalty",
    "prune_gradient",
    "prune_output_gradients",
    "sparse_layers",
    "sparsity_by_layer",
    "total_sparsity",
    "uniform_densities",
]
