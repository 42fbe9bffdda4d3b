"""Draws strips of a GEMM's tiles, simulates them and estimates the whole GEMM's timing."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Callable, Hashable, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from accelsim.array import PE, Forecast, GemmTiming, Slots, TiledGemm, pe_of, time_tiled, timing_key
from accelsim.hardware.model import Hardware
from accelsim.sampling.allocate import Sizes
from accelsim.sampling.cost import saves_half, strip_cost
from accelsim.sampling.estimate import COUNTS, SLOTS, SampledTiming, Stratum, Values, values_of
from accelsim.sampling.impute import Imputation
from accelsim.sampling.predict import refine
from accelsim.sampling.strata import LEAST, STRATA, cut_strata, share_out
from accelsim.sampling.strips import Strips

Key = tuple[object, ...]
Drawn = dict[int, tuple[Values, NDArray[np.int64]]]


class Sampler:
    """Samples of all GEMMs of a trace; a larger one later goes on where a smaller one stopped.

    Args:
        share: of the tiles of each GEMM that `sizes` does not name.
        seed: of the draw. What is drawn of a GEMM depends on it and on the GEMM's key alone.
        pays: whether that many strips are worth drawing; if not, the GEMM is simulated whole.

    Attributes:
        sizes: strips to draw of each stratum of a GEMM, by key and machine.
        drawn: what was simulated so far, by key and machine: counts and tiles' cycles by strip. What a strip does has
            nothing to do with the seed, so samplers of the same trace may share it.
    """

    def __init__(self, share: float, seed: int, pays: Callable[[Strips, int], bool] = saves_half) -> None:
        self.share, self.seed, self.pays = share, seed, pays
        self.sizes: dict[tuple[Key, Hashable], tuple[int, ...]] = {}
        self.drawn: dict[tuple[Key, Hashable], Drawn] = {}

    def time(self, hw: Hardware, tiled: TiledGemm, key: Key) -> GemmTiming:
        """Time a GEMM, by a sample if that saves half of the work.

        Args:
            key: what tells the operation and pass from the trace's others.
        """
        gemm = tiled.gemm
        key = (*key, gemm.group, gemm.phase)
        if self.share >= 1 or gemm.k == 0:
            return time_tiled(hw, tiled)
        strips = Strips.of(tiled)
        if len(strips) <= 2 * STRATA * LEAST or not self.pays(strips, STRATA * LEAST):
            return time_tiled(hw, tiled)
        forecast = pe_of(hw).forecast(tiled)
        if forecast is None:
            return time_tiled(hw, tiled)
        predicted = forecast.cycles(tiled)
        members = cut_strata(strips.sums(predicted), strips.tiles, strips.row)
        sizes = self.sizes.get((key, timing_key(hw))) or self._first_sizes(members)
        if 2 * sum(sizes) >= len(strips) or not self.pays(strips, sum(sizes)):
            return time_tiled(hw, tiled)
        chosen = [
            np.sort(own[self._order(key, number, own.size)[:size]])
            for number, (own, size) in enumerate(zip(members, sizes, strict=True))
        ]
        drawn = self._simulate(hw, forecast.pe, strips, np.concatenate(chosen).tolist(), key)
        return _estimate(strips, predicted, members, chosen, drawn, forecast, key, self._number(key, "fill"))

    def _simulate(self, hw: Hardware, pe: PE[Any], strips: Strips, wanted: list[int], key: Key) -> Drawn:
        """Simulate those strips that are not simulated yet."""
        known = self.drawn.setdefault((key, timing_key(hw)), {})
        for strip in wanted:
            if strip not in known:
                part = strips.tiles_of(strip)
                timing = pe.run(part)
                known[strip] = values_of(timing), timing.tile_cycles
        return known

    def enlarge(self, hw: Hardware, sizes: Sizes) -> None:
        """Draw at least that many strips on a machine from now on."""
        for key, own in sizes.items():
            before = self.sizes.get((key, timing_key(hw)), own)
            self.sizes[key, timing_key(hw)] = tuple(map(max, before, own))

    def _first_sizes(self, members: list[NDArray[np.int64]]) -> tuple[int, ...]:
        strips = [own.size for own in members]
        return share_out(max(LEAST * STRATA, math.ceil(self.share * sum(strips))), strips)

    def _order(self, key: Key, stratum: int, size: int) -> NDArray[np.int64]:
        """A stratum's strips in the random order in which they are drawn."""
        return np.random.default_rng(self._number(key, stratum)).permutation(size)

    def _number(self, *what: object) -> int:
        """A number that depends on the seed and on what it is for."""
        return int.from_bytes(hashlib.blake2b(repr((self.seed, *what)).encode(), digest_size=16).digest(), "little")


