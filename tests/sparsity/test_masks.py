"""Masks on layers: which layers, what they compute, how they travel."""

import copy

import pytest
import torch
from torch import nn

from accelsim.errors import TrainingError
from accelsim.sparsity import apply_masks, sparse_layers, sparsity_by_layer, total_sparsity
from accelsim.ssl.encoders import build_encoder


def _random_masks(model: nn.Module, layers: dict[str, nn.Module]) -> dict[str, torch.Tensor]:
    torch.manual_seed(0)
    masks = {}
    for name, mask in apply_masks(layers).items():
        mask.mask.copy_(torch.rand(mask.mask.shape) < 0.5)
        masks[name] = mask.mask
    return masks


def test_first_convolution_and_norms_stay_dense_and_shortcuts_do_not() -> None:
    encoder = build_encoder("resnet18", width=4)
    names = list(sparse_layers(encoder))
    convolutions = [name for name, layer in encoder.named_modules() if isinstance(layer, nn.Conv2d)]
    assert names == convolutions[1:]
    assert "layer2.0.downsample.0" in names


def test_parents_named_dense_are_left_out() -> None:
    encoder = build_encoder("resnet18", width=4)
    names = list(sparse_layers(encoder, dense=["layer1", "layer2.0.conv1"]))
    assert "layer2.0.conv1" not in names
    assert "layer2.0.conv2" in names
    assert not [name for name in names if name.startswith("layer1.")]


def test_unknown_dense_name_and_nothing_to_prune_are_refused() -> None:
    with pytest.raises(TrainingError, match="layer9"):
        sparse_layers(build_encoder("resnet18", width=4), dense=["layer9"])
    with pytest.raises(TrainingError, match="no convolution or linear"):
        sparse_layers(nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4)))


def test_output_and_gradient_are_those_of_the_masked_weight() -> None:
    torch.manual_seed(1)
    model = nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU(), nn.Conv2d(4, 5, 3))
    dense = copy.deepcopy(model)
    mask = _random_masks(model, sparse_layers(model))["2"]
    images = torch.randn(2, 3, 8, 8)
    with torch.no_grad():
        dense[2].weight.mul_(mask)
    assert torch.equal(model(images), dense(images))
    model(images).square().sum().backward()
    dense(images).square().sum().backward()
    raw = model[2].parametrizations.weight.original
    assert torch.equal(raw.grad, dense[2].weight.grad * mask)


def test_masks_travel_with_state_dict_and_copies() -> None:
    model = nn.Sequential(nn.Conv2d(3, 4, 3), nn.Conv2d(4, 5, 3))
    mask = _random_masks(model, sparse_layers(model))["1"]
    other = nn.Sequential(nn.Conv2d(3, 4, 3), nn.Conv2d(4, 5, 3))
    apply_masks(sparse_layers(other))
    other.load_state_dict(model.state_dict())
    images = torch.randn(2, 3, 8, 8)
    assert torch.equal(other(images), model(images))
    assert torch.equal(copy.deepcopy(model)(images), model(images))
    share = 1 - mask.double().mean().item()
    assert sparsity_by_layer(other) == pytest.approx({"1": share})
    assert total_sparsity(other) == pytest.approx(share)
    assert total_sparsity(nn.Linear(2, 2)) == 0


def test_masking_twice_keeps_the_mask() -> None:
    model = nn.Sequential(nn.Linear(3, 4), nn.Linear(4, 5))
    mask = _random_masks(model, sparse_layers(model))["1"].clone()
    assert torch.equal(apply_masks(sparse_layers(model))["1"].mask, mask)
