"""Masks of activations and gradients."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from accelsim.errors import AccelsimError
from accelsim.synth.random_bits import RandomWords
from accelsim.synth.tensor_patterns import channel_mask, element_mask, find_tensor_pattern, widened

shapes = st.tuples(*[st.integers(1, 9)] * 4)


@given(shapes, st.floats(0, 1), st.integers(0, 99))
def test_element_counts_are_exact(shape, density: float, seed: int) -> None:
    mask = element_mask(shape, density, RandomWords(seed))
    assert (mask.shape, mask.nonzeros) == (shape, round(density * mask.size))


@given(shapes, st.floats(0, 1), st.integers(0, 99))
def test_channels_are_whole_and_alike_in_all_images(shape, density: float, seed: int) -> None:
    mask = channel_mask(shape, density, RandomWords(seed)).to_array()
    first = mask[0, :, 0, 0]
    assert first.sum() == round(density * shape[1])
    assert np.array_equal(mask, np.broadcast_to(first[None, :, None, None], shape))


@given(shapes, st.floats(0, 1), st.floats(0, 1), st.integers(0, 99))
def test_widening_adds_a_share_of_the_zeros(shape, density: float, extra: float, seed: int) -> None:
    mask = element_mask(shape, density, RandomWords(seed))
    wide = widened(mask, extra, RandomWords(seed, "wide"))
    assert wide.nonzeros == mask.nonzeros + round(extra * (mask.size - mask.nonzeros))
    assert not (mask.to_array() & ~wide.to_array()).any()


def test_unknown_names_are_refused() -> None:
    with pytest.raises(AccelsimError, match="'2:4' of activations or gradients, expected one of element, channel"):
        find_tensor_pattern("2:4")
