"""Masks by pattern: exact counts, whole units, and the same numbers as `accelsim.sparsity` prunes to."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from accelsim.errors import AccelsimError
from accelsim.sparsity.patterns import find_pattern
from accelsim.synth.random_bits import RandomWords
from accelsim.synth.weight_patterns import find_weight_pattern

NAMES = ("element", "channel", "2:4", "1:4", "3:8", "transposable-2:4", "transposable-1:4", "1x4", "1x8", "8x8", "4x2")
shapes = st.tuples(st.integers(1, 20), st.integers(1, 20), st.integers(1, 3), st.integers(1, 3))


@given(st.sampled_from(NAMES), shapes, st.floats(0, 1), st.integers(0, 2**32))
def test_counts_equal_those_of_pruning(name: str, shape, share: float, seed: int) -> None:
    pattern, torch_pattern = find_weight_pattern(name), find_pattern(name)
    assert pattern.least == pytest.approx(1 - torch_pattern.removed, abs=1e-12)
    density = pattern.least + share * (1 - pattern.least)
    mask = pattern.draw(shape, density, RandomWords(seed)).to_array()

    # Which units stayed whole, by accelsim.sparsity's own partition; a unit that loses nothing when it is pruned (a
    # small one at an edge) cannot be told from a whole one.
    whole = torch_pattern.unit_scores(torch.from_numpy(mask).double()).numpy()
    units = whole.size
    pruned = round(min((1 - density) / torch_pattern.removed, 1.0) * units)
    if name in ("element", "channel") or "x" in name:
        assert set(np.unique(whole.round(9))) <= {0.0, 1.0}
        assert (whole.round(9) == 0).sum() == pruned
    elif not any(extent % int(name[-1]) for extent in shape[:2]):
        n, m = int(name[-3]), int(name[-1])
        per_unit = m * m if name.startswith("transposable") else m
        assert mask.size - mask.sum() == pruned * per_unit * (m - n) // m


@given(shapes, st.sampled_from(((2, 4), (1, 4), (3, 8), (5, 7))), st.integers(0, 2**32))
def test_n_of_m_keeps_n_of_every_m(shape, ratio, seed: int) -> None:
    n, m = ratio
    mask = find_weight_pattern(f"{n}:{m}").draw(shape, n / m, RandomWords(seed)).to_array()
    for start in range(0, shape[1], m):
        members = min(m, shape[1] - start)
        assert (mask[:, start : start + m].sum(1) == min(n, members)).all()


@given(shapes, st.integers(0, 2**32))
def test_transposable_holds_both_ways(shape, seed: int) -> None:
    mask = find_weight_pattern("transposable-2:4").draw(shape, 0.5, RandomWords(seed)).to_array()
    for axis in (0, 1):
        for start in range(0, shape[axis], 4):
            assert (mask.take(range(start, min(start + 4, shape[axis])), axis).sum(axis) <= 2).all()


def test_members_of_a_group_are_equally_likely() -> None:
    mask = find_weight_pattern("2:4").draw((400, 40, 1, 1), 0.5, RandomWords(0)).to_array()
    by_place = mask.reshape(4000, 4).sum(0)
    assert np.abs(by_place - 2000).max() < 5 * 1000**0.5


@pytest.mark.parametrize("name", NAMES)
def test_bands_meet_without_a_seam(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Weights are packed in bands: more of them leave counts and units as they are."""
    pattern = find_weight_pattern(name)
    density = max(0.5, pattern.least)
    whole = pattern.draw((50, 24, 3, 3), density, RandomWords(0))
    monkeypatch.setattr("accelsim.synth.weight_patterns._CHUNK", 1)
    assert pattern.draw((50, 24, 3, 3), density, RandomWords(0)).nonzeros == whole.nonzeros
    if ":" not in name:  # nothing is drawn inside a band
        assert pattern.draw((50, 24, 3, 3), density, RandomWords(0)) == whole


@pytest.mark.parametrize("name", ["", "elements", "4:2", "0:4", "0x4", "transposable-2:8", "2:4:8", "-1x4"])
def test_what_is_no_pattern_is_refused(name: str) -> None:
    with pytest.raises(AccelsimError, match=r"pattern"):
        find_weight_pattern(name)
