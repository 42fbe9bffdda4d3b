"""Every loss against its formula, written out, and golden values."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from accelsim.ssl.losses import (
    CosineDistance,
    CrossCorrelation,
    InfoNCE,
    NTXent,
    VarianceInvarianceCovariance,
    nt_xent,
)


def _formula(first: np.ndarray, second: np.ndarray, temperature: float) -> float:
    """Equation 1 of Chen et al. 2020, one pair after another."""
    views = np.concatenate([first, second])
    n = len(first)

    def similarity(i: int, j: int) -> float:
        return float(views[i] @ views[j] / np.linalg.norm(views[i]) / np.linalg.norm(views[j])) / temperature

    total = 0.0
    for i in range(2 * n):
        others = sum(math.exp(similarity(i, k)) for k in range(2 * n) if k != i)
        total -= math.log(math.exp(similarity(i, (i + n) % (2 * n))) / others)
    return total / (2 * n)


@settings(deadline=None, max_examples=40)
@given(n=st.integers(1, 6), dim=st.integers(1, 5), temperature=st.floats(0.05, 2), seed=st.integers(0, 100))
def test_equals_the_published_formula(n: int, dim: int, temperature: float, seed: int) -> None:
    first, second = np.random.default_rng(seed).standard_normal((2, n, dim))
    found = nt_xent(torch.from_numpy(first), torch.from_numpy(second), temperature).item()
    assert found == pytest.approx(_formula(first, second, temperature), rel=1e-9, abs=1e-9)


def test_golden_values() -> None:
    one, other = torch.tensor([[3.0, 0.0], [0.0, 0.1]]), torch.tensor([[1.0, 0.0], [0.0, 7.0]])
    # Pairs agree (cosine 1) and everything else is orthogonal: log(e^2 + 2) - 2 at temperature 1/2.
    assert nt_xent(one, other, 0.5).item() == pytest.approx(0.2395448, abs=1e-6)
    # All views alike: nothing can be told apart among 2 N - 1 candidates.
    alike = torch.ones(8, 3)
    assert nt_xent(alike, alike, 0.1).item() == pytest.approx(math.log(15), abs=1e-5)


def _embeddings(seed: int, *shape: int) -> np.ndarray:
    return np.random.default_rng(seed).standard_normal(shape)


def _unit(rows: np.ndarray) -> np.ndarray:
    return rows / np.linalg.norm(rows, axis=1, keepdims=True)


@settings(deadline=None, max_examples=30)
@given(n=st.integers(1, 5), queue=st.integers(1, 7), t=st.floats(0.05, 2), seed=st.integers(0, 100))
def test_info_nce_equals_the_published_formula(n: int, queue: int, t: float, seed: int) -> None:
    queries, keys = _embeddings(seed, 2, n, 3)
    queued = _unit(_embeddings(seed + 1, queue, 3))
    total = 0.0
    for query, key in zip(_unit(queries), _unit(keys), strict=True):
        own = math.exp(float(query @ key) / t)
        total -= math.log(own / (own + sum(math.exp(float(query @ other) / t) for other in queued))) / n
    found = InfoNCE(t)(*map(torch.from_numpy, (queries, keys, queued))).item()
    assert found == pytest.approx(total, rel=1e-9, abs=1e-9)


@settings(deadline=None, max_examples=30)
@given(n=st.integers(1, 5), seed=st.integers(0, 100))
def test_cosine_distance_is_half_of_byols_equation_2(n: int, seed: int) -> None:
    predictions, targets = _embeddings(seed, 2, n, 4)
    squared = np.square(_unit(predictions) - _unit(targets)).sum(1).mean()
    found = CosineDistance()(torch.from_numpy(predictions), torch.from_numpy(targets)).item()
    assert 2 * found == pytest.approx(squared, rel=1e-6, abs=1e-9)


@settings(deadline=None, max_examples=30)
@given(n=st.integers(2, 6), d=st.integers(1, 5), weight=st.floats(0, 1), seed=st.integers(0, 100))
def test_barlow_twins_equals_the_published_formula(n: int, d: int, weight: float, seed: int) -> None:
    first, second = _embeddings(seed, 2, n, d) * 3 + 1
    one, other = ((z - z.mean(0)) / np.sqrt(z.var(0) + 1e-5) for z in (first, second))
    total = 0.0
    for i in range(d):
        for j in range(d):
            c = sum(one[b, i] * other[b, j] for b in range(n)) / n
            total += (1 - c) ** 2 if i == j else weight * c**2
    found = CrossCorrelation(d, weight).double()(torch.from_numpy(first), torch.from_numpy(second)).item()
    assert found == pytest.approx(total, rel=1e-9, abs=1e-9)


@settings(deadline=None, max_examples=30)
@given(n=st.integers(2, 6), d=st.integers(1, 5), seed=st.integers(0, 100))
def test_vicreg_equals_the_published_formula(n: int, d: int, seed: int) -> None:
    views = _embeddings(seed, 2, n, d)
    invariance = np.square(views[0] - views[1]).mean()
    variance = covariance = 0.0
    for view in views:
        c = np.atleast_2d(np.cov(view.T))
        variance += sum(max(0.0, 1 - math.sqrt(c[i, i] + 1e-4)) for i in range(d)) / d / 2
        covariance += sum(c[i, j] ** 2 for i in range(d) for j in range(d) if i != j) / d
    found = VarianceInvarianceCovariance()(*map(torch.from_numpy, views)).item()
    assert found == pytest.approx(25 * invariance + 25 * variance + covariance, rel=1e-9, abs=1e-9)


def test_more_golden_values() -> None:
    """Worked out on paper, with the averages of the published code."""
    signs = torch.tensor([[1.0, 1.0], [1.0, -1.0], [-1.0, 1.0], [-1.0, -1.0]], dtype=torch.float64)
    # Uncorrelated dimensions of variance 4/3 and views alike: nothing to pay.
    assert VarianceInvarianceCovariance()(signs, signs).item() == pytest.approx(0, abs=1e-12)
    assert CrossCorrelation(2).double()(signs, signs).item() == pytest.approx(0, abs=1e-8)
    # Both dimensions the same: C is all ones, and the covariance 4/3 counts twice in each of two views, over D = 2.
    alike = signs[:, :1].expand(4, 2)
    assert CrossCorrelation(2, 0.25).double()(alike, alike).item() == pytest.approx(0.5, abs=1e-4)
    assert VarianceInvarianceCovariance()(alike, alike).item() == pytest.approx(2 * 16 / 9)
    # Collapsed views: only the variance term speaks, 25 * (1 - sqrt(1e-4)).
    assert VarianceInvarianceCovariance()(torch.ones(4, 3), torch.ones(4, 3)).item() == pytest.approx(24.75)
    # Views 2 apart in one of two dimensions: 25 * 4 / 2.
    moved = signs + torch.tensor([2.0, 0.0])
    assert VarianceInvarianceCovariance()(signs, moved).item() == pytest.approx(50)
    assert CosineDistance()(torch.tensor([[1.0, 0.0]]), torch.tensor([[0.0, 3.0]])).item() == 1
    alike = torch.ones(3, 4)
    assert InfoNCE(0.2)(alike, alike, torch.full((7, 4), 0.5)).item() == pytest.approx(math.log(8), abs=1e-5)


def test_targets_are_constants_to_the_cosine_distance() -> None:
    predictions, targets = torch.randn(2, 3, 4, requires_grad=True).unbind()
    predictions.retain_grad()
    targets.retain_grad()
    CosineDistance()(predictions, targets).backward()
    assert predictions.grad.abs().max() > 0
    assert targets.grad is None


def test_the_module_is_the_function() -> None:
    first, second = torch.randn(2, 5, 4).unbind()
    assert NTXent(0.3)(first, second) == nt_xent(first, second, 0.3)
