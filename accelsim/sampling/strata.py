"""Which strips are drawn together: those that are expected to take alike.

Strips are sorted by predicted cycles a tile, in steps of 5 %, and where these agree by place. Strata are cut so that
each has as much of the predicted work and of the strips, one half of either, and as many strips are drawn of each: few
long strips, such as those of an image's one dense corner, are then drawn nearly all (Cochran, Sampling Techniques,
1977, section 5A.7: equal aggregates of what deviations are proportional to).
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Integers = NDArray[np.int64]
STRATA = 8  # a GEMM
LEAST = 4  # strips drawn of each stratum
_NEAR = 0.5  # of a stratum: as far an edge is moved to where strips change, so that no few are among others
_STEP = 1.05  # predictions that differ by less count as equal


def cut_strata(predicted: NDArray[np.float64], tiles: Integers, row: Integers) -> list[Integers]:
    """Return the strips of each stratum, ascending: STRATA arrays, each of at least LEAST strips.

    Args:
        predicted: float64 [strips], cycles that each is expected to take; at least STRATA · LEAST strips.
        tiles: int64 [strips], tiles of each.
        row: int64 [strips], its row tile.
    """
    alike = np.rint(np.log(np.maximum(predicted / tiles, 0.5)) / np.log(_STEP))
    order = np.lexsort((np.arange(alike.size), alike))
    work = _STEP**alike * tiles
    share = np.cumsum(work[order] / work.mean() + 1)
    edges = np.searchsorted(share, share[-1] * np.arange(1, STRATA) / STRATA)
    changes = 1 + np.flatnonzero((np.diff(alike[order]) != 0) | (np.diff(row[order]) != 0))
    for number in range(STRATA - 1):
        nearest = changes[np.abs(changes - edges[number]).argmin()] if changes.size else edges[number]
        if abs(nearest - edges[number]) <= _NEAR * alike.size / STRATA:
            edges[number] = nearest
        least = (edges[number - 1] if number else 0) + LEAST
        edges[number] = min(max(edges[number], least), alike.size - LEAST * (STRATA - 1 - number))
    return [np.sort(part) for part in np.split(order, edges)]


def share_out(drawn: int, strips: list[int]) -> tuple[int, ...]:
    """Deal strips to draw among strata: equally many each, of a small one all."""
    sizes = [0] * len(strips)
    for place, number in enumerate(sorted(range(len(strips)), key=lambda number: strips[number])):
        sizes[number] = min(strips[number], -(-(drawn - sum(sizes)) // (len(strips) - place)))
    return tuple(sizes)
