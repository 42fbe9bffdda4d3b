"""Random subsets as packed bits, drawn 64 elements a word: no number, no byte for an element ever exists."""

from __future__ import annotations

import hashlib
import math

import numpy as np
from numpy.typing import NDArray

_PLACES = 16
"""Binary places of the density that words are drawn with; what they miss is added element by element."""
_CHUNK = 1 << 15
"""Words drawn at a time: they stay in a core's cache while they are combined."""
_ONES = np.uint64(0xFFFF_FFFF_FFFF_FFFF)


class RandomWords:
    """An endless stream of random 64-bit words that depends on its keys alone (NumPy keeps SFC64's stream stable).

    Args:
        keys: what the stream is for: a seed, a layer's name, a tensor, ...
    """

    def __init__(self, *keys: str | int) -> None:
        digest = hashlib.blake2b(repr(keys).encode(), digest_size=16).digest()
        self._stream = np.random.SFC64(int.from_bytes(digest, "little"))

    def draw(self, count: int) -> NDArray[np.uint64]:
        """Return so many words."""
        words: NDArray[np.uint64] = self._stream.random_raw(count)
        return words

    def below(self, bound: int, count: int) -> NDArray[np.int64]:
        """Return so many numbers in [0, bound), whose probabilities differ by bound / 2^64 at most."""
        return (self.draw(count) % np.uint64(bound)).astype(np.int64)


def random_subset(size: int, count: int, words: RandomWords) -> NDArray[np.uint8]:
    """Return a subset of exactly `count` of `size` elements, all such subsets equally likely.

    Every element gets 16 random bits, by which it is in the subset or not; as that leaves a few too few, the missing
    ones are drawn one by one. Since neither step prefers an element, the result is uniform. Drawn from equal words, the
    subsets of two counts lie inside each other but for what was drawn one by one.

    Returns:
        uint8 array of ceil(size / 8) bytes, packed as in `BitMask`: spare bits are zero.
    """
    if 2 * count <= size:
        return random_superset(np.zeros(-(-size // 8), np.uint8), size, count, words)
    # The others are drawn: then a place drawn at random is mostly free.
    bits = random_superset(np.zeros(-(-size // 8), np.uint8), size, size - count, words, inverted=True)
    np.invert(bits, out=bits)
    _clear_spare(bits, size)
    return bits


def random_superset(
    bits: NDArray[np.uint8], size: int, extra: int, words: RandomWords, *, inverted: bool = False
) -> NDArray[np.uint8]:
    """Return a set with exactly `extra` of the elements that are not in it added, all choices equally likely.

    Args:
        bits: packed, see `random_subset`.
        size: elements.
        extra: at most as many as are not in the set.
        inverted: compare the words' complements with the density.
    """
    before = int(np.bitwise_count(bits).sum(dtype=np.int64))
    free = size - before
    share = extra / free if free else 0.0
    margin = 5 * math.sqrt(extra * (1 - share))  # more than `extra` come up once in millions of times: draw again
    threshold = max(0, math.floor((share - margin / free) * (1 << _PLACES))) if free else 0
    while True:
        result = bits | _independent(size, threshold, words, inverted)
        missing = before + extra - int(np.bitwise_count(result).sum(dtype=np.int64))
        if missing >= 0:
            break
    _add(result, size, missing, words)
    return result


def _independent(size: int, threshold: int, words: RandomWords, inverted: bool) -> NDArray[np.uint8]:
    """Set every bit with probability threshold / 2^16: where the number that its bits in 16 words form is below it."""
    count = -(-size // 64)
    if threshold == 1 << _PLACES:
        result = np.full(count, _ONES)
    else:
        result = np.zeros(count, np.uint64)
        for start in range(0, count if threshold else 0, _CHUNK):
            below = result[start : start + _CHUNK]
            for place in range(_PLACES):  # from the lowest place to the highest
                word = words.draw(below.size)
                zero = word if inverted else np.invert(word, out=word)
                # below: 0 where the threshold has 1, or equal here and below in the lower places
                combine = np.bitwise_or if threshold >> place & 1 else np.bitwise_and
                combine(below, zero, out=below)
    bits = result.view(np.uint8)[: -(-size // 8)]
    _clear_spare(bits, size)
    return bits


def _clear_spare(bits: NDArray[np.uint8], size: int) -> None:
    if size % 8:
        bits[-1] &= (1 << size % 8) - 1


def _add(bits: NDArray[np.uint8], size: int, missing: int, words: RandomWords) -> None:
    """Set so many bits of those not set, at random."""
    while missing:
        at = words.below(size, 2 * missing + 16)
        free = at[bits[at >> 3] >> (at & 7) & 1 == 0]
        # in the order drawn: cut in the order of places, the last places would be drawn too rarely
        firsts = np.sort(np.unique(free, return_index=True)[1])[:missing]
        chosen = free[firsts]
        np.bitwise_or.at(bits, chosen >> 3, (1 << (chosen & 7)).astype(np.uint8))
        missing -= chosen.size
