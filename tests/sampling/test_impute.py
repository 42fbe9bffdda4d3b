"""Fillings keep what was simulated and the totals, and follow the predictions."""

from __future__ import annotations

import numpy as np

from accelsim.sampling.impute import FILLINGS, Imputation


def test_fillings_keep_simulated_tiles_and_totals() -> None:
    rng = np.random.default_rng(0)
    tiles = rng.integers(1, 4, 60)
    predicted = rng.uniform(5, 50, tiles.sum())
    truth = np.rint(predicted * rng.uniform(0.9, 1.1, predicted.size)).astype(np.int64)
    members = [np.arange(0, 60, 2), np.arange(1, 60, 2)]
    chosen = np.array([0, 1, 8, 9, 20, 21, 40, 41, 58, 59])
    drawn = np.repeat(np.isin(np.arange(60), chosen), tiles)
    stratum = np.repeat(np.arange(60) % 2, tiles)
    totals = np.bincount(stratum, truth).astype(np.float64)
    filling = Imputation(tiles, predicted, members, chosen, truth[drawn], totals, seed=1)
    for number in range(FILLINGS + 1):
        filled = filling.fill(number)
        assert np.abs(filled[drawn] - truth[drawn]).max() <= 1  # rounded
        assert np.abs(np.bincount(stratum, filled) - totals).max() <= len(filled)
        assert filled.sum() == truth.sum()
        assert np.corrcoef(filled, truth)[0, 1] > 0.95


def test_a_prediction_that_bends_is_straightened() -> None:
    """Tiles take as long as the square of what is predicted: fillings follow the simulated tiles."""
    predicted = np.tile(np.arange(1.0, 33), 20)
    truth = (predicted**2).astype(np.int64)
    tiles = np.full(80, 8)
    chosen = np.arange(0, 80, 5)
    drawn = np.repeat(np.isin(np.arange(80), chosen), 8)
    filling = Imputation(
        tiles, predicted, [np.arange(80)], chosen, truth[drawn], np.array([float(truth.sum())]), seed=1
    )
    assert np.abs(filling.fill(1) - truth).mean() < 0.1 * truth.mean()
