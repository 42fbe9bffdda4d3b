"""What each pattern keeps, counted element by element."""

from itertools import permutations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from accelsim.errors import TrainingError
from accelsim.sparsity import find_pattern

SHAPES = st.tuples(st.integers(1, 10), st.integers(1, 13), st.integers(1, 3), st.integers(1, 2))
NAMES = st.sampled_from(["element", "channel", "1x4", "1x3", "8x8", "2x3", "2:4", "1:4", "3:4", "1:2", "4:8", "2:3"])


def _scores(shape: tuple[int, ...], seed: int, levels: int) -> torch.Tensor:
    """Random scores; few levels make ties."""
    return torch.from_numpy(np.random.default_rng(seed).integers(0, levels, shape).astype(np.float32))


def _chosen(units: int, seed: int) -> torch.Tensor:
    return torch.from_numpy(np.random.default_rng(seed + 1).random(units) < 0.5)


@settings(deadline=None, max_examples=60)
@given(shape=SHAPES, name=NAMES | st.sampled_from(["transposable-2:4", "transposable-3:8"]))
def test_units_are_as_many_as_have_scores(shape: tuple[int, ...], name: str) -> None:
    pattern = find_pattern(name)
    for some in (shape, shape[:2]):  # a convolution's weight, a linear layer's
        assert pattern.units(some) == pattern.unit_scores(torch.ones(some)).numel()


@settings(deadline=None, max_examples=60)
@given(shape=SHAPES, rows=st.integers(1, 5), columns=st.integers(1, 5), seed=st.integers(0, 99))
def test_blocks_are_kept_whole_and_score_their_mean(shape: tuple[int, ...], rows: int, columns: int, seed: int) -> None:
    pattern, scores = find_pattern(f"{rows}x{columns}"), _scores(shape, seed, 1000)
    unit_scores = pattern.unit_scores(scores)
    kept = _chosen(len(unit_scores), seed)
    mask = pattern.element_mask(kept, scores).numpy()
    assert mask.shape == shape
    unit = 0
    for o in range(0, shape[0], rows):
        for i in range(0, shape[1], columns):
            for r in range(shape[2]):
                for s in range(shape[3]):
                    assert (mask[o : o + rows, i : i + columns, r, s] == kept[unit].item()).all()
                    mean = scores[o : o + rows, i : i + columns, r, s].mean().item()
                    assert unit_scores[unit].item() == pytest.approx(mean, abs=1e-3)
                    unit += 1
    assert unit == len(unit_scores)


@settings(deadline=None, max_examples=60)
@given(
    shape=SHAPES,
    nm=st.sampled_from([(1, 2), (2, 4), (1, 4), (3, 4), (4, 8), (2, 3)]),
    levels=st.sampled_from([1, 3, 1000]),
    seed=st.integers(0, 99),
)
def test_a_pruned_group_keeps_its_n_best_of_m_input_channels(
    shape: tuple[int, ...], nm: tuple[int, int], levels: int, seed: int
) -> None:
    n, m = nm
    pattern, scores = find_pattern(f"{n}:{m}"), _scores(shape, seed, levels)
    costs = pattern.unit_scores(scores)
    kept = _chosen(len(costs), seed)
    mask = pattern.element_mask(kept, scores).numpy()
    unit = 0
    for o in range(shape[0]):
        for r in range(shape[2]):
            for s in range(shape[3]):
                for i in range(0, shape[1], m):
                    group, score = mask[o, i : i + m, r, s], scores[o, i : i + m, r, s].numpy()
                    lost = np.sort(score)[::-1][n:]
                    assert costs[unit].item() == pytest.approx(lost.sum() / (m - n), abs=1e-3)
                    if kept[unit]:
                        assert group.all()
                    else:
                        assert group.sum() == min(n, len(group))
                        assert not (~group).any() or score[group].min() >= score[~group].max()
                    unit += 1
    assert unit == len(costs)


@settings(deadline=None, max_examples=40)
@given(blocks=st.tuples(st.integers(1, 3), st.integers(1, 3)), n=st.integers(1, 3), seed=st.integers(0, 99))
def test_transposable_blocks_hold_n_of_m_both_ways_and_lose_least(blocks: tuple[int, int], n: int, seed: int) -> None:
    shape = (4 * blocks[0], 4 * blocks[1], 2, 1)
    pattern, scores = find_pattern(f"transposable-{n}:4"), _scores(shape, seed, 50)
    costs = pattern.unit_scores(scores)
    mask = pattern.element_mask(torch.zeros(len(costs), dtype=torch.bool), scores).numpy()
    assert (mask.reshape(shape[0], blocks[1], 4, 2, 1).sum(2) == n).all()
    assert (mask.reshape(blocks[0], 4, shape[1], 2, 1).sum(1) == n).all()
    # the best mask is a union of n permutations: try all of one permutation, where n = 1 or its complement is
    for b, (o, i, k) in enumerate(np.ndindex(blocks[0], blocks[1], 2)):
        block = scores[4 * o : 4 * o + 4, 4 * i : 4 * i + 4, k, 0].numpy()
        held = (block * mask[4 * o : 4 * o + 4, 4 * i : 4 * i + 4, k, 0]).sum()
        assert costs[b].item() == pytest.approx((block.sum() - held) / (4 * (4 - n)), abs=1e-4)
        sums = [sum(block[row, column] for row, column in enumerate(p)) for p in permutations(range(4))]
        if n == 1:
            assert held == pytest.approx(max(sums))
        if n == 3:
            assert held == pytest.approx(block.sum() - min(sums))


