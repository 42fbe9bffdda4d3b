"""Masks with N in each row and column: exact counts whatever the scores, and the best sum a linear program can find."""

import numpy as np
import pytest
import torch
from hypothesis import example, given, settings
from hypothesis import strategies as st
from scipy import sparse
from scipy.optimize import linprog
from torch import nn

from accelsim.sparsity import CRITERIA, MaskedBranch, find_pattern
from accelsim.sparsity.transposable import best_masks

SIZES = st.sampled_from([(1, 2), (2, 4), (2, 5), (1, 8), (2, 8), (4, 8), (7, 8), (5, 11), (8, 16), (3, 16), (16, 32)])


def _scores(blocks: int, m: int, seed: int, kind: str) -> torch.Tensor:
    random = np.random.default_rng(seed)
    drawn = {
        "weights": np.abs(random.normal(size=(blocks, m, m))),
        "ties": random.integers(0, 3, (blocks, m, m)),
        "equal": np.full((blocks, m, m), 0.3),
        "long tail": random.lognormal(sigma=6, size=(blocks, m, m)),
        "pruned": np.where(random.random((blocks, m, m)) < 0.7, -1, 1e-3 * random.random((blocks, m, m))),
    }[kind]
    return torch.from_numpy(drawn.astype(np.float32))


KINDS = st.sampled_from(["weights", "ties", "equal", "long tail", "pruned"])


def _best_sum(scores: np.ndarray, n: int) -> float:
    """The transport problem as a linear program; its vertices are 0/1, so its optimum is a mask's."""
    m = len(scores)
    ones = np.ones((1, m))
    counts = sparse.vstack([sparse.kron(sparse.eye(m), ones), sparse.kron(ones, sparse.eye(m))])
    solved = linprog(-scores.ravel(), A_eq=counts, b_eq=np.full(2 * m, n), bounds=(0, 1), method="highs")
    assert solved.success
    return float(-solved.fun)


@settings(deadline=None, max_examples=60)
@example(size=(2, 4), blocks=9, kind="long tail", seed=275)
@given(size=SIZES, blocks=st.integers(0, 9), kind=KINDS, seed=st.integers(0, 999))
def test_counts_are_exact_and_the_same_every_time(size: tuple[int, int], blocks: int, kind: str, seed: int) -> None:
    n, m = size
    scores = _scores(blocks, m, seed, kind)
    mask = best_masks(scores, n)
    assert mask.shape == scores.shape
    assert (mask.sum(1) == n).all()
    assert (mask.sum(2) == n).all()
    assert torch.equal(mask, best_masks(scores.clone(), n))
    if blocks:  # a block's mask does not depend on its neighbours
        assert torch.equal(mask[-1:], best_masks(scores[-1:], n))


@settings(deadline=None, max_examples=40)
@given(size=SIZES, kind=KINDS, seed=st.integers(0, 999))
def test_no_mask_keeps_more(size: tuple[int, int], kind: str, seed: int) -> None:
    n, m = size
    scores = _scores(2, m, seed, kind)
    kept = (scores * best_masks(scores, n)).double().sum((1, 2)).numpy()
    grid = 2.0 ** (np.ceil(np.log2(m)) - 23) * (scores.amax((1, 2)) - scores.amin((1, 2))).numpy()
    for found, step, block in zip(kept, grid, scores.double().numpy(), strict=True):
        assert found == pytest.approx(_best_sum(block, n), rel=1e-6, abs=n * m * step)


def test_a_cycle_through_every_row_is_found() -> None:
    """Taking the largest first closes the door: only an exchange of all rows at once is better."""
    m = 8
    scores = torch.eye(m) * 1.0 + torch.eye(m).roll(1, 0) * 1.01
    scores[0, m - 1] = 0.0  # the other diagonal lacks one: together the two are a path, not a cycle
    mask = best_masks(scores[None], 1)[0]
    assert torch.equal(mask, torch.eye(m, dtype=torch.bool))
    scores[0, m - 1] = 0.95
    mask = best_masks(scores[None], 1)[0]
    assert torch.equal(mask, torch.eye(m).roll(1, 0).bool())


@pytest.mark.parametrize(("n", "m"), [(1, 8), (2, 8), (4, 8), (8, 16), (16, 32)])
def test_a_layer_s_blocks_hold_n_of_m_both_ways_and_ragged_ones_no_more(n: int, m: int) -> None:
    pattern = find_pattern(f"transposable-{n}:{m}")
    whole, ragged = torch.randn(2 * m, m, 3, 1).abs(), torch.randn(m + 3, 2 * m - 1, 2, 2).abs()
    mask = pattern.element_mask(torch.zeros(6, dtype=torch.bool), whole)
    assert (mask.reshape(2 * m, m, 3).sum(1) == n).all()
    assert (mask.reshape(2, m, m, 3).sum(1) == n).all()
    lost = (whole * ~mask).reshape(2, m, m, 3).sum((1, 2)).reshape(-1) / (m * (m - n))
    torch.testing.assert_close(pattern.unit_scores(whole), lost)
    mask = pattern.element_mask(torch.zeros(16, dtype=torch.bool), ragged)
    for along, size in ((0, m + 3), (1, 2 * m - 1)):
        padded = torch.nn.functional.pad(mask.movedim(along, -1).float(), (0, -size % m))
        assert padded.reshape(*padded.shape[:-1], -1, m).sum(-1).max() <= n


@pytest.mark.parametrize("name", ["transposable-4:8", "transposable-2:8"])
def test_what_is_pruned_stays_so_while_sparsity_rises_and_weights_move(name: str) -> None:
    torch.manual_seed(0)
    layers = {"ragged": nn.Conv2d(20, 27, 3), "even": nn.Linear(40, 48)}
    branch, pattern = MaskedBranch(layers), find_pattern(name)
    before = {layer: mask.clone() for layer, mask in branch.masks.items()}
    for sparsity in (0.1, 0.3, pattern.removed):
        branch.prune(sparsity, pattern, CRITERIA["magnitude"], 0)
        assert not any((mask & ~before[layer]).any() for layer, mask in branch.masks.items())
        before = {layer: mask.clone() for layer, mask in branch.masks.items()}
        for weight in branch.stored.values():
            weight.add_(0.05 * torch.randn_like(weight))
    assert float(before["even"].float().mean()) == 1 - pattern.removed
