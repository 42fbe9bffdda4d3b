"""Strata: of like predictions, none too small, equal in work."""

from __future__ import annotations

import itertools

import numpy as np

from accelsim.sampling.strata import LEAST, STRATA, cut_strata, share_out


def test_strata_hold_every_strip_once_and_enough_each() -> None:
    predicted = np.random.default_rng(0).pareto(1.5, 300) + 1
    strata = cut_strata(predicted, np.ones(300, np.int64), np.zeros(300, np.int64))
    assert sorted(np.concatenate(strata).tolist()) == list(range(300))
    assert len(strata) == STRATA
    assert min(own.size for own in strata) >= LEAST
    for lower, higher in itertools.pairwise(strata):
        assert predicted[lower].max() <= 1.06 * predicted[higher].min()


def test_long_strips_are_in_small_strata() -> None:
    predicted = np.where(np.arange(400) < 20, 100.0, 1.0)
    strata = cut_strata(predicted, np.ones(400, np.int64), np.zeros(400, np.int64))
    assert sorted(np.concatenate([own for own in strata if predicted[own[0]] > 1]).tolist()) == list(range(20))
    assert all(own.size <= 20 for own in strata if predicted[own[0]] > 1)


def test_an_edge_is_where_strips_change() -> None:
    """131 strips of one row tile: no stratum has three of it among those of the other."""
    row = (np.arange(256) >= 131).astype(np.int64)
    strata = cut_strata(np.full(256, 10.0), np.ones(256, np.int64), row)
    assert all(len(set(row[own].tolist())) == 1 for own in strata)


def test_equally_many_are_drawn_of_each_and_all_of_a_small_one() -> None:
    assert share_out(32, [50] * 8) == (4,) * 8
    assert share_out(40, [50, 4, 50, 50, 50, 50, 50, 50]) == (6, 4, 5, 5, 5, 5, 5, 5)
    assert sum(share_out(100, [3, 200, 200, 200])) == 100
