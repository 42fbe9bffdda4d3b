"""A run as a timeline: Chrome's trace event format, which ui.perfetto.dev and chrome://tracing open.

Written pass by pass as the simulation goes, so memory does not grow with the run. Timestamps are microseconds at the
machine's clock. Every slice is a begin and an end event on one track, because an end that is given as a start plus a
duration is rounded, and then ends after the start of the next slice in some viewers. A slice's cycles stand in its
arguments.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Mapping
from types import MappingProxyType
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from accelsim.errors import AccelsimError
from accelsim.files import WholeText
from accelsim.fleet import PassDetail
from accelsim.hardware.model import Hardware
from accelsim.memory.occupancy import Occupancy, occupancies
from accelsim.memory.run import run_spans
from accelsim.memory.spans import Spans, ideal_spans, waits_of
from accelsim.memory.steps import Steps
from accelsim.results import PassResult
from accelsim.results.row import known

Cycles = NDArray[np.int64]
DEFAULT_LIMIT = 200
_PROCESS, _WHAT_RUNS, _CHANNEL, _FIRST_ARRAY = 1, 1, 2, 3
_BUFFERS = {"A": "weight buffer, bytes", "B": "input buffer, bytes", "sums": "output buffer, bytes"}


class Slices(NamedTuple):
    """Slices of one name on one track.

    Attributes:
        start, stop: int64 [steps]; where they are equal there is no slice.
        size_bytes: int64 [steps], what each moves; None on an array.
    """

    name: str
    start: Cycles
    stop: Cycles
    size_bytes: Cycles | None = None


class _Open(NamedTuple):
    """A step or layer that runs: what tells it from others, and its name."""

    key: tuple[object, ...]
    name: str


class Timeline(WholeText):
    """Writes a timeline; a context manager that leaves the whole file or none.

    Tracks: what runs (steps, layers and passes, nested), the DRAM channel with its loads and stores, and for each array
    its work on macro-tile steps and its waits, named after their cause (`memory.spans.CAUSES`). Counters: for each
    buffer the bytes in its two halves; none on ideal memory. Passes follow one another in the order of the results, as
    their cycles add up; a pass of no cycles is an instant. Of several trace files, each has its own steps, whose
    arguments say which file it is.

    Where a track has more slices in a pass than `limit`, neighbours are drawn as one: one slice per name, with the
    exact cycles of all that it stands for, at the start of the neighbours' time. So sums stay what they are. Of a
    counter's neighbours the most in each half is drawn.

    Args:
        path: the file, replaced if it exists.
        hw: the machine.
        limit: about how many slices a track has in a pass before neighbours are drawn as one.

    Raises:
        AccelsimError: the file cannot be written, the limit is none, or the machine's passes overlap.
    """

    def __init__(self, path: str | os.PathLike[str], hw: Hardware, limit: int = DEFAULT_LIMIT) -> None:
        if hw.memory.joins_passes:
            raise AccelsimError(
                f"a timeline draws passes one by one, those of {hw.name} overlap: make memory.overlap false"
            )
        if limit < 1:
            raise AccelsimError(f"the timeline's limit is {limit}, expected at least 1 slice")
        super().__init__(path, "the timeline")
        self._hw, self._limit = hw, limit
        self._now = 0
        self._open: list[_Open] = []  # the running step and layer

    def _begin(self) -> None:
        self._file.write('{"displayTimeUnit":"ns","otherData":')
        facts = {"machine": self._hw.name, "clock_mhz": self._hw.clock_mhz, "timestamps": "us at clock_mhz"}
        self._file.write(json.dumps(facts) + ',"traceEvents":[\n')
        self._file.write(",\n".join(self._names()))

    def _end(self) -> None:
        self._close_down_to(0)
        self._file.write("\n]}\n")

    def add(self, result: PassResult, detail: PassDetail) -> None:
        """Append a pass.

        Raises:
            AccelsimError: the disk is full.
        """
        call = f", call {result.call}" if result.call else ""
        with self._refusing():
            self._enter((result.trace, result.step), f"step {result.step}", 0, {"trace": result.trace})
            again = ", recomputed" if result.branch == "recomputed" else ""
            self._enter((result.layer, result.call, result.branch), f"{result.layer}{call}{again}", 1)
            facts = {
                "macs": result.macs,
                "effectual_macs": result.effectual_macs,
                "cycles": result.machine.cycles,
                "array_cycles": result.machine.array_cycles,
                "dense_cycles": result.dense.cycles,
                "dram_bytes": result.machine.dram_bytes,
                "energy_pj": known(result.machine.energy.total_pj),
                "branch": result.branch,
            }
            if result.machine.cycles == 0:
                self._event("i", _WHAT_RUNS, self._now, result.which, {"s": "t", "args": facts})
                return
            self._event("B", _WHAT_RUNS, self._now, result.which, {"args": facts})
            dram, steps = self._hw.memory.dram, detail.steps
            spans = ideal_spans(steps) if dram is None else run_spans(dram, steps)
            for thread, slices in self._tracks(steps, spans):
                self._write_slices(thread, slices)
            if dram is not None:
                for held in occupancies(self._hw, steps, spans):
                    self._write_counter(held)
            self._now += result.machine.cycles
            self._event("E", _WHAT_RUNS, self._now, result.which)

    def _tracks(self, steps: Steps, spans: Spans) -> Iterator[tuple[int, list[Slices]]]:
        loads = Slices("load", spans.load_start, spans.load_stop, steps.load_bytes)
        stores = Slices("store", spans.store_start, spans.store_stop, steps.store_bytes)
        yield _CHANNEL, [loads, stores, Slices("sums back", spans.store_stop, spans.return_stop, steps.return_bytes)]
        for array in range(self._hw.array.count):
            thread = _FIRST_ARRAY + 2 * array
            yield thread, [Slices("work", spans.work_start[:, array], spans.work_stop[:, array])]
            yield thread + 1, [Slices(waits.cause, waits.start, waits.stop) for waits in waits_of(spans, array)]

    def _write_slices(self, thread: int, slices: list[Slices]) -> None:
        """Write a track's slices in the order of time, neighbours as one where there are too many.

        A track does one thing at a time, so what a group of neighbours did fits between its first start and last stop.
        """
        steps = [np.flatnonzero(kind.stop > kind.start) for kind in slices]
        order = np.concatenate(
            [
                np.stack([kind.start[which], np.full_like(which, number), which])
                for number, (kind, which) in enumerate(zip(slices, steps, strict=True))
            ],
            axis=1,
        )
        order = order[:, np.argsort(order[0], kind="stable")]
        count, kinds = order.shape[1], sum(which.size > 0 for which in steps)
        size = 1 if count <= self._limit else -(-count * kinds // self._limit)
        for first in range(0, count, size):
            group = order[:, first : first + size]
            now = self._now + int(group[0, 0])
            for number in dict.fromkeys(group[1].tolist()):
                kind, which = slices[number], group[2, group[1] == number]
                facts: dict[str, Any] = {"step": int(which[0])}
                if which.size > 1:
                    facts |= {"until_step": int(which[-1]), "merged": int(which.size)}
                if kind.size_bytes is not None:
                    facts["bytes"] = int(kind.size_bytes[which].sum())
                facts["cycles"] = int((kind.stop[which] - kind.start[which]).sum())
                self._event("B", thread, now, kind.name, {"args": facts})
                now += facts["cycles"]
                self._event("E", thread, now, kind.name)

    def _write_counter(self, held: Occupancy) -> None:
        """Write a buffer's occupancy; the last change, after which it is empty, stands alone."""
        count = held.cycles.size
        starts = np.append(np.arange(0, count - 1, -(-count // self._limit)), count - 1)
        most = np.maximum.reduceat(held.half_bytes, starts)
        for cycle, halves in zip(held.cycles[starts].tolist(), most.tolist(), strict=True):
            facts = (
                {f"half {number}": size for number, size in enumerate(halves, 1)}
                if len(halves) > 1
                else {"all": halves[0]}
            )
            self._event("C", _WHAT_RUNS, self._now + cycle, _BUFFERS[held.buffer], {"args": facts})

    def _enter(
        self, key: tuple[object, ...], name: str, depth: int, facts: Mapping[str, object] = MappingProxyType({})
    ) -> None:
        """Be in a step or layer: leave what runs at this depth and below if it is another one."""
        if len(self._open) > depth and self._open[depth].key == key:
            return
        self._close_down_to(depth)
        self._open.append(_Open(key, name))
        self._event("B", _WHAT_RUNS, self._now, name, {"args": dict(facts)} if facts else {})

    def _close_down_to(self, depth: int) -> None:
        while len(self._open) > depth:
            self._event("E", _WHAT_RUNS, self._now, self._open.pop().name)

    def _event(
        self, phase: str, thread: int, cycle: int, name: str, more: Mapping[str, object] = MappingProxyType({})
    ) -> None:
        # Equal cycles are equal text, so that no reader's rounding can part an end from the begin that follows it.
        event = {"ph": phase, "pid": _PROCESS, "tid": thread, "ts": cycle / self._hw.clock_mhz, "name": name, **more}
        self._file.write(",\n" + json.dumps(event, separators=(",", ":")))

    def _names(self) -> Iterator[str]:
        """Name the process and its tracks, in the order in which they are to stand."""
        threads = {_WHAT_RUNS: "steps, layers, passes", _CHANNEL: "DRAM channel"}
        for array in range(self._hw.array.count):
            which = f" {array}" if self._hw.array.count > 1 else ""
            threads |= {_FIRST_ARRAY + 2 * array: f"array{which}", _FIRST_ARRAY + 2 * array + 1: f"array{which} waits"}
        yield json.dumps({"ph": "M", "pid": _PROCESS, "name": "process_name", "args": {"name": self._hw.name}})
        for thread, name in threads.items():
            where = {"ph": "M", "pid": _PROCESS, "tid": thread}
            yield json.dumps(where | {"name": "thread_name", "args": {"name": name}})
            yield json.dumps(where | {"name": "thread_sort_index", "args": {"sort_index": thread}})
