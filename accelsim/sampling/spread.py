"""From the spread between strips to the variances of a pass: of cycles with memory and of energy.

Cycles with memory are not a sum over tiles but the end of a recurrence. How much of a stratum's error arrives there is
its slope: the recurrence is run with the stratum's cycles a little longer and a little shorter, by two standard errors
or half a per cent. Energy is a sum over tiles plus something for each cycle with memory; so every quantity becomes a
weighted sum of a strip's counts, whose variance is that of any total. What the choice of donors adds, where tiles were
not simulated, is the variance between several fillings and an allowance for what all of them may get wrong.

Slots have no variance: most kinds of them occur in few strips, whose absence from a sample does not show in it.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields, replace

import numpy as np
from numpy.typing import NDArray

from accelsim.energy.account import Actions, account
from accelsim.energy.table import EnergyTable
from accelsim.hardware.model import Hardware
from accelsim.memory.recurrence import pass_cycles
from accelsim.memory.steps import Cut, Steps
from accelsim.sampling.estimate import CONFIDENCE, COUNTS, SampledTiming, Values, Variance
from accelsim.sampling.impute import FILLINGS
from accelsim.sampling.student import t_quantile

QUANTITIES = ("cycles", "array_cycles", "energy_pj")
_KURTOSIS = 3.0  # of what strips do, in excess of normal: assumed
_WHOLE = 1.0  # cycle
_UNLIKE = 0.05  # of its cycles, that a strip unlike all that were drawn is off by
_MISPLACED, _WAITS = 0.15, 0.04  # allowances, see `Samples._of_memory`
_LEAST_NUDGE = 0.005  # of a stratum's cycles: what rounding to whole cycles does not drown
_AT = {name: index for index, name in enumerate(COUNTS)}


@dataclass(frozen=True)
class Ends:
    """A pass with memory, for several fillings of the tiles that were not simulated.

    Attributes:
        cycles: float64 [fillings].
        array, memory: cycles of either without the other.
        moved: how far steps differ between fillings, standard deviations added up, cycles.
    """

    cycles: Values
    array: float
    memory: float
    moved: float


@dataclass(frozen=True)
class Weight:
    """A stratum's part in the variance of cycles, for deciding how many strips to draw.

    Attributes:
        key, number: the GEMM, and which of its strata.
        strips, drawn: of the stratum.
        deviation: of cycles, between strips, times the stratum's slope.
        cost_ns: of simulating a strip, about.
    """

    key: tuple[object, ...]
    number: int
    strips: int
    drawn: int
    deviation: float
    cost_ns: float


@dataclass(frozen=True)
class Spread:
    """How far a pass's numbers may be off.

    Attributes:
        tiles, simulated: tiles of all GEMMs, and how many of them were simulated.
        variances: by quantity (QUANTITIES); none of those that are exact.
        weights: of the strata that were sampled.
    """

    tiles: int
    simulated: int
    variances: Mapping[str, Variance]
    weights: tuple[Weight, ...] = ()


def combine(spreads: Sequence[Spread]) -> dict[str, Variance]:
    """Add up the variances of independent passes, by quantity."""
    totals = dict.fromkeys(QUANTITIES, Variance())
    for spread in spreads:
        for name, variance in spread.variances.items():
            totals[name] += variance
    return totals


class Samples:
    """The sampled GEMMs of a pass on one machine, in the order of their steps."""

    def __init__(self) -> None:
        self.tiles = self.simulated = 0
        self._parts: list[tuple[SampledTiming, Cut, int]] = []

    def add(self, timing: object, cut: Cut, first_step: int, tiles: int) -> None:
        """Note a GEMM, sampled or not, and where its steps begin."""
        self.tiles += tiles
        if isinstance(timing, SampledTiming):
            self._parts.append((timing, cut, first_step))
            self.simulated += timing.simulated_tiles
        else:
            self.simulated += tiles

    def cycles(self, hw: Hardware, steps: Steps) -> Ends | None:
        """Cycles with memory for several fillings of the tiles that were not simulated; None if there are none."""
        if not self._parts or hw.memory.dram is None:
            return None
        ends, works = [], []
        for number in range(1, FILLINGS + 1):
            work = steps.array_cycles.copy()
            for timing, cut, first in self._parts:
                own = cut.work(timing.filling.fill(number))
                work[first : first + len(own)] = own
            works.append(work)
            ends.append(pass_cycles(hw.memory.dram, replace(steps, array_cycles=work)))
        moved = float(np.std(works, axis=0).max(axis=1).sum())
        array = float(steps.array_cycles.sum(axis=0).max())
        bandwidth = hw.memory.dram.bytes_per_cycle
        moved_bytes = (steps.load_bytes, steps.store_bytes, steps.return_bytes)
        memory = float(sum(np.ceil(part / bandwidth).sum() for part in moved_bytes))
        return Ends(np.array(ends, np.float64), array, memory, moved)

    def slopes(self, hw: Hardware, steps: Steps) -> list[Values]:
        """How much longer the pass takes for each cycle more of a stratum; by GEMM, float64 [strata]."""
        return [_slopes(hw, steps, timing, cut, first) for timing, cut, first in self._parts]

    def spread(self, hw: Hardware, table: EnergyTable, slopes: Sequence[Values], ends: Ends | None) -> Spread:
        """Return the variances of a pass.

        Args:
            slopes: what `slopes` returned.
            ends: what `cycles` returned. The mean of I fillings is off by 1 + 1 / I of the variance between them.
        """
        totals: dict[str, Variance] = {}
        if ends is not None:
            between = float(ends.cycles.var(ddof=1)) * (1 + 1 / ends.cycles.size)
            more = Variance(between, between**2 / (ends.cycles.size - 1)) + self._of_memory(hw, slopes, ends)
            totals = {name: more.scaled(factor) for name, factor in _per_cycle(hw, table, 1.0).items()}
        found = []
        for (timing, _, _), own in zip(self._parts, slopes, strict=True):
            unseen = _unseen(timing)
            factors = {"array_cycles": 1 / hw.array.count} | _per_cycle(hw, table, float(own.max()))
            for name, factor in factors.items():
                totals[name] = totals.get(name, Variance()) + unseen.scaled(factor)
            for number, (stratum, slope) in enumerate(zip(timing.strata, own.tolist(), strict=True)):
                weights, freedom = _weights(hw, table, slope), _freedom(len(stratum.sizes))
                for name, value in zip(QUANTITIES, stratum.variances(weights).tolist(), strict=True):
                    squares = value**2 / freedom
                    totals[name] = totals.get(name, Variance()) + Variance(value, squares)
                deviation = float(stratum.spread(weights[:1])[0])
                drawn = len(stratum.sizes)
                found.append(Weight(timing.key, number, stratum.strips, drawn, deviation, timing.cost_ns))
        if hw.idealised:
            totals.pop("energy_pj", None)
        return Spread(self.tiles, self.simulated, totals, tuple(found))

    def _of_memory(self, hw: Hardware, slopes: Sequence[Values], ends: Ends) -> Variance:
        """What tiles that were not simulated may add to cycles with memory, in addition to the spread between fillings.

        - Where array and memory wait for each other, it matters which steps are long. All fillings may get the same
          steps wrong: by a share of how far the fillings' steps differ, or of what either waits for the other if that
          is less. Both shares are chosen by experiment, not derived (experiments/sampling_coverage).
        - Where memory decides, what is left to do when the last data have come is on top: no more than two steps'
          work, as uncertain as a strip's.
        - Fillings are rounded to whole cycles.
        """
        strata = [stratum for timing, _, _ in self._parts for stratum in timing.strata]
        cycles, slope = np.eye(1, len(COUNTS)), np.concatenate(slopes) * hw.array.count
        totals = np.array([stratum.totals()[0] for stratum in strata])
        if not totals.any():
            return Variance()
        mean = min(1.0, max(0.0, float(slope @ totals / totals.sum())))
        waits = (ends.cycles.mean() - ends.array, ends.cycles.mean() - ends.memory)
        bias = max(0.0, min(_MISPLACED * ends.moved, *(_WAITS * wait for wait in waits)))
        timing, cut, _ = self._parts[-1]
        per_strip = [(float(s.spread(cycles)[0]) * s.strips / t) for s, t in zip(strata, totals, strict=True) if t]
        last = float(cut.work(timing.tile_cycles)[-hw.memory.filled_from_dram.halves :].max(axis=1).sum()) * (1 - mean)
        return Variance(_WHOLE**2 + bias**2 + last**2 * float(np.mean(np.square(per_strip))))


def _unseen(timing: SampledTiming) -> Variance:
    """What strips that are unlike all that were drawn may add to the cycles of all tiles.

    Where n strips agree, up to 3 / n of the others may not, 95 % sure (the rule of three: Hanley and Lippman-Hand,
    JAMA 249, 1983). They are taken to be off by a cycle for each tile, or by 5 % if that is more, which is how far
    predictions that count as equal may differ.
    """
    if timing.exact:
        return Variance()
    drawn = sum(len(stratum.sizes) for stratum in timing.strata)
    half_width = 3 / drawn * max(timing.tile_cycles.size, _UNLIKE * timing.cycles)
    return Variance((half_width / t_quantile(CONFIDENCE, math.inf)) ** 2)


def _freedom(drawn: int) -> float:
    """Degrees of freedom of a variance between strips: n - 1 of normal ones, fewer where some are far off.

    The variance of a sample variance is s⁴ (2 / (n - 1) + κ / n) with the excess kurtosis κ (Cochran, Sampling
    Techniques, 1977, section 2.15).
    """
    return 1 / (1 / (drawn - 1) + _KURTOSIS / (2 * drawn))


def _slopes(hw: Hardware, steps: Steps, timing: SampledTiming, cut: Cut, first_step: int) -> Values:
    share = 1 / hw.array.count
    if hw.memory.dram is None:
        return np.full(len(timing.strata), share)
    cycles = np.zeros((1, len(COUNTS)))
    cycles[0, 0] = 1
    slopes = []
    for number, stratum in enumerate(timing.strata):
        total = float(stratum.totals()[0])
        if not total:
            slopes.append(share)
            continue
        nudge = max(_LEAST_NUDGE, 2 * float(np.sqrt(stratum.variances(cycles)[0])) / total)
        work = cut.work(np.where(timing.filling.stratum_of_tile == number, timing.tile_cycles, 0))
        ends = [pass_cycles(hw.memory.dram, _nudged(steps, first_step, work, way * nudge)) for way in (1, -1)]
        slopes.append((ends[0] - ends[1]) / (2 * nudge * total))
    return np.array(slopes)


def _nudged(steps: Steps, first_step: int, work: NDArray[np.int64], share: float) -> Steps:
    """Lengthen some steps by a share of some work; fractions of a cycle are carried on to the next step."""
    cycles = steps.array_cycles.copy()
    own = slice(first_step, first_step + len(work))
    ends = np.rint(np.cumsum(share * work, axis=0)).astype(np.int64)
    cycles[own] = np.maximum(0, cycles[own] + np.diff(ends, axis=0, prepend=np.zeros((1, work.shape[1]), np.int64)))
    return replace(steps, array_cycles=cycles)


def _weights(hw: Hardware, table: EnergyTable, slope: float) -> Values:
    """What a strip's counts weigh in each quantity: float64 [QUANTITIES, COUNTS]."""
    array = hw.array
    cycles = slope * _unit("cycles")
    slots = array.rows * array.cols * array.lanes * array.count * cycles
    actions = {
        "cycles": cycles,
        "macs_effectual": _unit("effectual"),
        "macs_ineffectual": _unit("ineffectual"),
        "idle_slots": slots - _unit("effectual") - _unit("ineffectual"),
        "scan_windows": _unit("scan_windows"),
        "running_slots": sum(_unit(name) for name in ("effectual", "ineffectual", "sync", "starved")),
        "outputs": _unit("outputs"),
        "buffer_a_read_words": _unit("streamed_a"),
        "buffer_b_read_words": _unit("streamed_b"),
    }
    prices = _prices(hw, table)
    energy_pj = np.asarray(sum(prices[name] * counts for name, counts in actions.items()))
    return np.array([cycles, _unit("cycles") / array.count, energy_pj])


def _per_cycle(hw: Hardware, table: EnergyTable, slope: float) -> dict[str, float]:
    """What one more cycle in which nothing is consumed adds to each quantity, if the pass takes `slope` cycles more."""
    array, prices = hw.array, _prices(hw, table)
    slots = array.rows * array.cols * array.lanes * array.count
    return {"cycles": slope, "energy_pj": slope * (prices["cycles"] + prices["idle_slots"] * slots)}


def _unit(name: str) -> Values:
    unit = np.zeros(len(COUNTS))
    unit[_AT[name]] = 1
    return unit


def _prices(hw: Hardware, table: EnergyTable) -> dict[str, float]:
    """Energy of one action of each kind, pJ: energies are sums over actions."""
    return {part.name: account(table, hw, Actions(**{part.name: 1})).total_pj for part in fields(Actions)}
