"""NT-Xent against its formula, written out, and a golden value."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from accelsim.ssl.losses import nt_xent


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
