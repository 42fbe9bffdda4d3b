"""The pipeline in one screen: for each operation and pass, lower → time → move → account."""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from itertools import repeat
from typing import Any, Literal

import pandas as pd

from accelsim.energy.account import Actions, account
from accelsim.energy.load import load_table
from accelsim.energy.mask_update import mask_update, mask_update_energy
from accelsim.energy.table import EnergyTable
from accelsim.energy.vector_work import vector_energy
from accelsim.energy.vector_work import vector_work as estimate_vector_work
from accelsim.errors import AccelsimError
from accelsim.hardware.model import Hardware
from accelsim.lowering import PASSES, MaskedGemm, Pass, lower, passes_of
from accelsim.memory import Mover
from accelsim.results import MachineRun, PassResult, Result, WholeRun, find_run, mask_update_table
from accelsim.timing import GemmTiming, Slots, order_rows, time_gemm
from accelsim.trace import OpTrace, TraceChain, TraceReader, open_trace

Trace = str | os.PathLike[str] | TraceReader | Iterable[OpTrace]


def simulate(
    hw: Hardware,
    trace: Trace,
    *,
    passes: Iterable[Pass] = PASSES,
    vector_work: bool = False,
    run_steps: int | None = None,
    workers: int | None = None,
    on_operation: Callable[[], None] = lambda: None,
) -> Result:
    """Replay a trace on a machine.

    Args:
        hw: the machine; its baseline is the same machine without skipping and compression.
        trace: a trace file's path, an open reader (`open_trace(path).select(...)` replays a part; `open_traces(paths)`
            several files), or operations.
        passes: the passes to replay.
        vector_work: also estimate the work between the convolutions (batch norm, ReLU, optimiser).
        run_steps: the training's number of optimiser steps, for a trace that does not say it, or where the training
            went on when the tracer was gone; `Result.training` is about all of them.
        workers: operations simulated side by side; by default one a processor core. No more are in memory at once.
        on_operation: called after each operation, for progress bars.

    Raises:
        AccelsimError: the trace cannot be read, holds no operation of these passes or more than `run_steps` steps, or
            does not fit the machine.
    """
    reader = open_trace(trace) if isinstance(trace, str | os.PathLike) else trace
    wanted = tuple(which for which in PASSES if which in set(passes))
    whole_run = _whole_run(reader, run_steps, wanted == PASSES)
    table = load_table(hw.energy)

    def run(op: OpTrace) -> list[PassResult]:
        ran = [which for which in passes_of(op) if which in wanted]
        return [simulate_pass(hw, table, op, which, with_vector_work=vector_work) for which in ran]

    rows: list[PassResult] = []
    files = reader.files if isinstance(reader, TraceChain) else repeat(0)
    for results, file in zip(_in_order(run, reader, workers or os.cpu_count() or 1), files, strict=False):
        rows += [replace(result, trace=file) for result in results]
        on_operation()
    if not rows:
        raise AccelsimError(f"the trace holds no operation of {', '.join(wanted) or 'no pass'}; nothing to simulate")
    updates = _mask_updates(hw, table, whole_run)
    return Result.from_rows(rows, hw, _provenance(reader), vector_work, whole_run, updates)


def simulate_pass(
    hw: Hardware, table: EnergyTable, op: OpTrace, which: Pass, *, with_vector_work: bool = False
) -> PassResult:
    """Run one pass of one operation on a machine and on its dense baseline."""
    machine, dense = _Machine(hw), _Machine(hw.dense())
    largest: MaskedGemm | None = None
    macs = effectual_macs = 0
    for gemm in lower(op, which):
        machine.run(gemm)
        if dense.hw != hw:
            dense.run(gemm)
        macs += gemm.macs
        effectual_macs += gemm.effectual_macs
        largest = gemm if largest is None or gemm.macs > largest.macs else largest
    run = machine.account(table)
    vector_cycles, vector_energy_pj = _vector(hw, table, op, which) if with_vector_work else (0, 0.0)
    return PassResult(
        step=op.step,
        layer=op.name,
        call=op.call,
        which=which,
        kind=op.kind,
        branch="recomputed" if op.recomputed else "online" if len(passes_of(op)) > 1 else "forward_only",
        groups=op.groups,
        m=largest.m if largest else 0,
        n=largest.n if largest else 0,
        k=largest.k if largest else 0,
        macs=macs,
        effectual_macs=effectual_macs,
        run=run,
        dense=dense.account(table) if dense.hw != hw else run,
        vector_cycles=vector_cycles,
        vector_energy_pj=vector_energy_pj,
    )


