"""Masks whose planes differ in density: exact counts, the model's moments, and the clustering found again."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from accelsim import BitMask
from accelsim.synth.clustering import clustered_mask, clustering_of, plane_densities
from accelsim.synth.random_bits import RandomWords

shapes = st.tuples(*[st.integers(1, 9)] * 4)
shares = st.one_of(st.floats(0, 1), st.sampled_from((0.0, 1.0, 0.5)))


@given(shapes, shares, shares, st.integers(0, 99))
def test_counts_are_exact(shape, density: float, clustering: float, seed: int) -> None:
    mask = clustered_mask(shape, density, clustering, RandomWords(seed))
    assert (mask.shape, mask.nonzeros) == (shape, round(density * mask.size))
    assert mask == clustered_mask(shape, density, clustering, RandomWords(seed))


@given(st.floats(0.01, 0.99), st.floats(0, 0.99))
def test_planes_have_the_density_on_average(density: float, clustering: float) -> None:
    planes = plane_densities(density, clustering, 4096)
    assert planes.mean() == pytest.approx(density, abs=2e-3)
    assert (np.diff(planes) >= 0).all()


@pytest.mark.parametrize("clustering", [0.0, 0.3, 0.6, 0.9, 1.0])
@pytest.mark.parametrize("density", [0.2, 0.5, 0.8])
def test_what_was_put_in_is_found(density: float, clustering: float) -> None:
    mask = clustered_mask((64, 40, 9, 11), density, clustering, RandomWords(1))
    assert clustering_of(mask) == pytest.approx(clustering, abs=0.03)


def test_pairs_at_half_density_follow_the_arcsine_law() -> None:
    """Two Gaussians that correlate by c are both positive with probability 1/4 + arcsin(c) / 2 pi (Sheppard 1899)."""
    for clustering in (0.25, 0.5, 0.75):
        planes = plane_densities(0.5, clustering, 4096)
        assert (planes**2).mean() == pytest.approx(0.25 + np.arcsin(clustering) / (2 * np.pi), abs=1e-3)


def test_no_clustering_where_there_is_nothing_to_cluster() -> None:
    alternating = np.indices((4, 3, 6, 6)).sum(0) % 2
    for mask in (np.ones((2, 3, 4, 4)), np.zeros((2, 3, 4, 4)), np.arange(12).reshape(3, 4, 1, 1) % 2, alternating):
        assert clustering_of(BitMask.from_array(mask)) == pytest.approx(0, abs=1e-5)


def test_chunks_meet_without_a_seam(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("accelsim.synth.clustering._CHUNK", 1)
    mask = clustered_mask((30, 7, 5, 5), 0.5, 1.0, RandomWords(0))
    by_plane = mask.to_array().reshape(210, 25).mean(1)
    assert ((by_plane > 0.8) | (by_plane < 0.2)).all()  # each plane lives or dies but for what makes the count exact
    assert mask.nonzeros == round(0.5 * mask.size)
