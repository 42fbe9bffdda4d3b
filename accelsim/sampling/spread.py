"""From the spread between strips to the variances of a pass: of cycles with memory, of slots, of energy.

Cycles with memory are not a sum over tiles but the end of a recurrence. How much of a stratum's error arrives there is
its slope: the recurrence is run with the stratum's cycles a little longer and a little shorter, by two standard errors
or half a per cent. Slots and energy are sums over tiles plus something for each cycle with memory; so every quantity
becomes a weighted sum of a strip's counts, whose variance is that of any total. What the choice of donors adds, where
tiles were not simulated, is the variance between several fillings.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields, replace

import numpy as np
from numpy.typing import NDArray

from accelsim.energy.account import Actions, account
from accelsim.energy.table import EnergyTable
from accelsim.hardware.model import Hardware
from accelsim.memory.recurrence import pass_cycles
from accelsim.memory.steps import Cut, Steps
from accelsim.sampling.estimate import COUNTS, SLOTS, SampledTiming, Values, Variance
from accelsim.sampling.impute import FILLINGS

QUANTITIES = ("cycles", "array_cycles", "energy_pj", *(f"slots_{name}" for name in SLOTS))
_AHEAD = 2  # steps that are loaded ahead
_LEAST_NUDGE = 0.005  # of a stratum's cycles: what rounding to whole cycles does not drown
_AT = {name: index for index, name in enumerate(COUNTS)}


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
            self.simulated += round(sum(float(stratum.sizes.sum()) for stratum in timing.strata))
        else:
            self.simulated += tiles

    def cycles(self, hw: Hardware, steps: Steps) -> Values | None:
        """Cycles with memory for several fillings of the tiles that were not simulated; None if there are none."""
        if not self._parts or hw.memory.dram is None:
            return None
        ends = []
        for number in range(1, FILLINGS + 1):
            work = steps.array_cycles.copy()
            for timing, cut, first in self._parts:
                own = cut.work(timing.filling.fill(number))
                work[first : first + len(own)] = own
            ends.append(pass_cycles(hw.memory.dram, replace(steps, array_cycles=work)))
        return np.array(ends, np.float64)

    def slopes(self, hw: Hardware, steps: Steps) -> list[Values]:
        """How much longer the pass takes for each cycle more of a stratum; by GEMM, float64 [strata]."""
        return [_slopes(hw, steps, timing, cut, first) for timing, cut, first in self._parts]

    def spread(self, hw: Hardware, table: EnergyTable, slopes: Sequence[Values], ends: Values | None) -> Spread:
        """Return the variances of a pass.

        Args:
            slopes: what `slopes` returned.
            ends: what `cycles` returned. The mean of I fillings is off by 1 + 1 / I of the variance between them.
        """
        totals: dict[str, Variance] = {}
        if ends is not None:
            between = float(ends.var(ddof=1)) * (1 + 1 / ends.size)
            more = Variance(between, between**2 / (ends.size - 1)) + self._after_the_last_load(hw, slopes)
            totals = {name: more.scaled(factor) for name, factor in _per_cycle(hw, table).items()}
        found = []
        for (timing, _, _), own in zip(self._parts, slopes, strict=True):
            for number, (stratum, slope) in enumerate(zip(timing.strata, own.tolist(), strict=True)):
                weights = _weights(hw, table, slope)
                for name, value in zip(QUANTITIES, stratum.variances(weights).tolist(), strict=True):
                    squares = value**2 / (len(stratum.sizes) - 1)
                    totals[name] = totals.get(name, Variance()) + Variance(value, squares)
                deviation = float(stratum.spread(weights[:1])[0])
                drawn = len(stratum.sizes)
                found.append(Weight(timing.key, number, stratum.strips, drawn, deviation, timing.cost_ns))
        if hw.idealised:
            totals.pop("energy_pj", None)
        return Spread(self.tiles, self.simulated, totals, tuple(found))

    def _after_the_last_load(self, hw: Hardware, slopes: Sequence[Values]) -> Variance:
        """What is left to do when the last data have come is on top, also of a pass that waits for memory.

        It is no more than two steps' work, as uncertain as a strip; where the array decides it is in the total already.
        """
        timing, cut, _ = self._parts[-1]
        stratum, slope = timing.strata[-1], min(1.0, float(slopes[-1][-1]) * hw.array.count)
        cycles = np.eye(1, len(COUNTS))
        mean = float(stratum.totals()[0]) / stratum.strips
        if not mean:
            return Variance()
        last = float(cut.work(timing.tile_cycles)[-_AHEAD:].max(axis=1).sum())
        value = ((1 - slope) * last * float(stratum.spread(cycles)[0]) / mean) ** 2
        return Variance(value, value**2 / (len(stratum.sizes) - 1))


def _slopes(hw: Hardware, steps: Steps, timing: SampledTiming, cut: Cut, first_step: int) -> Values:
    share = 1 / hw.array.count
    if hw.memory.dram is None:
        return np.full(len(timing.strata), share)
    cycles = np.zeros((1, len(COUNTS)))
    cycles[0, 0] = 1
    slopes = []
    for stratum in timing.strata:
        total = float(stratum.totals()[0])
        if not total:
            slopes.append(share)
            continue
        nudge = max(_LEAST_NUDGE, 2 * float(np.sqrt(stratum.variances(cycles)[0])) / total)
        own = np.zeros_like(timing.tile_cycles)
        own[stratum.first : stratum.stop] = timing.tile_cycles[stratum.first : stratum.stop]
        work = cut.work(own)
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
    """What a strip's counts weigh in each quantity: float64 [QUANTITIES, COUNTS].

    Slots that wait for memory are those of all cycles less the others.
    """
    array, bits = hw.array, hw.precision.operand_bits
    rows = {name: np.zeros(len(COUNTS)) for name in QUANTITIES}
    rows["cycles"][0], rows["array_cycles"][0] = slope, 1 / array.count
    every = array.rows * array.cols * array.lanes * array.count * rows["cycles"]
    waiting = every.copy()
    for name in SLOTS:
        if name != "memory":
            rows[f"slots_{name}"][_AT[name]] = 1
            waiting[_AT[name]] -= 1
    rows["slots_memory"] = waiting
    consumed = rows["slots_effectual"] + rows["slots_ineffectual"]
    actions = {
        "cycles": rows["cycles"],
        "macs_effectual": rows["slots_effectual"],
        "macs_ineffectual": rows["slots_ineffectual"],
        "idle_slots": every - consumed,
        "scan_windows": _unit("scan_windows"),
        "fifo_pushes": _unit("fifo_pushes"),
        "buffer_a_read_bits": bits * _unit("streamed_a"),
        "buffer_b_read_bits": bits * _unit("streamed_b"),
    }
    prices = _prices(hw, table)
    rows["energy_pj"] = np.asarray(sum(prices[name] * counts for name, counts in actions.items()))
    return np.array([rows[name] for name in QUANTITIES])


def _per_cycle(hw: Hardware, table: EnergyTable) -> dict[str, float]:
    """What one more cycle of waiting for memory adds to each quantity."""
    array, prices = hw.array, _prices(hw, table)
    every = array.rows * array.cols * array.lanes * array.count
    return {"cycles": 1, "slots_memory": every, "energy_pj": prices["cycles"] + prices["idle_slots"] * every}


def _unit(name: str) -> Values:
    unit = np.zeros(len(COUNTS))
    unit[_AT[name]] = 1
    return unit


def _prices(hw: Hardware, table: EnergyTable) -> dict[str, float]:
    """Energy of one action of each kind, pJ: energies are sums over actions."""
    return {part.name: account(table, hw, Actions(**{part.name: 1})).total_pj for part in fields(Actions)}
