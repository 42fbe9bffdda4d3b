"""Cycles of tiles that were not simulated, for the memory model.

How long a macro-tile takes compared with what it loads decides what memory hides, so a mean would not do: where the
loads are large the work is long as well. Each tile is given the cycles that are predicted for it, times the ratio of
simulated to predicted cycles of a donor: a simulated tile of its stratum. Several such fillings show how much the
choice matters (multiple imputation: Rubin, Multiple Imputation for Nonresponse in Surveys, 1987).
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

Integers = NDArray[np.int64]
Reals = NDArray[np.float64]
FILLINGS = 6
_BINS = 32
_TILES_A_BIN = 8
_NEAR = 2  # donors on either side that a strip may have


@dataclass(frozen=True)
class Imputation:
    """What is known of a GEMM's tiles.

    Attributes:
        tiles: int64 [strips], tiles of each strip, in order.
        predicted: float64 [tiles], cycles that each is expected to take.
        members: int64, the strips of each stratum, ascending.
        chosen: int64 [n], the simulated strips, ascending.
        cycles: int64, those of the simulated strips' tiles, one strip after another.
        totals: float64 [strata], estimated cycles of all tiles of each stratum.
        seed: of the fillings.
    """

    tiles: Integers
    predicted: Reals
    members: list[Integers]
    chosen: Integers
    cycles: Integers
    totals: Reals
    seed: int

    def fill(self, number: int) -> Integers:
        """Return cycles of all tiles: int64 [tiles]; they add up to the total.

        Args:
            number: which filling. In the first, 0, neighbouring strips have neighbouring donors; of the
                others, odd ones draw a donor near by, and even ones draw any of the stratum's for each strip, so that
                they show both how much and how little neighbours may have in common.
        """
        donors = self._donors(np.random.default_rng((self.seed, number)) if number else None, number % 2 == 0)
        sizes = self.tiles[self.chosen]
        offsets = np.cumsum(sizes) - sizes
        like = np.repeat(offsets[donors], self.tiles) + self._within % np.repeat(sizes[donors], self.tiles)
        filled = self._calibrated * self._ratios[like]
        given = np.bincount(self.stratum_of_tile, self._open * filled, len(self.members))
        scale = np.divide(self._missing, given, out=np.ones_like(given), where=given > 0)
        filled *= np.where(self._open, scale[self.stratum_of_tile], 1)
        ends = np.append(np.int64(0), np.rint(np.cumsum(filled)).astype(np.int64))
        return np.asarray(ends[1:] - ends[:-1])

    @cached_property
    def _within(self) -> Integers:
        """Each tile's place in its strip."""
        starts = np.cumsum(self.tiles) - self.tiles
        return np.asarray(np.arange(self.predicted.size) - np.repeat(starts, self.tiles))

    @cached_property
    def _open(self) -> NDArray[np.bool_]:
        """Which tiles were not simulated."""
        open_ = np.ones(self.tiles.size, bool)
        open_[self.chosen] = False
        return np.repeat(open_, self.tiles)

    @cached_property
    def _missing(self) -> Reals:
        """Cycles of the tiles of each stratum that were not simulated: float64 [strata]."""
        simulated = np.bincount(self.stratum_of_tile[~self._open], self.cycles, len(self.members))
        return np.asarray(self.totals - simulated)

    @cached_property
    def stratum_of_tile(self) -> Integers:
        """The stratum that each tile is in: int64 [tiles]."""
        stratum = np.empty(self.tiles.size, np.int64)
        for number, strips in enumerate(self.members):
            stratum[strips] = number
        return np.repeat(stratum, self.tiles)

    @cached_property
    def _calibrated(self) -> Reals:
        """Predicted cycles times what simulated tiles of like predictions took over theirs: float64 [tiles]."""
        predicted = self.predicted[~self._open]
        bins = max(1, min(_BINS, predicted.size // _TILES_A_BIN))
        edges = np.unique(np.quantile(predicted, np.arange(1, bins) / bins))
        own = np.searchsorted(edges, predicted, side="right")
        sums, taken = np.bincount(own, predicted, edges.size + 1), np.bincount(own, self.cycles, edges.size + 1)
        scale = np.divide(taken, sums, out=np.ones_like(sums), where=sums > 0)
        return np.asarray(self.predicted * scale[np.searchsorted(edges, self.predicted, side="right")])

    @cached_property
    def _ratios(self) -> Reals:
        """Simulated over expected cycles of the simulated tiles; a tile that is expected to take none takes none."""
        expected = self._calibrated[~self._open]
        return np.divide(self.cycles, expected, out=np.ones(expected.size), where=expected > 0)

    def _donors(self, rng: np.random.Generator | None, any_: bool) -> Integers:
        """Each strip's donor, as a place in `chosen`; a simulated strip is its own.

        All donors of a stratum stand for equally many others, in order; lots move a strip to a donor near its own.
        """
        donors = np.zeros(self.tiles.size, np.int64)
        for strips in self.members:
            own = np.flatnonzero(np.isin(self.chosen, strips, assume_unique=True))
            donors[self.chosen[own]] = own
            others = np.setdiff1d(strips, self.chosen[own], assume_unique=True)
            place = np.arange(others.size) * own.size // max(1, others.size)
            if rng is not None:
                moves = rng.integers(0, own.size, others.size) if any_ else rng.integers(-_NEAR, _NEAR + 1, others.size)
                place = (place + moves) % own.size
            donors[others] = own[place]
        return donors
