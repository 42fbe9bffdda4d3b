"""Machines and their dense baselines working through the GEMMs of a pass; what several have in common is done once."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from itertools import chain

import numpy as np
from numpy.typing import NDArray

from accelsim.array import GemmTiming, Slots, TiledGemm, pe_of, timing_key
from accelsim.energy.account import Actions, account
from accelsim.energy.table import EnergyTable
from accelsim.hardware.model import Hardware
from accelsim.lowering import MaskedGemm
from accelsim.memory import Movement, Mover
from accelsim.memory.blocking import tell_blockings
from accelsim.memory.mappings import GivenCuts
from accelsim.memory.overlap import overlapped_cycles
from accelsim.memory.steps import Steps
from accelsim.results import PassAccount
from accelsim.sampling.spread import Ends, Samples

Timer = Callable[[Hardware, TiledGemm], GemmTiming]


class Fleet:
    """Machines, each with its dense baseline, sorted by what they share.

    Those that agree in array and skipping share the timing of a GEMM; those that agree in memory too share all but
    energy.

    Args:
        hardware: the machines.
        rivals: further machines to compare each with, beside its baseline; by default none.
        baselines: whether each has a baseline.

    Attributes:
        lines: each machine, its baseline if it has one, and its rivals.
        distinct: machines of all lines that differ in more than energy.
        numbers: each line's places in `distinct`.
        by_timing: places in `distinct` that share the timing of every GEMM.
    """

    def __init__(
        self, hardware: Sequence[Hardware], rivals: Sequence[Sequence[Hardware]] = (), *, baselines: bool = True
    ) -> None:
        beside = rivals or [()] * len(hardware)
        self.lines: list[tuple[Hardware, ...]] = [
            (hw, *([hw.dense()] if baselines else ()), *others) for hw, others in zip(hardware, beside, strict=True)
        ]
        known: dict[Hashable, int] = {}
        for hw in chain.from_iterable(self.lines):
            known.setdefault(_movement_key(hw), len(known))
        self.numbers = [tuple(known[_movement_key(hw)] for hw in line) for line in self.lines]
        found = dict(zip(chain.from_iterable(self.numbers), chain.from_iterable(self.lines), strict=True))
        self.distinct = [found[number] for number in range(len(known))]
        groups: dict[Hashable, list[int]] = {}
        for number, hw in enumerate(self.distinct):
            groups.setdefault(timing_key(hw), []).append(number)
        self.by_timing = list(groups.values())

    @property
    def stacks(self) -> bool:
        """Whether GEMMs may come stacked; several arrays are dealt the tiles of one GEMM after another."""
        return all(hw.array.count == 1 for hw in self.distinct)

    @property
    def joins_passes(self) -> bool:
        """Whether some machine's passes can only be accounted together, see `join_passes`."""
        return any(hw.memory.joins_passes for hw in self.distinct)


@dataclass(frozen=True)
class PassDetail:
    """What a machine did in one pass, in full.

    Attributes:
        actions: all that energy is charged for.
        steps: the macro-tile steps, in the order in which the arrays took them.
    """

    actions: Actions
    steps: Steps


class PassOfFleet:
    """One pass on all machines of a fleet.

    Args:
        timer: times a GEMM on a machine, exactly or by a sample.
        given: how the machines (not their baselines and rivals) are to cut the pass's GEMMs; None: it is searched.
    """

    def __init__(self, fleet: Fleet, timer: Timer, given: GivenCuts | None = None) -> None:
        self._fleet, self._timer = fleet, timer
        own = {line[0] for line in fleet.numbers}
        self._works = [_Work(hw, given if number in own else None) for number, hw in enumerate(fleet.distinct)]

    def add(self, gemm: MaskedGemm) -> None:
        """Run one GEMM, or several that are stacked (see `Fleet.stacks`)."""
        for numbers in self._fleet.by_timing:
            hw = self._fleet.distinct[numbers[0]]
            alike = hw.mapping.row_order == "natural" and hw.array.segments == 1  # or each GEMM is laid in its own way
            as_one = alike and pe_of(hw).takes_stacks
            for one in [gemm] if as_one else gemm.alone():
                tiled = TiledGemm.of(hw, one)
                timing = self._timer(hw, tiled)
                for number in numbers:
                    self._works[number].add(tiled, timing)

    def account(self, machine: int, table: EnergyTable) -> tuple[PassAccount, ...]:
        """Return what a machine, its baseline and its rivals did, when all GEMMs are in; machines count from 0."""
        line, numbers = self._fleet.lines[machine], self._fleet.numbers[machine]
        return tuple(self._works[number].account(table, hw) for hw, number in zip(line, numbers, strict=True))

    def cycles(self, machine: int) -> tuple[int, ...]:
        """Return the cycles of the same, memory included."""
        return tuple(self._works[number].movement.cycles for number in self._fleet.numbers[machine])

    def work(self, number: int) -> _Work:
        """Return what a machine of `Fleet.distinct` did."""
        return self._works[number]

    def detail(self, machine: int) -> PassDetail:
        """Return what a machine did in full, when all GEMMs are in."""
        work = self._works[self._fleet.numbers[machine][0]]
        return PassDetail(work.actions, work.mover.steps)


