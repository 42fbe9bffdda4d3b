"""The pipeline in one screen: for each operation and pass, lower → time → move → account."""

from __future__ import annotations

import hashlib
import os
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import replace
from itertools import count, groupby, repeat
from operator import itemgetter
from pathlib import Path
from typing import Any, Literal, TypeVar

import pandas as pd

from accelsim.area import NODE, area
from accelsim.energy.load import table_of
from accelsim.energy.mask_update import mask_update, mask_update_energy
from accelsim.energy.table import EnergyTable
from accelsim.equal_area import Racecourse, finalists
from accelsim.errors import AccelsimError, HardwareError, TraceError, not_this
from accelsim.fleet import Fleet, PassDetail
from accelsim.hardware.load import check_hardware
from accelsim.hardware.model import Hardware
from accelsim.lowering import PASSES, Pass, chosen_passes
from accelsim.memory.mappings import Mappings
from accelsim.replay import RanPass, Replay, ReplayedPass
from accelsim.results import EqualArea, PassResult, Result, WholeRun, find_run, mask_update_table
from accelsim.results.equal_area import IDEALISED, NONE_FITS, READ_ONCE
from accelsim.results.equal_area import NOT_ASKED as NOT_COMPARED
from accelsim.results.other_work import ASSUMED, NOT_ASKED, OF_A_PART, TOLD, OtherWorkCosts
from accelsim.sampling import Sampler, Sampling, allocate, is_sure
from accelsim.trace import OpTrace, OtherWork, TraceChain, TraceReader, assumed_tally, open_trace

S = TypeVar("S")
T = TypeVar("T")
Trace = str | os.PathLike[str] | TraceReader | Iterable[OpTrace]
Sample = float | Literal["auto"] | Sampling | None
OnPass = Callable[[int, PassResult, PassDetail], None]


Replayed = dict[int, tuple[ReplayedPass, ...]]
"""Passes by their operation's number in the trace."""

Numbered = tuple[int, int, OpTrace]
"""An operation's number in the trace, the position of its trace file, and the operation."""


def simulate(
    hw: Hardware,
    trace: Trace,
    *,
    passes: Iterable[Pass] = PASSES,
    vector_work: bool = True,
    equal_area: bool = True,
    run_steps: int | None = None,
    sample: Sample = None,
    mappings: Mappings | None = None,
    workers: int | None = None,
    on_operation: Callable[[], None] = lambda: None,
    on_pass: OnPass | None = None,
) -> Result:
    """Replay a trace on a machine.

    Args:
        hw: the machine; its baseline is the same machine without skipping and compression.
        trace: a trace file's path, an open reader (`open_trace(path).select(...)` replays a part; `open_traces(paths)`
            several files), or operations.
        passes: the passes to replay, some of `PASSES`.
        vector_work: also count the work between the products (normalisation, activation functions, softmax, pooling,
            optimiser), from what the trace tells or else an assumption; see `OtherWorkCosts`. It is in totals, not in
            those of passes, and never counted where only some layers or passes are replayed.
        equal_area: also run the best dense machine of the same area (docs/energy.md); not where operations can be read
            only once.
        run_steps: the training's number of optimiser steps, for a trace that does not say it, or where the training
            went on when the tracer was gone; `Result.training` is about all of them.
        sample: simulate a random part of the tiles and say how sure the totals are (docs/sampling.md): a share of each
            GEMM's tiles, "auto" for as many as make the total of cycles sure to 1 %, or a `Sampling`, which has a seed
            and an error of its own. None simulates all.
        workers: operations simulated side by side; by default one a processor core. No more are in memory at once.
        on_operation: called after each operation, for progress bars.
        on_pass: called with each pass's machine (0), result and detail, in the trace's order; with `sample="auto"` not
            with what is simulated again.

    Raises:
        AccelsimError: `hw` is no Hardware but a path, say; `passes` names none; the trace cannot be read, is none, or
            holds no operation of these passes or more than `run_steps` steps; several files that are not of one run;
            "auto" with operations that can be read only once.
    """
    (result,) = simulate_many(
        [hw],
        trace,
        passes=passes,
        vector_work=vector_work,
        equal_area=equal_area,
        run_steps=run_steps,
        sample=sample,
        mappings=mappings,
        workers=workers,
        on_operation=on_operation,
        on_pass=on_pass,
    )
    return result


