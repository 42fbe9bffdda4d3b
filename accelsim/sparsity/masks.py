"""Masks on layers: a parametrisation whose forward is weight * mask, so every consumer sees the zeros."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, cast

import torch
from torch import Tensor, nn
from torch.nn.utils import parametrize

from accelsim.errors import TrainingError
from accelsim.sparsity.branch import BranchIndex, distinguished_branch
from accelsim.tracing.annotations import note_weight_grad_needed

SPARSE_TYPES = (nn.Conv1d, nn.Conv2d, nn.Conv3d, nn.ConvTranspose1d, nn.ConvTranspose2d, nn.ConvTranspose3d, nn.Linear)


class WeightMask(nn.Module):
    """The parametrisation: returns weight * mask.

    The masks are buffers, so they travel with `state_dict`, `to(device)` and copies of the model; the dense weight
    stays the parameter that the optimiser knows. The product's backward gives pruned weights a zero gradient, and a
    tracer is told that nobody needs it; while `dense_gradients` is set, the gradient at the product, which is the
    dense weight's own, is summed up beside.

    Attributes:
        mask: bool, in the weight's shape; True is kept.
        second_mask: the mask of branch 1 of a shared encoder, None if both branches use `mask`.
        average: moving average of the weight's magnitude, None where no criterion asks for it.
        dense_gradients: whether a backward adds to `dense_gradient`.
        dense_gradient: sum over all uses of the weight since it was last taken, None if there was none.
    """

    mask: Tensor
    second_mask: Tensor | None
    average: Tensor | None

    def __init__(self, mask: Tensor) -> None:
        super().__init__()
        self.register_buffer("mask", mask)
        self.register_buffer("second_mask", None)
        self.register_buffer("average", None)
        self.dense_gradients = False
        self.dense_gradient: Tensor | None = None

    def of(self, index: BranchIndex) -> Tensor:
        """Return the mask that a branch computes with, itself, not a copy."""
        return self.mask if index == 0 or self.second_mask is None else self.second_mask

    def forward(self, weight: Tensor) -> Tensor:
        """Return the weight with pruned elements set to zero, same shape.

        Raises:
            TrainingError: see `distinguished_branch`.
        """
        mask = self.mask if self.second_mask is None else self.of(distinguished_branch())
        masked = self._product(weight, mask)
        if self.dense_gradients:
            if masked.requires_grad:
                masked.register_hook(self._add)
        elif self.skips_gradients:
            note_weight_grad_needed(masked, mask)
        return masked

    skips_gradients = True
    """Whether a pruned weight's gradient is used by nobody but growth."""

    def _product(self, weight: Tensor, mask: Tensor) -> Tensor:
        return weight * mask

    def _add(self, gradient: Tensor) -> None:
        gradient = gradient.detach()
        self.dense_gradient = gradient.clone() if self.dense_gradient is None else self.dense_gradient + gradient


def sparse_layers(model: nn.Module, dense: Iterable[str] = ()) -> dict[str, nn.Module]:
    """Name the layers of a model to prune: its convolutions and linear layers, without the first one.

    The first layer sees the image and has few weights, so it stays dense, as normalisation does; the convolutions on
    ResNet's shortcuts are pruned.

    Args:
        model: the encoder; projectors and predictors are best kept outside it.
        dense: dotted names (of layers, or of parents of layers) to keep dense as well.

    Returns:
        Dotted name to layer, in the order of `named_modules`.

    Raises:
        TrainingError: a name in `dense` that the model does not have, or nothing left to prune.
    """
    kept = tuple(dense)
    modules = dict(model.named_modules())
    for name in kept:
        if name not in modules:
            raise TrainingError(f"{type(model).__name__} has no layer {name!r} to keep dense")
    candidates = [(name, layer) for name, layer in modules.items() if isinstance(layer, SPARSE_TYPES)]
    layers: dict[str, nn.Module] = {
        name: layer
        for name, layer in candidates[1:]
        if not any(name == parent or name.startswith(f"{parent}.") for parent in kept)
    }
    if not layers:
        raise TrainingError(f"{type(model).__name__} has no convolution or linear layer to prune after its first one")
    return layers


class StraightThroughMask(WeightMask):
    """A mask whose backward passes the masked weight's gradient on to all weights, pruned ones too."""

    skips_gradients = False

    def _product(self, weight: Tensor, mask: Tensor) -> Tensor:
        return cast(Tensor, _StraightThrough.apply(weight, mask))  # type: ignore[no-untyped-call]


class _StraightThrough(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, weight: Tensor, mask: Tensor) -> Tensor:
        return weight * mask

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None]:
        return gradients[0], None


def apply_masks(
    layers: Mapping[str, nn.Module], second: bool = False, kind: type[WeightMask] = WeightMask
) -> dict[str, WeightMask]:
    """Put an all-True mask on the weight of every layer; a layer that has a mask keeps it.

    Args:
        layers: name to layer.
        second: give branch 1 a mask of its own, a copy of the first where there is none yet.
        kind: the parametrisation.

    Returns:
        Layer name to its parametrisation, whose `mask` may be written in place.

    Raises:
        TrainingError: a layer has a mask of another kind.
    """
    masks: dict[str, WeightMask] = {}
    for name, layer in layers.items():
        if (found := weight_mask(layer)) is None:
            weight = cast(Tensor, layer.weight)
            found = kind(torch.ones_like(weight, dtype=torch.bool))
            parametrize.register_parametrization(layer, "weight", found)
        if not isinstance(found, kind):
            raise TrainingError(f"{name} has a {type(found).__name__} already, expected a {kind.__name__} or no mask")
        if second and found.second_mask is None:
            found.second_mask = found.mask.clone()
        masks[name] = found
    return masks


def weight_mask(layer: nn.Module) -> WeightMask | None:
    """Return the mask on a layer's weight, or None."""
    if not parametrize.is_parametrized(layer, "weight"):
        return None
    chain = cast(nn.ModuleDict, layer.parametrizations)["weight"]
    return next((part for part in cast(nn.ModuleList, chain) if isinstance(part, WeightMask)), None)


def sparsity_by_layer(model: nn.Module) -> dict[str, float]:
    """Share of pruned weights of every masked layer, by dotted name."""
    masks = {name: found for name, layer in model.named_modules() if (found := weight_mask(layer)) is not None}
    return {name: 1 - int(found.mask.sum()) / found.mask.numel() for name, found in masks.items()}


def total_sparsity(model: nn.Module) -> float:
    """Share of pruned weights over all masked layers; 0 if there are none."""
    masks = [found.mask for layer in model.modules() if (found := weight_mask(layer)) is not None]
    return 1 - sum(int(mask.sum()) for mask in masks) / sum(mask.numel() for mask in masks) if masks else 0.0
