"""Both im2cols equal a loop over taps on booleans, and the compact form of a dense tensor equals them."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from accelsim.lowering.im2col import gather_words, pixel_rows
from accelsim.lowering.inside import Taps, dense_columns, tap_rows
from tests.lowering.packing import image_rows, pack, unpack


def gathered(mask: np.ndarray, taps: Taps) -> np.ndarray:
    """What each tap reads at each grid position: booleans [taps, C, N, Y, X], zeros outside the image."""
    (height, width), (grid_y, grid_x) = taps.image, taps.grid
    result = np.zeros((taps.offset_y.size, taps.offset_x.size, mask.shape[1], mask.shape[0], grid_y, grid_x), bool)
    for r, oy in enumerate(taps.offset_y):
        for s, ox in enumerate(taps.offset_x):
            for y in range(grid_y):
                for x in range(grid_x):
                    h, w = y * taps.step[0] + oy, x * taps.step[1] + ox
                    if 0 <= h < height and 0 <= w < width:
                        result[r, s, :, :, y, x] = mask[:, :, h, w].T
    return result.reshape(taps.count, *result.shape[2:])


@st.composite
def sliding(draw) -> Taps:
    """Any grid on any image, also ones that no convolution has."""
    extents = st.one_of(st.integers(1, 9), st.integers(1, 9), st.sampled_from((14, 28, 70)))
    offsets = st.lists(st.integers(-9, 9), min_size=1, max_size=3)
    image = draw(st.tuples(extents, extents))
    grid = draw(st.one_of(st.just(image), st.tuples(extents, extents)))
    step = draw(st.tuples(st.integers(1, 4), st.integers(1, 4)))
    return Taps(image, grid, step, np.array(draw(offsets)), np.array(draw(offsets)))


@given(sliding(), st.integers(1, 3), st.integers(0, 2**32 - 1))
def test_pixels_fastest(taps: Taps, images: int, seed: int) -> None:
    mask = np.random.default_rng(seed).random((images, 2, *taps.image)) < 0.5
    rows = pixel_rows(pack(image_rows(mask)), images, taps)
    expected = gathered(mask, taps).reshape(taps.count * 2, -1)
    np.testing.assert_array_equal(unpack(rows, expected.shape[1]), expected)


@given(sliding(), st.integers(1, 3), st.integers(0, 2**32 - 1))
def test_channels_fastest(taps: Taps, images: int, seed: int) -> None:
    mask = np.random.default_rng(seed).random((images, 192, *taps.image)) < 0.5
    rows = gather_words(pack(image_rows(mask).T), images, 1, 2, taps)
    expected = gathered(mask[:, 64:], taps).transpose(2, 3, 4, 0, 1).reshape(len(rows), -1)
    np.testing.assert_array_equal(unpack(rows, expected.shape[1]), expected)


@given(sliding(), st.integers(1, 3), st.sampled_from((1, 3, 64, 70)))
def test_dense_tensors(taps: Taps, images: int, channels: int) -> None:
    expected = gathered(np.ones((images, channels, *taps.image), bool), taps)
    rows = tap_rows(taps, images)
    np.testing.assert_array_equal(unpack(rows, expected[0, 0].size), expected[:, 0].reshape(taps.count, -1))
    kinds, of = dense_columns(taps, images, channels)
    columns = expected.transpose(2, 3, 4, 0, 1).reshape(of.size, -1)
    np.testing.assert_array_equal(unpack(kinds, columns.shape[1])[of], columns)
    assert len(np.unique(of)) == len(kinds) <= taps.grid[0] * taps.grid[1]
