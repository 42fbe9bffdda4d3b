"""Cycles of tiles that were not simulated, for the memory model: those of simulated ones near by.

What a macro-tile takes beside its neighbours decides what memory hides, and a mean would make all of them alike. So
each strip is given the cycles of a donor, and several such fillings show how much the choice matters (multiple
imputation: Rubin, Multiple Imputation for Nonresponse in Surveys, 1987).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Integers = NDArray[np.int64]
FILLINGS = 6
_NEAR = 2  # donors on either side that a strip may have


@dataclass(frozen=True)
class Imputation:
    """What is known of a GEMM's tiles.

    Attributes:
        sizes: int64 [strips], tiles of each strip, in order.
        edges: int64 [strata + 1], where strata begin, in strips.
        chosen: int64 [n], the simulated strips, ascending.
        cycles: int64, those of the simulated strips' tiles, one strip after another.
        totals: float64 [strata], estimated cycles of all tiles of each stratum.
        seed: of the fillings.
    """

    sizes: Integers
    edges: Integers
    chosen: Integers
    cycles: Integers
    totals: NDArray[np.float64]
    seed: int

    def fill(self, number: int) -> Integers:
        """Return cycles of all tiles: int64 [tiles]; they add up to the total.

        Args:
            number: which filling; in the first, 0, neighbours in line have neighbours as donors, the others draw lots.
        """
        donors = self._donors(np.random.default_rng((self.seed, number)) if number else None)
        donor_sizes = self.sizes[self.chosen]
        offsets = np.cumsum(donor_sizes) - donor_sizes
        starts = np.cumsum(self.sizes) - self.sizes
        within = np.arange(int(self.sizes.sum())) - np.repeat(starts, self.sizes)
        donor = np.repeat(donors, self.sizes)
        filled = self.cycles[offsets[donor] + within % donor_sizes[donor]].astype(np.float64)
        known = np.zeros(self.sizes.size, bool)
        known[self.chosen] = True
        guessed, ends = ~np.repeat(known, self.sizes), np.append(starts, filled.size)[self.edges]
        for stratum, total in enumerate(self.totals.tolist()):
            part = slice(int(ends[stratum]), int(ends[stratum + 1]))
            open_ = guessed[part]
            given = filled[part][open_].sum()
            if given:
                filled[part][open_] *= (total - filled[part][~open_].sum()) / given
        until = np.append(np.int64(0), np.rint(np.cumsum(filled)).astype(np.int64))
        return np.asarray(until[1:] - until[:-1])

    def _donors(self, rng: np.random.Generator | None) -> Integers:
        """Each strip's donor, as a place in `chosen`; a simulated strip is its own.

        All donors of a stratum stand for equally many others, in order; lots move a strip to a donor near its own.
        """
        donors = np.zeros(self.sizes.size, np.int64)
        donors[self.chosen] = np.arange(self.chosen.size)
        for low, high in zip(self.edges[:-1].tolist(), self.edges[1:].tolist(), strict=True):
            first, last = np.searchsorted(self.chosen, (low, high))
            others = np.setdiff1d(np.arange(low, high), self.chosen[first:last], assume_unique=True)
            count = last - first
            place = np.arange(others.size) * count // max(1, others.size)
            if rng is not None:
                place = (place + rng.integers(-_NEAR, _NEAR + 1, others.size)) % count
            donors[others] = first + place
        return donors
