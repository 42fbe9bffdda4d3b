"""Exact counts, and the right weights."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from accelsim.errors import TrainingError
from accelsim.sparsity import (
    CRITERIA,
    GMP,
    CubicSchedule,
    MaskedBranch,
    OneShot,
    find_pattern,
    sparse_layers,
    total_sparsity,
)
from accelsim.sparsity.densities import DENSITIES

ELEMENT, MAGNITUDE = find_pattern("element"), CRITERIA["magnitude"]
SCHEDULE = CubicSchedule(start=2, end=12, final_density=0.3, every=5)


def _model(weights: list[torch.Tensor]) -> tuple[nn.Module, MaskedBranch]:
    """A chain whose first layer is not pruned and whose others hold the given weights."""
    layers = [nn.Linear(1, 1), *(nn.Linear(w.shape[1], w.shape[0], bias=False) for w in weights)]
    model = nn.Sequential(*layers)
    for layer, weight in zip(layers[1:], weights, strict=True):
        layer.weight.data = weight.clone()
    return model, MaskedBranch(sparse_layers(model))


@settings(deadline=None)
@given(
    shapes=st.lists(st.tuples(st.integers(1, 9), st.integers(1, 9)), min_size=1, max_size=4),
    levels=st.sampled_from([1, 3, 1000]),
    sparsity=st.floats(0, 1),
    seed=st.integers(0, 10),
)
def test_exactly_the_smallest_weights_of_all_layers_go(
    shapes: list[tuple[int, int]], levels: int, sparsity: float, seed: int
) -> None:
    # Few levels make ties, up to weights that are all equal.
    rng = np.random.default_rng(seed)
    weights = [
        torch.from_numpy(rng.integers(1, levels + 1, shape) * rng.choice([-1.0, 1.0], shape)) for shape in shapes
    ]
    model, branch = _model(weights)
    branch.prune(sparsity, ELEMENT, MAGNITUDE, step=0)
    total = sum(weight.numel() for weight in weights)
    kept = np.concatenate([mask.numpy().ravel() for mask in branch.masks.values()])
    assert kept.sum() == total - round(sparsity * total)
    assert total_sparsity(model) == pytest.approx(1 - kept.mean())
    magnitudes = np.concatenate([weight.abs().numpy().ravel() for weight in weights])
    if 0 < kept.sum() < total:
        assert magnitudes[kept].min() >= magnitudes[~kept].max()
    for layer, weight, mask in zip(list(model)[1:], weights, branch.masks.values(), strict=True):
        assert torch.equal(layer.weight, torch.where(mask, weight, torch.zeros_like(weight)))


@pytest.mark.parametrize("allocation", ["uniform", "erk"])
@pytest.mark.parametrize("pattern", ["element", "2:4", "4x4", "channel"])
def test_an_allocation_gives_each_layer_its_share_and_ranks_inside(allocation: str, pattern: str) -> None:
    torch.manual_seed(0)
    found = find_pattern(pattern)
    layers = {"small": nn.Conv2d(8, 16, 3), "large": nn.Conv2d(16, 32, 3)}
    layers["large"].weight.data *= 1e-3  # one ranking would take all from here
    branch = MaskedBranch(layers, allocation=allocation)
    pruned = {name: torch.zeros(layer.weight.shape, dtype=torch.bool) for name, layer in layers.items()}
    for sparsity in (0.1, 0.3, 0.5):
        branch.prune(sparsity, found, MAGNITUDE, step=0)
        shapes = {name: tuple(mask.shape) for name, mask in branch.masks.items()}
        shares = DENSITIES[allocation](shapes, 1 - sparsity, 1 - found.removed)
        for name, mask in branch.masks.items():
            units = len(found.unit_scores(mask.float()))
            removed = mask.numel() / units * found.removed
            assert int((~mask).sum()) == round((1 - shares[name]) / found.removed * units) * removed
            assert not (mask & pruned[name]).any()
            pruned[name] = ~mask


@settings(deadline=None)
@given(first=st.floats(0, 1), second=st.floats(0, 1))
def test_a_pruned_weight_stays_pruned_though_its_stored_value_grows(first: float, second: float) -> None:
    torch.manual_seed(0)
    _, branch = _model([torch.randn(8, 8), torch.randn(4, 8)])
    low, high = sorted((first, second))
    branch.prune(low, ELEMENT, MAGNITUDE, step=0)
    gone = {name: ~mask for name, mask in branch.masks.items()}
    with torch.no_grad():
        for name, layer in branch.layers.items():
            layer.parametrizations.weight.original[gone[name]] = 100.0  # type: ignore[union-attr,index]
    branch.prune(high, ELEMENT, MAGNITUDE, step=0)
    assert all(not mask[gone[name]].any() for name, mask in branch.masks.items())


def test_update_follows_the_schedule() -> None:
    torch.manual_seed(0)
    model, branch = _model([torch.randn(10, 10), torch.randn(10, 10)])
    method = GMP(branch, SCHEDULE)
    seen = []
    for step in range(15):
        updated = method.before_step(step)
        assert updated == (step in (2, 7, 12))
        assert not method.after_backward(step)
        seen.append(total_sparsity(model))
    assert seen == pytest.approx([0.0] * 7 + [round(0.7 * 0.875 * 200) / 200] * 5 + [0.7] * 3)


def test_one_shot_prunes_once() -> None:
    model, branch = _model([torch.randn(10, 10)])
    method = GMP(branch, OneShot(3, 0.25))
    assert [method.before_step(step) for step in range(6)] == [False, False, False, True, False, False]
    assert total_sparsity(model) == 0.75


def test_bad_input_is_refused() -> None:
    model = nn.Sequential(nn.Linear(2, 2), nn.Linear(2, 2))
    branch = MaskedBranch(sparse_layers(model))
    with pytest.raises(TrainingError, match="pattern 'elements', expected element"):
        GMP(branch, SCHEDULE, pattern="elements")
    with pytest.raises(TrainingError, match="criterion 'size', expected one of"):
        GMP(branch, SCHEDULE, criterion="size")
    with pytest.raises(TrainingError, match="no layer"):
        MaskedBranch({})
    with pytest.raises(TrainingError, match="expected 0 to 1"):
        branch.prune(1.5, ELEMENT, MAGNITUDE, step=0)
    with pytest.raises(TrainingError, match=r"removes 0\.5 at most"):
        branch.prune(0.6, find_pattern("2:4"), MAGNITUDE, step=0)
    with pytest.raises(TrainingError, match="step -1"):
        OneShot(-1, 0.5)
    with pytest.raises(TrainingError, match="density of 0"):
        OneShot(1, 0.0)