@dataclass
class _Machine:
    """One machine working through the GEMMs of one pass."""

    hw: Hardware
    slots: Slots = field(default_factory=Slots)
    scan_windows: int = 0
    fifo_pushes: int = 0
    streamed_a: int = 0
    streamed_b: int = 0

    def __post_init__(self) -> None:
        self.mover = Mover(self.hw)

    def run(self, gemm: MaskedGemm) -> None:
        gemm = order_rows(self.hw, gemm)
        timing: GemmTiming = time_gemm(self.hw, gemm)
        self.mover.add(gemm, timing)
        self.slots += timing.slots
        self.scan_windows += timing.scan_windows
        self.fifo_pushes += timing.fifo_pushes
        self.streamed_a += timing.streamed_a
        self.streamed_b += timing.streamed_b

    def account(self, table: EnergyTable) -> MachineRun:
        array, bits = self.hw.array, self.hw.precision.operand_bits
        movement = self.mover.movement()
        waiting = movement.cycles - self.mover.array_cycles
        lanes = array.rows * array.cols * array.lanes
        slots = self.slots + Slots(barrier=lanes * self.mover.unshared_cycles, memory=lanes * array.count * waiting)
        actions = Actions(
            cycles=movement.cycles,
            macs_effectual=slots.effectual,
            macs_ineffectual=slots.ineffectual,
            idle_slots=slots.idle,
            scan_windows=self.scan_windows,
            fifo_pushes=self.fifo_pushes,
            buffer_a_read_bits=self.streamed_a * bits,
            buffer_b_read_bits=self.streamed_b * bits,
            buffer_write_bits=movement.buffered_elements * bits,
            output_buffer_bits=2 * movement.partial_sums * self.hw.precision.accumulator_bits,
            dram_read_bytes=movement.dram_read_bytes,
            dram_write_bytes=movement.dram_write_bytes,
        )
        return MachineRun(
            cycles=movement.cycles,
            array_cycles=self.mover.array_cycles,
            slots=slots,
            dram_bytes=movement.dram_read_bytes + movement.dram_write_bytes,
            energy=account(table, self.hw, actions),
        )


def _vector(hw: Hardware, table: EnergyTable, op: OpTrace, which: Pass) -> tuple[int, float]:
    """Cycles and energy of the vector work that goes with a pass.

    Batch norm and ReLU run backward with the first gradient of the operation that was computed; the optimiser runs once
    a step, with the weight gradient of a layer's first call.
    """
    stages: list[Literal["forward", "backward", "update"]] = []
    if which == "forward":
        stages.append("forward")
    elif which == passes_of(op)[1]:
        stages.append("backward")
    if which == "weight_grad" and op.call == 0:
        stages.append("update")
    n, c, p, q = op.output_shape
    work = [estimate_vector_work(hw, n * c * p * q, op.masks["weight"].size, stage) for stage in stages]
    return sum(part.cycles for part in work), sum(vector_energy(table, hw, part).total_pj for part in work)


def _in_order(
    run: Callable[[OpTrace], list[PassResult]], operations: Iterable[OpTrace], workers: int
) -> Iterator[list[PassResult]]:
    """Run operations side by side, results in their order; the kernels release the interpreter's lock."""
    if workers == 1:
        yield from map(run, operations)
        return
    with ThreadPoolExecutor(workers) as pool:
        pending: deque[Future[list[PassResult]]] = deque()
        try:
            for op in operations:
                pending.append(pool.submit(run, op))
                if len(pending) > workers:
                    yield pending.popleft().result()
            while pending:
                yield pending.popleft().result()
        finally:
            for future in pending:
                future.cancel()


def _whole_run(
    trace: TraceReader | TraceChain | Iterable[OpTrace], run_steps: int | None, all_passes: bool
) -> WholeRun:
    if isinstance(trace, TraceReader | TraceChain):
        return find_run(trace.meta, run_steps, trace.steps, all_passes and trace.all_layers)
    return find_run({}, run_steps, (), all_passes)


def _mask_updates(hw: Hardware, table: EnergyTable, whole_run: WholeRun) -> pd.DataFrame:
    rows = []
    for update in whole_run.run.mask_updates if whole_run.run else ():
        work = mask_update(hw, update)
        cost = {"dram_bytes": work.dram_bytes, "cycles": work.cycles}
        facts = {"step": update.step, "judged": update.judged, "pruned": update.pruned, "grown": update.grown}
        rows.append(facts | cost | {"energy_pj": mask_update_energy(table, hw, work).total_pj})
    return mask_update_table(rows)


def _provenance(trace: TraceReader | TraceChain | Iterable[OpTrace]) -> dict[str, Any]:
    if not isinstance(trace, TraceReader | TraceChain):
        return {"path": None, "complete": True, "meta": {}}
    path = str(trace.path) if isinstance(trace, TraceReader) else [str(path) for path in trace.paths]
    meta = {key: value for key, value in trace.meta.items() if key != "training"}  # in the result's tables
    return {"path": path, "complete": trace.complete, "meta": meta}
