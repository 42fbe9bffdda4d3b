"""Draws strips of a GEMM's tiles, simulates them and estimates the whole GEMM's timing."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Callable, Hashable, Mapping, Sequence
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from accelsim.hardware.model import Hardware
from accelsim.lowering import MaskedGemm
from accelsim.sampling.allocate import Sizes
from accelsim.sampling.cost import saves_half, strip_cost
from accelsim.sampling.estimate import COUNTS, SLOTS, SampledTiming, Stratum, Values, values_of
from accelsim.sampling.impute import Imputation
from accelsim.sampling.known import known_counts
from accelsim.sampling.predict import predict_cycles, refine
from accelsim.sampling.strata import LEAST, STRATA, cut_strata, share_out
from accelsim.sampling.strips import Strips
from accelsim.timing import GemmTiming, Slots, pe_kind, time_gemm, timing_key
from accelsim.timing.dense import find_streams
from accelsim.timing.tensordash import scheduled_operand

Key = tuple[object, ...]
Drawn = dict[int, tuple[Values, NDArray[np.int64]]]


class Sampler:
    """Samples of all GEMMs of a trace; a larger one later goes on where a smaller one stopped.

    Args:
        share: of the tiles of each GEMM that `sizes` does not name.
        seed: of the draw. What is drawn of a GEMM depends on it and on the GEMM's key alone.
        pays: whether so many strips are worth drawing; if not, the GEMM is simulated whole.

    Attributes:
        sizes: strips to draw of each stratum of a GEMM, by key and machine.
        drawn: what was simulated so far, by key and machine: counts and tiles' cycles by strip. What a strip does has
            nothing to do with the seed, so samplers of the same trace may share it.
    """

    def __init__(self, share: float, seed: int, pays: Callable[[Strips, int], bool] = saves_half) -> None:
        self.share, self.seed, self.pays = share, seed, pays
        self.sizes: dict[tuple[Key, Hashable], tuple[int, ...]] = {}
        self.drawn: dict[tuple[Key, Hashable], Drawn] = {}

    def time(self, hw: Hardware, gemm: MaskedGemm, key: Key) -> GemmTiming:
        """Time a GEMM (rows in their final order), by a sample if that saves half of the work.

        Args:
            key: what tells the operation and pass from the trace's others.
        """
        key = (*key, gemm.group, gemm.phase)
        narrowed = _narrowed(hw, gemm)
        if self.share >= 1 or narrowed is None or gemm.k == 0:
            return time_gemm(hw, gemm)
        strips = Strips.of(hw, gemm)
        if len(strips) <= 2 * STRATA * LEAST or not self.pays(strips, STRATA * LEAST):
            return time_gemm(hw, gemm)
        streams = find_streams(hw, gemm, strips.schedule, _window_positions(hw))
        predicted = predict_cycles(narrowed, gemm, strips.schedule, streams)
        members = cut_strata(strips.sums(predicted), strips.tiles, strips.row)
        sizes = self.sizes.get((key, timing_key(hw))) or self._first_sizes(members)
        if 2 * sum(sizes) >= len(strips) or not self.pays(strips, sum(sizes)):
            return time_gemm(hw, gemm)
        chosen = [
            np.sort(own[self._order(key, number, own.size)[:size]])
            for number, (own, size) in enumerate(zip(members, sizes, strict=True))
        ]
        drawn = self._simulate(narrowed, strips, np.concatenate(chosen).tolist(), key)
        exact = known_counts(narrowed, gemm, strips.schedule, streams)
        return _estimate(strips, predicted, members, chosen, drawn, exact, key, self._number(key, "fill"))

    def _simulate(self, narrowed: Hardware, strips: Strips, wanted: list[int], key: Key) -> Drawn:
        """Simulate those strips that are not simulated yet."""
        known = self.drawn.setdefault((key, timing_key(strips.hw)), {})
        for strip in wanted:
            if strip not in known:
                timing = time_gemm(narrowed, strips.gemm_of(strip))
                known[strip] = values_of(timing), timing.tile_cycles
        return known

    def enlarge(self, hw: Hardware, sizes: Sizes) -> None:
        """Draw at least so many strips on a machine from now on."""
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


def _narrowed(hw: Hardware, gemm: MaskedGemm) -> Hardware | None:
    """The machine that treats a strip as `hw` treats the whole GEMM; None where there is nothing to sample.

    Systolic arrays, and dense PEs that compute all outputs, have closed forms. TensorDash chooses the operand that it
    schedules by the whole GEMM, so the strips are told; they cannot be if both operands are of one kind.
    """
    kind: Literal["a", "b"] | None
    match pe_kind(hw):
        case "scanning":
            return hw
        case "tensordash":
            kind = scheduled_operand(hw, gemm)
            if kind is None or gemm.a_kind == gemm.b_kind:
                return None
            tensors = (gemm.a_kind if kind == "a" else gemm.b_kind,)
            return hw.model_copy(update={"skipping": hw.skipping.model_copy(update={"tensors": tensors})})
        case "dense":
            return hw if gemm.needed is not None and hw.skipping.outputs else None
        case _:
            return None


def _window_positions(hw: Hardware) -> int:
    """K positions of the windows that are dropped whole: those of scanners and schedules, or the lanes of dense PEs."""
    return hw.array.lanes if pe_kind(hw) == "dense" else hw.skipping.window_positions


def _estimate(
    strips: Strips,
    predicted: NDArray[np.float64],
    members: list[NDArray[np.int64]],
    chosen: list[NDArray[np.int64]],
    drawn: Drawn,
    exact: Mapping[str, int],
    key: Key,
    seed: int,
) -> SampledTiming:
    """Estimate a GEMM's timing from the strips that were chosen of each stratum's members."""
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
    array = strips.hw.array
    return SampledTiming(
        tile_cycles=whole,
        tiles_per_row=strips.schedule.tiles_per_row,
        slots=_slots(counts, array.rows * array.cols * array.lanes * int(whole.sum()), rest, exact),
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