def simulate_many(
    hardware: Sequence[Hardware],
    trace: Trace,
    *,
    passes: Iterable[Pass] = PASSES,
    vector_work: bool = True,
    equal_area: bool = True,
    run_steps: int | None = None,
    sample: Sample = None,
    mappings: Mappings | None = None,
    workers: int | None = None,
    on_operation: Callable[[], None] = lambda: None,
    on_pass: OnPass | None = None,
) -> list[Result]:
    """Replay a trace on several machines: the results of `simulate` on each, in their order.

    The trace is read once and every pass of an operation lowered once. Machines that agree in array and skipping share
    the array's cycles, those that agree in memory too share all but energy; so do their dense baselines.

    Args:
        hardware: the machines; the other arguments are those of `simulate`.

    Raises:
        AccelsimError: as `simulate`.
    """
    _check_machines(hardware)
    if not hardware:
        return []
    reader = open_trace(trace) if isinstance(trace, str | os.PathLike) else trace
    if not isinstance(reader, Iterable):
        raise TraceError(not_this("trace", trace, "a trace file's path, an open reader, or a list of OpTraces"))
    wanted = chosen_passes(passes)
    _check_mappings(mappings, reader)
    whole_run = _whole_run(reader, run_steps, wanted == PASSES)
    tables = [table_of(hw) for hw in hardware]
    rivals, why_none = _rivals(hardware, reader, wanted) if equal_area else ([()] * len(hardware), NOT_COMPARED)
    fleet = Fleet(hardware, rivals)
    sampling = _sampling(sample, fleet)
    sampler = None if sampling is None else sampling.sampler()
    workers = workers or os.cpu_count() or 1

    replayed: Replayed = {}
    replay = Replay(fleet, tables, wanted, sampler, mappings)
    tallies: dict[int, tuple[int, dict[str, int]]] = {}

    def check(number: int, op: OpTrace) -> None:
        if not isinstance(op, OpTrace):
            raise TraceError(not_this(f"operation {number} of the trace", op, "an OpTrace"))
        tallies[number] = op.step, assumed_tally(op)

    for number, passes_done in _run(replay, _numbered(reader), workers, check, on_operation, on_pass is not None):
        replayed[number] = tuple(replace(done, details=()) for done in passes_done)
        for done in passes_done:
            for machine, detail in enumerate(done.details):
                if on_pass is not None:
                    on_pass(machine, done.results[machine], detail)
    if sampling is not None and sampler is not None and sampling.share == "auto":
        while again := _grow(sampler, sampling.error, hardware, replayed):
            if iter(reader) is reader:
                raise AccelsimError("sample is auto, but these operations can be read only once; a list can be again")
            replayed |= _run(replay, (one for one in _numbered(reader) if one[0] in again), workers, check)
    rows = [
        [done.results[machine] for _, ops in sorted(replayed.items()) for done in ops] for machine in range(len(tables))
    ]
    if not rows[0]:
        raise AccelsimError(f"the trace holds no operation of {', '.join(wanted) or 'no pass'}; nothing to simulate")
    provenance = _provenance(reader, wanted == PASSES)
    assumed = OtherWork.joined(OtherWork({step: tally}) for step, tally in tallies.values())
    work, basis = _other_work(reader, assumed, wanted == PASSES) if vector_work else (OtherWork({}), NOT_ASKED)
    results = []
    for hw, table, own, beside in zip(hardware, tables, rows, rivals, strict=True):
        best, compared = _best_rival(own, beside)
        results.append(
            Result.from_rows(
                compared,
                hw,
                provenance,
                OtherWorkCosts.of(work, basis, hw, table, best),
                whole_run,
                mask_update_costs(hw, table, whole_run),
                sampling,
                EqualArea(why_none or (IDEALISED if hw.idealised else NONE_FITS))
                if best is None
                else EqualArea("", best, area(best).mm2, area(hw).mm2, NODE),
            )
        )
    return results