@dataclass
class _Work:
    """What machines that agree in timing and movement do in one pass; `hw` is any of them.

    Attributes:
        cycles: that the pass takes among others; None: it runs by itself.
    """

    hw: Hardware
    given: GivenCuts | None = None
    slots: Slots = field(default_factory=Slots)
    scan_windows: int = 0
    outputs: int = 0
    streamed_a: int = 0
    streamed_b: int = 0
    cycles: int | None = None

    def __post_init__(self) -> None:
        self._dataflows: dict[str, None] = {}  # in their order
        self.mover, self.samples = Mover(self.hw, self.given), Samples()

    def add(self, tiled: TiledGemm, timing: GemmTiming) -> None:
        first_step = self.mover.step_count
        self.samples.add(timing, self.mover.add(tiled, timing), first_step, timing.tile_cycles.size)
        self._dataflows[pe_of(self.hw).dataflow(tiled)] = None
        self.slots += timing.slots
        self.scan_windows += timing.scan_windows
        self.outputs += timing.outputs
        self.streamed_a += timing.streamed_a
        self.streamed_b += timing.streamed_b

    @cached_property
    def movement(self) -> Movement:
        """What memory did, once all GEMMs are in."""
        found = self.mover.movement(self.cycles)
        if self.ends is None:
            return found
        return replace(found, cycles=max(self.mover.array_cycles, round(float(self.ends.cycles.mean()))))

    @cached_property
    def ends(self) -> Ends | None:
        """Cycles with memory for several guesses at tiles that were not simulated."""
        return self.samples.cycles(self.hw, self.mover.steps)

    @cached_property
    def slopes(self) -> list[NDArray[np.float64]]:
        """How much of the errors of sampled cycles remains in cycles with memory, once all GEMMs are in."""
        return self.samples.slopes(self.hw, self.mover.steps)

    @cached_property
    def all_slots(self) -> Slots:
        """Where the slots of all cycles went, once all GEMMs are in."""
        array, waiting = self.hw.array, self.movement.cycles - self.mover.array_cycles
        lanes = array.rows * array.cols * array.lanes
        return self.slots + Slots(barrier=lanes * self.mover.unshared_cycles, memory=lanes * array.count * waiting)

    @cached_property
    def actions(self) -> Actions:
        """All that energy is charged for, once all GEMMs are in."""
        movement, slots = self.movement, self.all_slots
        return Actions(
            cycles=movement.cycles,
            macs_effectual=slots.effectual,
            macs_ineffectual=slots.ineffectual,
            idle_slots=slots.idle,
            running_slots=slots.effectual + slots.ineffectual + slots.sync + slots.starved,
            scan_windows=self.scan_windows,
            outputs=self.outputs,
            buffer_a_read_words=self.streamed_a,
            buffer_b_read_words=self.streamed_b,
            buffer_write_words=movement.buffered_elements,
            output_buffer_words=movement.partial_sums,
            global_buffer_words=movement.global_buffer_words,
            dram_read_bytes=movement.dram_read_bytes,
            dram_write_bytes=movement.dram_write_bytes,
        )

    def account(self, table: EnergyTable, hw: Hardware) -> PassAccount:
        movement = self.movement
        return PassAccount(
            cycles=movement.cycles,
            array_cycles=self.mover.array_cycles,
            working_cycles=int(self.mover.worked.sum()),
            slots=self.all_slots,
            dram_bytes=movement.dram_read_bytes + movement.dram_write_bytes,
            energy=account(table, hw, self.actions),
            actions=self.actions,
            spread=self.samples.spread(hw, table, self.slopes, self.ends),
            mapping=tell_blockings(self.mover.cuts),
            dataflow=", ".join(self._dataflows),
        )


def join_passes(fleet: Fleet, passes: Sequence[PassOfFleet]) -> None:
    """Run passes, in this order, as one pipeline on those machines that do so (`memory.overlap`), all others alone."""
    for number, hw in enumerate(fleet.distinct):
        if hw.memory.joins_passes and hw.memory.dram is not None:
            works = [one.work(number) for one in passes]
            for work, cycles in zip(
                works, overlapped_cycles(hw.memory.dram, [work.mover.steps for work in works]), strict=True
            ):
                work.cycles = cycles


def _movement_key(hw: Hardware) -> Hashable:
    """All that a pass's cycles, bytes and slots depend on."""
    precision = hw.precision
    return (
        timing_key(hw),
        hw.array.count,
        precision.operand_bits,
        precision.accumulator_bits,
        hw.memory,
        hw.mapping,
    )
