"""A smooth guess at what designs cost, from a few that were simulated: Gaussian-process regression, in numpy.

The logarithm of a cost over the space is a Gaussian process whose covariance is a product over the swept keys, of
exp(-(d / l)^2 / 2): d is the distance of two values in their list, in steps (0 or 1 where values are not numbers), over
the list's length, and l is fitted, key by key, to the likelihood of what was seen (Rasmussen and Williams, Gaussian
Processes for Machine Learning, 2006, equations 2.25, 2.26 and 5.8).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
_LENGTHS = (0.25, 0.5, 1.0, 2.0, 4.0, 8.0)
_ROUNDS = 2
_NOISE = 1e-6  # of the variance: costs are exact, the guess is not that smooth


def encode(axes: Sequence[Sequence[Any]], places: NDArray[np.int64]) -> list[Floats]:
    """Return the squared distances' coordinates of designs, an array [designs, dimensions] a key.

    Args:
        axes: values of each key.
        places: [designs, keys], the place of a design's value in its key's list.
    """
    coded = []
    for column, values in zip(places.T, axes, strict=True):
        if is_ordered(values):
            rank = np.argsort(np.argsort(np.array(values, dtype=np.float64)))
            coded.append((rank[column] / max(1, len(values) - 1)).astype(np.float64)[:, None])
        else:
            coded.append(np.eye(len(values))[column] / np.sqrt(2))
    return coded


def is_ordered(values: Sequence[Any]) -> bool:
    """Return whether values are numbers, so that some are nearer to each other than others."""
    return all(isinstance(value, int | float) and not isinstance(value, bool) for value in values)


class Surrogate:
    """A fitted guess at one cost.

    Args:
        coded: of the designs that were simulated, see `encode`.
        costs: their costs, above 0.
        lengths: of each key; fitted if not given.
    """

    def __init__(self, coded: Sequence[Floats], costs: Floats, lengths: Sequence[float] | None = None) -> None:
        logs = np.log(costs)
        self._mean, self._scale = float(logs.mean()), float(logs.std()) or 1.0
        self._seen, self._target = list(coded), (logs - self._mean) / self._scale
        self._squares = [_squares(one, one) for one in coded]
        self.lengths = self._fit() if lengths is None else list(lengths)
        root = self._root(self.lengths)
        self._inverse = np.linalg.inv(root)
        self._weights = self._inverse.T @ (self._inverse @ self._target)
        # the process's variance for which what was seen is likeliest
        self._variance = max(float(self._target @ self._weights) / len(self._target), 1e-12)

    def guess(self, coded: Sequence[Floats]) -> tuple[Floats, Floats]:
        """Return mean and standard deviation of the logarithm of the cost, [designs] each."""
        between = np.exp(
            -0.5 * sum(_squares(a, b) / one**2 for a, b, one in zip(coded, self._seen, self.lengths, strict=True))
        )
        mean = self._mean + self._scale * (between @ self._weights)
        explained = ((between @ self._inverse.T) ** 2).sum(axis=1)
        left = np.sqrt(np.maximum(0.0, 1.0 - explained) * self._variance)
        return mean, self._scale * left

    def _fit(self) -> list[float]:
        """Return the likeliest lengths, found key by key."""
        lengths = [1.0] * len(self._seen)
        best = self._likelihood(lengths)
        for _ in range(_ROUNDS):
            for key in range(len(lengths)):
                for length in _LENGTHS:
                    tried = [*lengths[:key], length, *lengths[key + 1 :]]
                    if (likelihood := self._likelihood(tried)) > best:
                        best, lengths = likelihood, tried
        return lengths

    def _root(self, lengths: Sequence[float]) -> Floats:
        covariance = np.exp(-0.5 * sum(square / one**2 for square, one in zip(self._squares, lengths, strict=True)))
        root = np.linalg.cholesky(covariance + _NOISE * np.eye(len(self._target)))
        return np.asarray(root, dtype=np.float64)

    def _likelihood(self, lengths: Sequence[float]) -> float:
        """Logarithm of the likelihood with the best variance, but for a constant."""
        root = self._root(lengths)
        fitted = np.linalg.solve(root, self._target)
        count = len(self._target)
        return float(-np.log(np.diag(root)).sum() - 0.5 * count * np.log(fitted @ fitted / count + 1e-12))


def _squares(one: Floats, other: Floats) -> Floats:
    squares: Floats = ((one[:, None, :] - other[None, :, :]) ** 2).sum(axis=2)
    return squares
