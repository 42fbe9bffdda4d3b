"""Pruned gradients: unbiased, thresholded, and what both backward products see."""

from pathlib import Path

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from accelsim.errors import TrainingError
from accelsim.sparsity import prune_gradient, prune_output_gradients
from accelsim.trace import TraceReader
from accelsim.tracing import Tracer


@settings(deadline=None, max_examples=20)
@given(share=st.floats(0, 0.99), seed=st.integers(0, 9))
def test_a_gradient_is_kept_or_becomes_the_threshold_or_zero(share: float, seed: int) -> None:
    torch.manual_seed(seed)
    gradient = torch.randn(500)
    pruned = prune_gradient(gradient, share)
    changed = pruned != gradient
    quantile = torch.distributions.Normal(0.0, 1.0).icdf(torch.tensor((1 + share) / 2)).item()
    threshold = gradient.abs().mean().item() * 1.2533141 * quantile
    values = pruned[changed].abs()
    assert ((values == 0) | ((values - threshold).abs() < 1e-4)).all()
    assert (gradient[changed].abs() < threshold + 1e-4).all()
    assert (gradient[~changed].abs() > threshold - 1e-4).all()
    assert (pruned * gradient >= 0).all()


def test_expectation_stays_and_the_share_below_the_threshold_is_as_asked() -> None:
    torch.manual_seed(0)
    gradient = torch.randn(1000)
    many = torch.stack([prune_gradient(gradient, 0.9) for _ in range(4000)])
    # at most t / 2 deviation each, t about 1.65: five deviations of the mean of 4000
    assert (many.mean(0) - gradient).abs().max() < 5 * 0.83 / 4000**0.5
    touched = ((many == 0) | (many != gradient)).any(0)
    assert touched.float().mean() == pytest.approx(0.9, abs=0.03)
    assert (many == 0).float().mean() == pytest.approx(0.5, abs=0.05)


def test_zero_gradients_and_share_zero_change_nothing() -> None:
    assert not prune_gradient(torch.zeros(5), 0.5).any()
    gradient = torch.randn(50)
    assert torch.equal(prune_gradient(gradient, 0.0), gradient)


def test_the_trace_shows_the_zeros_behind_batch_norm(tmp_path: Path) -> None:
    torch.manual_seed(0)
    model = nn.Sequential(nn.Conv2d(3, 8, 3), nn.BatchNorm2d(8), nn.ReLU(), nn.Conv2d(8, 4, 3), nn.BatchNorm2d(4))
    densities = []
    pruned = None
    for name in ("without", "with", "again without"):
        if name == "with":
            pruned = prune_output_gradients([model[0], model[3]], 0.9)
        with Tracer(model, tmp_path / f"{name}.pkl"):
            model(torch.randn(4, 3, 9, 9)).square().mul(torch.randn(4, 4, 5, 5)).sum().backward()
        densities.append([op.grad_output.mean() for op in TraceReader(tmp_path / f"{name}.pkl")])  # type: ignore[union-attr]
        if pruned is not None:
            pruned.remove()
    assert densities[0] == densities[2] == [1.0, 1.0]
    assert all(0.3 < density < 0.7 for density in densities[1])
    assert pruned is not None
    sizes = [4 * 8 * 7 * 7, 4 * 4 * 5 * 5]
    assert pruned.elements == sum(sizes)
    assert pruned.nonzeros == round(sum(size * density for size, density in zip(sizes, densities[1], strict=True)))


def test_impossible_shares_are_refused() -> None:
    with pytest.raises(TrainingError, match=r"share of 1\.0"):
        prune_output_gradients([], 1.0)
