"""One operation on all machines of a fleet: each of its passes lowered once, run by all, and accounted."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial

from accelsim.array import time_tiled
from accelsim.energy.table import EnergyTable
from accelsim.errors import AccelsimError
from accelsim.fleet import Fleet, PassDetail, PassOfFleet, Timer, join_passes
from accelsim.hardware.model import Hardware
from accelsim.lowering import PASSES, Lowering, MaskedGemm, Pass, passes_of
from accelsim.memory.mappings import GivenCuts, Mappings
from accelsim.results import PassResult
from accelsim.sampling import Sampler
from accelsim.trace import OpTrace


@dataclass(frozen=True)
class ReplayedPass:
    """One pass of one operation on all machines, in their order.

    Attributes:
        details: none unless somebody asked.
    """

    results: tuple[PassResult, ...]
    details: tuple[PassDetail, ...] = ()


@dataclass(frozen=True)
class RanPass:
    """One pass of one operation that has run on all machines and is not accounted yet; it holds no mask.

    Attributes:
        describe: makes its row, given what each machine did.
    """

    which: Pass
    running: PassOfFleet
    describe: partial[PassResult]


@dataclass(frozen=True)
class Replay:
    """Runs operations.

    Attributes:
        fleet: the machines.
        tables: an energy table for each.
        passes: those that are wanted.
        sampler: draws tiles; None runs all.
        mappings: cuts that were chosen beforehand.
    """

    fleet: Fleet
    tables: Sequence[EnergyTable]
    passes: tuple[Pass, ...] = PASSES
    sampler: Sampler | None = None
    mappings: Mappings | None = None

    def operation(
        self, op: OpTrace, number: int = 0, file: int = 0, detailed: bool = False
    ) -> tuple[ReplayedPass, ...]:
        """Run those wanted passes of an operation that it ran.

        Args:
            number: the operation's place in the trace, which a sample is drawn by.
            file: position of its trace file.
            detailed: whether to return details.
        """
        return tuple(self.account(ran, detailed) for ran in self.run(op, number, file))

    def run(self, op: OpTrace, number: int = 0, file: int = 0) -> Iterator[RanPass]:
        """Run the same passes one by one, without accounting them."""
        lowering = Lowering(op)
        return (self.run_pass(lowering, which, number, file) for which in passes_of(op) if which in self.passes)

    def step(self, ran: Sequence[Sequence[RanPass]], detailed: bool = False) -> list[tuple[ReplayedPass, ...]]:
        """Account the passes of a training step's operations, which follow one another as `execution_order` says."""
        join_passes(self.fleet, [one.running for one in execution_order(ran)])
        return [tuple(self.account(one, detailed) for one in passes) for passes in ran]

    def run_pass(self, lowering: Lowering, which: Pass, number: int = 0, file: int = 0) -> RanPass:
        """Run one pass; small GEMMs of several groups together, where machines and sampling allow it.

        Raises:
            ValueError: the operation did not run this pass.
        """
        timer: Timer = time_tiled if self.sampler is None else partial(self.sampler.time, key=(number, which))
        op = lowering.op
        cuts = () if self.mappings is None else self.mappings.of(op.name, which, op.step, op.call)
        running = PassOfFleet(self.fleet, timer, GivenCuts(cuts, op.groups) if cuts else None)
        largest: MaskedGemm | None = None
        macs = effectual_macs = 0
        for gemm in lowering.gemms(which, self.sampler is None and self.fleet.stacks):
            try:
                running.add(gemm)
            except AccelsimError as error:
                raise AccelsimError(f"layer {op.name!r}, {which}: {error}") from None
            macs += gemm.macs
            effectual_macs += gemm.effectual_macs
            largest = gemm if largest is None or gemm.macs // gemm.stack > largest.macs // largest.stack else largest
        describe = partial(
            PassResult,
            step=op.step,
            layer=op.name,
            call=op.call,
            trace=file,
            which=which,
            kind=op.kind,
            branch="recomputed" if op.recomputed else "online" if len(passes_of(op)) > 1 else "forward_only",
            groups=op.groups,
            images=op.masks["input"].shape[0],
            m=largest.m if largest else 0,
            n=largest.n if largest else 0,
            k=largest.k if largest else 0,
            macs=macs,
            effectual_macs=effectual_macs,
        )
        return RanPass(which, running, describe)

    def account(self, ran: RanPass, detailed: bool = False) -> ReplayedPass:
        """Say what all machines did in a pass."""
        results = []
        for machine, table in enumerate(self.tables):
            own, dense, *rivals = ran.running.account(machine, table)
            results.append(ran.describe(machine=own, dense=dense, rivals=tuple(rivals)))
        details = tuple(ran.running.detail(machine) for machine in range(len(self.tables))) if detailed else ()
        return ReplayedPass(tuple(results), details)


def execution_order(ran: Sequence[Sequence[RanPass]]) -> list[RanPass]:
    """Return the passes of a training step's operations as they run, given in the order of their forward passes.

    First come all forward passes, also those that activation checkpointing ran again; then, from the last operation to
    the first, `input_grad` and `weight_grad` of each.
    """
    forward = [one for passes in ran for one in passes if one.which == "forward"]
    backward = [one for passes in reversed(ran) for one in passes if one.which != "forward"]
    return forward + backward


def replay_pass(hw: Hardware, prices: EnergyTable, op: OpTrace, which: Pass) -> PassResult:
    """Run one pass of one operation on a machine and on its dense baseline.

    Raises:
        ValueError: the operation did not run this pass.
    """
    replay = Replay(Fleet([hw]), [prices])
    return replay.account(replay.run_pass(Lowering(op), which)).results[0]