def _sampling(sample: Sample, fleet: Fleet) -> Sampling | None:
    if sample is not None and fleet.joins_passes:
        raise AccelsimError(
            "with memory.overlap a pass's cycles depend on every tile of others: make it false, or do not sample"
        )
    return sample if isinstance(sample, Sampling) or sample is None else Sampling(sample)


def _check_machines(hardware: Sequence[Hardware]) -> None:
    if isinstance(hardware, Hardware | str | os.PathLike) or not isinstance(hardware, Sequence):
        raise HardwareError(not_this("hardware", hardware, "a list of Hardware; load_hardware reads one from a file"))
    for number, hw in enumerate(hardware):
        check_hardware(hw, "hw" if len(hardware) == 1 else f"hardware[{number}]")


def _check_mappings(mappings: Mappings | None, trace: TraceReader | TraceChain | Iterable[OpTrace]) -> None:
    if mappings is None or not isinstance(trace, TraceReader | TraceChain) or not trace.all_layers:
        return
    readers = trace.readers if isinstance(trace, TraceChain) else (trace,)
    for layer in sorted(mappings.layers.difference(*(reader.layers for reader in readers))):
        raise AccelsimError(f"the mapping is of a layer {layer!r}, which the trace does not have")


def _grow(sampler: Sampler, error: float, hardware: Sequence[Hardware], replayed: Replayed) -> set[int]:
    """Draw more where a machine's total of cycles is not sure yet; returns the operations to simulate again."""
    again: set[int] = set()
    for machine, hw in enumerate(hardware):
        accounts = [done.results[machine].machine for passes in replayed.values() for done in passes]
        spreads, cycles = [own.spread for own in accounts], sum(own.cycles for own in accounts)
        if not is_sure(spreads, cycles, error):
            sizes = allocate(spreads, cycles, error)
            sampler.enlarge(hw, sizes)
            again |= {key[0] for key in sizes if isinstance(key[0], int)}
    return again


def _rivals(
    hardware: Sequence[Hardware], trace: TraceReader | TraceChain | Iterable[OpTrace], wanted: tuple[Pass, ...]
) -> tuple[list[tuple[Hardware, ...]], str]:
    """Return the dense machines of each machine's area that may be the best, and why there are none."""
    if iter(trace) is trace:
        return [()] * len(hardware), READ_ONCE
    return finalists(hardware, Racecourse.of(trace), wanted), ""


def _best_rival(rows: list[PassResult], rivals: Sequence[Hardware]) -> tuple[Hardware | None, list[PassResult]]:
    """Return the fastest of the rivals over all rows, and the rows with what it did."""
    if not rivals:
        return None, rows
    best = min(range(len(rivals)), key=lambda rival: sum(row.rivals[rival].cycles for row in rows))
    return rivals[best], [replace(row, equal_area=row.rivals[best]) for row in rows]


def _other_work(
    trace: TraceReader | TraceChain | Iterable[OpTrace], assumed: OtherWork, all_passes: bool
) -> tuple[OtherWork, str]:
    """Return the work between the products of the replayed steps, and where its elements are from."""
    file = trace if isinstance(trace, TraceReader | TraceChain) else None
    if not all_passes or (file is not None and not file.all_layers):
        return OtherWork({}), OF_A_PART
    told = None if file is None else OtherWork.from_meta(file.meta)
    if told is None or not assumed.steps.keys() <= told.steps.keys():
        return assumed, ASSUMED
    return OtherWork({step: told.steps[step] for step in assumed.steps}), TOLD


def _numbered(trace: Iterable[OpTrace]) -> Iterator[Numbered]:
    """Yield each operation's number and the position of its trace file."""
    return zip(count(), trace.files if isinstance(trace, TraceChain) else repeat(0), trace, strict=False)


