"""The model of costs: exact where it was told, sure of itself only there, and right about a smooth cost."""

from __future__ import annotations

import numpy as np
import pytest

from accelsim.explore.surrogate import Surrogate, encode

AXES = [[8, 16, 32, 64], ["row", "pe", "array"], [1, 2, 3, 4, 5]]
PLACES = np.array(np.unravel_index(np.arange(60), (4, 3, 5))).T


def test_numbers_lie_in_order_and_words_lie_apart() -> None:
    rows, sync, depth = encode([[16, 8, 64], ["a", "b"], [1]], np.array([[0, 0, 0], [1, 1, 0], [2, 0, 0]]))
    assert rows.ravel().tolist() == [0.5, 0, 1]
    assert ((sync[0] - sync[1]) ** 2).sum() == pytest.approx(1)
    assert depth.ravel().tolist() == [0, 0, 0]


@pytest.mark.relations
def test_passes_through_what_it_saw_and_guesses_the_rest() -> None:
    rows, sync, depth = PLACES.T
    costs = 1e6 / 2.0**rows * np.array([1.0, 0.8, 1.5])[sync] * (1 + 1 / (depth + 1))
    seen = np.random.default_rng(0).permutation(60)[:24]
    coded = encode(AXES, PLACES)
    model = Surrogate([one[seen] for one in coded], costs[seen])
    mean, deviation = model.guess(coded)
    unseen = np.setdiff1d(np.arange(60), seen)
    assert mean[seen] == pytest.approx(np.log(costs[seen]), abs=5e-3)
    assert deviation[seen].max() < deviation[unseen].min()
    assert np.abs(mean - np.log(costs))[unseen].max() < 0.1  # costs differ by a factor of 30
    assert model.lengths[0] >= 0.5