def _estimate(
    strips: Strips,
    predicted: NDArray[np.float64],
    members: list[NDArray[np.int64]],
    chosen: list[NDArray[np.int64]],
    drawn: Drawn,
    forecast: Forecast,
    key: Key,
    seed: int,
) -> SampledTiming:
    """Estimate a GEMM's timing from the strips that were chosen of each stratum's members."""
    exact = forecast.known
    ascending = np.sort(np.concatenate(chosen))
    cycles = [drawn[strip][1] for strip in ascending.tolist()]
    predicted = refine(predicted, strips, ascending, np.array([own.sum() for own in cycles], np.float64))
    expected = strips.sums(predicted)
    values = [np.array([drawn[strip][0] for strip in own.tolist()]) for own in chosen]
    rest = _join_known(exact, values)
    strata = tuple(
        Stratum(own.size, float(expected[own].sum()), expected[some], done)
        for own, some, done in zip(members, chosen, values, strict=True)
    )
    totals = np.array([stratum.totals() for stratum in strata])
    filling = Imputation(strips.tiles, predicted, members, ascending, np.concatenate(cycles), totals[:, 0], seed)
    whole = filling.fill(0)
    counts = dict(zip(COUNTS, np.rint(totals.sum(axis=0)).astype(np.int64).tolist(), strict=True)) | dict(exact)
    tiled = strips.tiled
    lanes = tiled.rows * tiled.cols * forecast.pe.array.lanes
    return SampledTiming(
        tile_cycles=whole,
        tiles_per_row=tiled.tiles_per_row,
        slots=_slots(counts, lanes * int(whole.sum()), rest, exact),
        scan_windows=counts["scan_windows"],
        fifo_pushes=counts["fifo_pushes"],
        streamed_a=counts["streamed_a"],
        streamed_b=counts["streamed_b"],
        outputs=counts["outputs"],
        strata=strata,
        filling=filling,
        simulated_tiles=int(strips.tiles[ascending].sum()),
        key=key,
        cost_ns=strip_cost(strips),
        exact=forecast.exact,
    )


def _join_known(exact: Mapping[str, int], values: Sequence[Values]) -> str:
    """Take counts that are known out of what strips did; returns the kind of slots that they are joined with.

    Slots add up to all cycles, so if some are known, those of one other kind are what is left: the estimate of both,
    less those that are known. It is the kind with most, which this changes least.
    """
    sums = dict(zip(COUNTS, np.concatenate(values).sum(axis=0).tolist(), strict=True))
    rest = max((name for name in SLOTS if name not in exact), key=lambda name: sums[name])
    for own in values:
        for name in exact:
            if name in SLOTS:
                own[:, COUNTS.index(rest)] += own[:, COUNTS.index(name)]
            own[:, COUNTS.index(name)] = 0
    return rest


def _slots(counts: Mapping[str, int], every: int, rest: str, exact: Mapping[str, int]) -> Slots:
    """Make whole slots, none below 0, that add up to all: what is missing goes to `rest`, then to the other kinds."""
    slots = {name: counts[name] for name in SLOTS}
    for name in sorted(slots, key=lambda name: (name != rest, name in exact, -slots[name])):
        slots[name] = max(0, slots[name] + every - sum(slots.values()))
    return Slots(**slots)