def test_transposable_two_of_four_beats_every_pair_of_disjoint_permutations() -> None:
    scores = _scores((4, 4), 3, 1000)
    mask = find_pattern("transposable-2:4").element_mask(torch.zeros(1, dtype=torch.bool), scores)
    best = 0.0
    for first in permutations(range(4)):
        for second in permutations(range(4)):
            if all(a != b for a, b in zip(first, second, strict=True)):
                rows = range(4)
                best = max(best, scores[rows, first].sum().item() + scores[rows, second].sum().item())
    assert (scores * mask).sum().item() == pytest.approx(best)


@settings(deadline=None, max_examples=30)
@given(shape=SHAPES, n=st.integers(1, 3), seed=st.integers(0, 20))
def test_ragged_transposable_blocks_keep_at_most_n(shape: tuple[int, ...], n: int, seed: int) -> None:
    pattern, scores = find_pattern(f"transposable-{n}:4"), _scores(shape, seed, 50)
    mask = pattern.element_mask(torch.zeros(len(pattern.unit_scores(scores)), dtype=torch.bool), scores)
    for along in (0, 1):
        padded = torch.nn.functional.pad(mask.movedim(along, -1).float(), (0, -shape[along] % 4))
        assert padded.reshape(*padded.shape[:-1], -1, 4).sum(-1).max() <= n


@settings(deadline=None, max_examples=120)
@given(
    shape=SHAPES,
    name=NAMES,
    share=st.floats(0, 1),
    levels=st.sampled_from([1, 3, 1000]),
    seed=st.integers(0, 99),
)
def test_regrowing_exchanges_as_many_as_it_may_and_stays_in_the_pattern(
    shape: tuple[int, ...], name: str, share: float, levels: int, seed: int
) -> None:
    pattern, worth, gain = find_pattern(name), _scores(shape, seed, levels), _scores(shape, seed + 7, levels)
    units = len(pattern.unit_scores(worth))
    mask = pattern.element_mask(_chosen(units, seed), worth)
    after = pattern.regrow(mask.clone(), worth, gain, share)
    if ":" in name:  # every group keeps its number, dense ones their elements
        n, m = map(int, name.split(":"))
        counts = [
            torch.nn.functional.pad(x.movedim(1, -1).float(), (0, -shape[1] % m)).reshape(-1, m).sum(1)
            for x in (mask, after)
        ]
        assert torch.equal(*counts)
        exchangeable = int(sum(count for count in counts[0] if count == n and n < m))
        assert int((mask & ~after).sum()) <= int(share * exchangeable)
    else:
        alive, left = (int((pattern.unit_scores(x.float()) > 0).sum()) for x in (mask, after))
        assert left == alive
        whole = pattern.unit_scores(after.float())
        assert torch.all((whole == 0) | (whole > 0.999))
        gone = int(((pattern.unit_scores(mask.float()) > 0) & (whole == 0)).sum())
        assert gone <= int(share * alive)


def test_regrowing_takes_the_largest_gains_and_may_take_back_what_it_dropped() -> None:
    mask = torch.tensor([[True, True, True, True, False, False]])
    worth = torch.tensor([[4.0, 1.0, 2.0, 3.0, 0.0, 0.0]])
    gain = torch.tensor([[0.0, 5.0, 0.0, 0.0, 9.0, 1.0]])
    after = find_pattern("element").regrow(mask, worth, gain, 0.5)
    assert after.tolist() == [[True, True, False, True, True, False]]


@pytest.mark.parametrize(
    "name", ["elements", "2:2", "0:4", "4:2", "transposable-4:4", "transposable-64:128", "0x4", "8x0", "x", "2:4:8", ""]
)
def test_names_that_make_no_pattern_are_refused(name: str) -> None:
    with pytest.raises(TrainingError, match="pattern"):
        find_pattern(name)


def test_transposable_weights_cannot_be_exchanged_singly() -> None:
    ones = torch.ones(4, 4)
    with pytest.raises(TrainingError, match="cannot exchange single weights"):
        find_pattern("transposable-2:4").regrow(ones.bool(), ones, ones, 0.5)
