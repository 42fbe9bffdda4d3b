"""Random subsets have exactly the size asked for, prefer no element, and repeat."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from accelsim.synth.random_bits import RandomWords, random_subset, random_superset
from accelsim.trace import BitMask


@st.composite
def counts(draw) -> tuple[int, int]:
    size = draw(st.one_of(st.integers(0, 40), st.integers(0, 5000)))
    return size, draw(st.one_of(st.integers(0, size), st.sampled_from((0, size, size // 2))))


@given(counts(), st.integers(0, 2**63))
def test_subsets_have_exactly_their_size(sizes: tuple[int, int], seed: int) -> None:
    size, count = sizes
    bits = random_subset(size, count, RandomWords(seed))
    assert BitMask((size,), bits).nonzeros == count  # and no spare bit is set
    assert np.array_equal(bits, random_subset(size, count, RandomWords(seed)))


@given(counts(), st.integers(0, 2**63), st.floats(0, 1))
def test_supersets_keep_what_was_there(sizes: tuple[int, int], seed: int, share: float) -> None:
    size, count = sizes
    bits = random_subset(size, count, RandomWords(seed, "first"))
    extra = round(share * (size - count))
    grown = random_superset(bits, size, extra, RandomWords(seed, "second"))
    assert BitMask((size,), grown).nonzeros == count + extra
    assert np.array_equal(grown & bits, bits)


@pytest.mark.parametrize("density", [0.001, 0.2, 0.5, 0.5001, 0.9, 0.9999])
def test_large_subsets(density: float) -> None:
    size = (1 << 22) + 5  # several chunks, and a ragged end
    count = round(density * size)
    mask = BitMask((size,), random_subset(size, count, RandomWords(1))).to_array()
    assert mask.sum() == count
    # Neighbours are independent: as many pairs as chance makes, within five standard deviations.
    for distance in (1, 8, 64, 1 << 15, 1 << 21):
        pairs = int((mask[distance:] & mask[:-distance]).sum())
        chance = (size - distance) * density**2
        assert abs(pairs - chance) < 5 * (size * density**2 * (1 - density**2)) ** 0.5 + 1
    eighths = [part.sum() for part in np.array_split(mask, 8)]
    assert max(eighths) - min(eighths) < 8 * (size / 8 * density * (1 - density)) ** 0.5 + 1


@pytest.mark.parametrize(("size", "count"), [(5, 2), (11, 8)])
def test_every_element_is_as_likely(size: int, count: int) -> None:
    draws = 4000
    words = RandomWords(0)
    seen = sum(BitMask((size,), random_subset(size, count, words)).to_array().astype(int) for _ in range(draws))
    share = count / size
    assert np.abs(seen - draws * share).max() < 5 * (draws * share * (1 - share)) ** 0.5


@pytest.mark.parametrize(("few", "many"), [(0.2, 0.4), (0.4, 0.7), (0.6, 0.9)])
def test_equal_words_nest(few: float, many: float) -> None:
    size = 1 << 18
    inner, outer = (random_subset(size, round(share * size), RandomWords(3)) for share in (few, many))
    outside = int(np.bitwise_count(inner & ~outer).sum())
    assert outside < 0.02 * size  # independent ones would leave few * (1 - many), 0.06 at least


def test_keys_tell_streams_apart() -> None:
    keys = [(0,), (1,), (0, "a"), ("a", 0), ("0",), (0, "a", "b"), (0, "ab")]
    firsts = {int(RandomWords(*key).draw(1)[0]) for key in keys}
    assert len(firsts) == len(keys)


def test_the_stream_is_pinned() -> None:
    """A seed means the same masks in years to come."""
    assert random_subset(40, 20, RandomWords(0, "weight", "conv1")).tobytes().hex() == "e1ea047f89"
