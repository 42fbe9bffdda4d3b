"""Masks on layers: a parametrisation whose forward is weight * mask, so every consumer sees the zeros."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import cast

import torch
from torch import Tensor, nn
from torch.nn.utils import parametrize

from accelsim.errors import TrainingError

SPARSE_TYPES = (nn.Conv1d, nn.Conv2d, nn.Conv3d, nn.ConvTranspose1d, nn.ConvTranspose2d, nn.ConvTranspose3d, nn.Linear)


class WeightMask(nn.Module):
    """The parametrisation: returns weight * mask.

    The mask is a buffer, so it travels with `state_dict`, `to(device)` and copies of the model; the dense weight stays
    the parameter that the optimiser knows. The product's backward gives pruned weights a zero gradient.

    Attributes:
        mask: bool, in the weight's shape; True is kept.
    """

    mask: Tensor

    def __init__(self, mask: Tensor) -> None:
        super().__init__()
        self.register_buffer("mask", mask)

    def forward(self, weight: Tensor) -> Tensor:
        """Return the weight with pruned elements set to zero, same shape."""
        return weight * self.mask


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
        raise TrainingError(f"{type(model).__name__} has no convolution or linear layer to prune behind its first one")
    return layers


def apply_masks(layers: Mapping[str, nn.Module]) -> dict[str, WeightMask]:
    """Put an all-True mask on the weight of every layer; a layer that has a mask keeps it.

    Returns:
        Layer name to its parametrisation, whose `mask` may be written in place.
    """
    masks: dict[str, WeightMask] = {}
    for name, layer in layers.items():
        if (found := weight_mask(layer)) is None:
            weight = cast(Tensor, layer.weight)
            found = WeightMask(torch.ones_like(weight, dtype=torch.bool))
            parametrize.register_parametrization(layer, "weight", found)
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
