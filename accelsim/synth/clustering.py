"""Zeros that cluster as a ReLU's do: by channel of an image, a plane.

The model: what a ReLU sees is Gaussian, and a share c of its variance, the clustering, is common to all pixels of a
plane; the mean makes the density d. So a plane whose common part is z standard deviations has the density
Phi((Phi^-1(d) + sqrt(c) z) / sqrt(1 - c)), and the mean over all planes is d. With c = 0 all elements are independent,
with c = 1 planes live and die whole. Within a plane, elements are independent.
"""

from __future__ import annotations

import math
from statistics import NormalDist

import numpy as np
from numpy.typing import NDArray

from accelsim.synth.random_bits import RandomWords, random_superset
from accelsim.synth.tensor_patterns import element_mask
from accelsim.synth.topology import Shape
from accelsim.trace.bitmask import BitMask

_LEVELS = 256
_PLACES = 10
"""Binary places of a plane's density; the whole tensor's is exact all the same."""
_CHUNK = 1 << 20
"""Elements drawn at a time, about."""


def clustered_mask(shape: Shape, density: float, clustering: float, words: RandomWords) -> BitMask:
    """Return a mask [N, C, H, W] with exactly round(density * elements) set, whose planes differ in density.

    Args:
        clustering: from 0 to 1; without effect on planes of one element.
    """
    n, c, h, w = shape
    size, plane = math.prod(shape), h * w
    count = round(density * size)
    if clustering == 0 or plane == 1 or count in (0, size):
        return element_mask(shape, density, words)
    # Every level is as frequent as every other, so that few planes have the right mean, too.
    level = np.empty(n * c, np.int64)
    level[np.argsort(words.draw(n * c), kind="stable")] = np.arange(n * c) * _LEVELS // (n * c)
    thresholds = np.floor(plane_densities(density, clustering) * (1 << _PLACES)).astype(np.int64)
    thresholds = np.minimum(thresholds, (1 << _PLACES) - 1)[level]
    step = 8 * max(1, _CHUNK // (8 * plane))  # planes at a time, which end with a whole byte
    parts = [_planes(thresholds[start : start + step], plane, words) for start in range(0, n * c, step)]
    return BitMask(shape, _with_count(np.concatenate(parts), size, count, words))


def plane_densities(density: float, clustering: float, levels: int = _LEVELS) -> NDArray[np.float64]:
    """Return the densities of so many planes whose common parts are the quantiles of a Gaussian, ascending."""
    normal = NormalDist()
    mean, common, rest = normal.inv_cdf(density), math.sqrt(clustering), math.sqrt(max(1 - clustering, 1e-12))
    quantiles = (normal.inv_cdf((place + 0.5) / levels) for place in range(levels))
    return np.array([normal.cdf((mean + common * quantile) / rest) for quantile in quantiles])


def clustering_of(mask: BitMask) -> float:
    """Return the clustering that gives planes whose densities differ as much as a recorded mask's.

    That is, which makes two different elements of a plane both non-zero as often; 0 where fewer are than by chance, or
    planes have one element.
    """
    n, c, h, w = mask.shape
    plane = h * w
    if plane < 2 or mask.nonzeros in (0, mask.size):
        return 0.0
    per_plane = mask.to_array().reshape(n * c, plane).sum(1, dtype=np.int64)
    both = float((per_plane * (per_plane - 1)).mean()) / (plane * (plane - 1))
    low, high = 0.0, 1.0
    for _ in range(20):  # the square mean of the planes' densities rises with the clustering
        middle = (low + high) / 2
        if float((plane_densities(mask.density, middle, 64) ** 2).mean()) < both:
            low = middle
        else:
            high = middle
    return low


def _planes(thresholds: NDArray[np.int64], plane: int, words: RandomWords) -> NDArray[np.uint8]:
    """Return packed planes; an element is set where a random number is below its plane's threshold."""
    size = thresholds.size * plane
    below = np.zeros(-(-size // 8), np.uint8)
    for place in range(_PLACES):  # from the lowest place to the highest
        zero = words.draw(-(-size // 64)).view(np.uint8)[: below.size]
        one = np.packbits(np.repeat((thresholds >> place & 1).astype(bool), plane), bitorder="little")
        # where the threshold has a one: the number has a zero, or is below in the lower places; elsewhere: both
        below = (zero & one) | (below & (zero | one))
    if size % 8:
        below[-1] &= (1 << size % 8) - 1
    return below


def _with_count(bits: NDArray[np.uint8], size: int, count: int, words: RandomWords) -> NDArray[np.uint8]:
    """Set or clear elements at random until so many are set."""
    surplus = int(np.bitwise_count(bits).sum(dtype=np.int64)) - count
    if surplus <= 0:
        return random_superset(bits, size, -surplus, words)
    spare = np.uint8(0xFF if size % 8 == 0 else (1 << size % 8) - 1)

    def inverted(of: NDArray[np.uint8]) -> NDArray[np.uint8]:
        others = np.invert(of)
        others[-1] &= spare
        return others

    return inverted(random_superset(inverted(bits), size, surplus, words))
