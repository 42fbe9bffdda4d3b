"""Totals and their variances from strata of which some strips were simulated.

A stratum's strips are drawn at random without replacement, so whatever its tiles have in common (rows of weights,
columns of activations) is in the spread between strips, and nothing is assumed about it. What each strip is expected to
take is known, so a total is estimated by the ratio to that (Cochran, Sampling Techniques, 1977, chapter 6):

    total = X · Σ y / Σ x        variance = S² (1 − n / S) / n · Σ (y − R x)² / (n − 1),   R = Σ y / Σ x

for n of S strips of predicted cycles x, X in all. Strata are independent: variances add up, and their sum has
(Σ v)² / Σ (v² / (n − 1)) degrees of freedom (Satterthwaite 1946).
"""

from __future__ import annotations

import math
from dataclasses import dataclass, fields

import numpy as np
from numpy.typing import NDArray

from accelsim.array import GemmTiming, Slots
from accelsim.sampling.impute import Imputation
from accelsim.sampling.student import t_quantile

CONFIDENCE = 0.95
_ROUNDING = 1e-9  # of a count: what is off by less is right
SLOTS = tuple(part.name for part in fields(Slots))
TALLIES = ("scan_windows", "fifo_pushes", "streamed_a", "streamed_b", "outputs")
COUNTS = ("cycles", *SLOTS, *TALLIES)
Values = NDArray[np.float64]


@dataclass(frozen=True)
class Variance:
    """The variance of an estimate, and how well it is known; those of independent estimates add up.

    Attributes:
        value: the variance.
        squares: sum over strata of variance squared / (n - 1).
    """

    value: float = 0.0
    squares: float = 0.0

    def __add__(self, other: Variance) -> Variance:
        return Variance(self.value + other.value, self.squares + other.squares)

    def scaled(self, factor: float) -> Variance:
        """Return the variance of `factor` times the estimate."""
        return Variance(self.value * factor**2, self.squares * factor**4)

    @property
    def half_width(self) -> float:
        """Half of the 95 % interval."""
        if self.value <= 0:
            return 0.0
        freedom = self.value**2 / self.squares if self.squares else math.inf
        return t_quantile(CONFIDENCE, max(1.0, freedom)) * math.sqrt(self.value)


@dataclass(frozen=True)
class Stratum:
    """Strips of which some were simulated.

    Attributes:
        strips: how many strips it has.
        expected: cycles that all of them are expected to take.
        sizes: float64 [n], cycles that each simulated strip was expected to take.
        values: float64 [n, COUNTS], what each simulated strip did.
    """

    strips: int
    expected: float
    sizes: Values
    values: Values

    def totals(self) -> Values:
        """Estimate what all strips did: float64 [COUNTS]."""
        return self.expected * self._ratios(self.values)

    def spread(self, weights: Values) -> Values:
        """Standard deviation, between strips, of weighted sums of counts: weights [quantities, COUNTS]."""
        mixed = self.values @ weights.T
        rest = mixed - np.outer(self.sizes, self._ratios(mixed))
        rest[np.abs(rest) < _ROUNDING * np.abs(mixed)] = 0
        return np.asarray(np.sqrt((rest**2).sum(axis=0) / max(1, len(rest) - 1)))

    def variances(self, weights: Values) -> Values:
        """Variances of the estimated totals of weighted sums of counts: weights [quantities, COUNTS]."""
        drawn = len(self.sizes)
        return np.asarray(self.strips**2 * (1 - drawn / self.strips) / drawn * self.spread(weights) ** 2)

    def _ratios(self, values: Values) -> Values:
        """Sums over the sizes'; strips that are expected to take nothing stream nothing and do nothing."""
        size = self.sizes.sum()
        return np.asarray(values.sum(axis=0) / size if size else 0.0 * values.sum(axis=0))


@dataclass(frozen=True, kw_only=True)
class SampledTiming(GemmTiming):
    """A GEMM's timing as far as a sample tells it.

    Attributes:
        strata: what it was estimated from; together they hold all tiles.
        filling: the cycles of all tiles, in several ways.
        simulated_tiles: how many of its tiles were simulated.
        key: which GEMM of the trace it is.
        cost_ns: of simulating a strip, about.
        exact: whether the predicted cycles are those that tiles take.
    """

    strata: tuple[Stratum, ...]
    filling: Imputation
    simulated_tiles: int
    key: tuple[object, ...]
    cost_ns: float
    exact: bool


def values_of(timing: GemmTiming) -> Values:
    """Return what a strip did, in the order of COUNTS."""
    slots = (getattr(timing.slots, name) for name in SLOTS)
    return np.array([timing.cycles, *slots, *(getattr(timing, name) for name in TALLIES)], np.float64)