def _in_order(run: Callable[[S], T], operations: Iterable[S], workers: int) -> Iterator[T]:
    """Run operations side by side, results in their order; the kernels release the interpreter's lock."""
    if workers == 1:
        yield from map(run, operations)
        return
    pool, pending = ThreadPoolExecutor(workers), deque[Future[T]]()
    try:
        for op in operations:
            pending.append(pool.submit(run, op))
            if len(pending) > workers:
                yield pending.popleft().result()
        while pending:
            yield pending.popleft().result()
    finally:
        pool.shutdown(wait=False, cancel_futures=True)  # an exception does not wait for what runs


def _run(
    replay: Replay,
    operations: Iterable[Numbered],
    workers: int,
    check: Callable[[int, OpTrace], None],
    on_operation: Callable[[], None] = lambda: None,
    detailed: bool = False,
) -> Iterator[tuple[int, tuple[ReplayedPass, ...]]]:
    """Run operations side by side and yield their passes in order, with their numbers.

    Where passes join, those of a training step come when all of them have run; its operations are next to one another
    in a trace.
    """

    def whole(numbered: Numbered) -> tuple[int, tuple[ReplayedPass, ...]]:
        number, file, op = numbered
        check(number, op)
        return number, replay.operation(op, number, file, detailed)

    def begun(numbered: Numbered) -> tuple[int, tuple[int, int], tuple[RanPass, ...]]:
        number, file, op = numbered
        check(number, op)
        return number, (file, op.step), tuple(replay.run(op, number, file))

    if not replay.fleet.joins_passes:
        yield from _after_each(on_operation, _in_order(whole, operations, workers))
        return
    for _, step in groupby(_after_each(on_operation, _in_order(begun, operations, workers)), itemgetter(1)):
        numbers, _, ran = zip(*step, strict=True)
        yield from zip(numbers, replay.step(ran, detailed), strict=True)


def _after_each(call: Callable[[], None], items: Iterable[T]) -> Iterator[T]:
    """Yield items, calling after each."""
    for item in items:
        call()
        yield item


def _whole_run(
    trace: TraceReader | TraceChain | Iterable[OpTrace], run_steps: int | None, all_passes: bool
) -> WholeRun:
    if isinstance(trace, TraceChain) and trace.unlike:
        raise AccelsimError(f"{trace.unlike}; simulate each by itself")
    if isinstance(trace, TraceReader | TraceChain):
        return find_run(trace.meta, run_steps, trace.steps, all_passes and trace.all_layers)
    return find_run({}, run_steps, (), all_passes)


def mask_update_costs(hw: Hardware, table: EnergyTable, whole_run: WholeRun) -> pd.DataFrame:
    """Return what the updates of a run's masks cost on a machine, see `Result.mask_updates`."""
    rows = []
    for update in whole_run.run.mask_updates if whole_run.run else ():
        work = mask_update(hw, update)
        cost = {"dram_bytes": work.dram_bytes, "cycles": work.cycles}
        facts = {"step": update.step, "judged": update.judged, "pruned": update.pruned, "grown": update.grown}
        rows.append(facts | cost | {"energy_pj": mask_update_energy(table, hw, work).total_pj})
    return mask_update_table(rows)


def _provenance(trace: TraceReader | TraceChain | Iterable[OpTrace], all_passes: bool) -> dict[str, Any]:
    if not isinstance(trace, TraceReader | TraceChain):
        return {"path": None, "sha256": None, "complete": True, "meta": {}, "replayed_whole": all_passes}
    path = str(trace.path) if isinstance(trace, TraceReader) else [str(path) for path in trace.paths]
    sha256 = _sha256(trace.path) if isinstance(trace, TraceReader) else [_sha256(path) for path in trace.paths]
    meta = {key: value for key, value in trace.meta.items() if key not in ("training", "other_work")}  # in tables
    whole = all_passes and len(trace) == trace.records_in_file
    return {"path": path, "sha256": sha256, "complete": trace.complete, "meta": meta, "replayed_whole": whole}


def _sha256(path: Path) -> str:
    """Hash a file's content, so that a result can be traced back to its masks whatever the file is called."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
