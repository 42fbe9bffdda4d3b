"""When everything in a pass happens: start and stop of each transfer and of each array's work on each step."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from accelsim.memory.steps import Steps

Cycles = NDArray[np.int64]


@dataclass(frozen=True)
class Spans:
    """Times of a pass's steps, in cycles from its start; a transfer of no byte starts and stops at once.

    Attributes:
        load_start, load_stop: int64 [steps], when a step's load holds the DRAM channel.
        arrived: int64 [steps], when its data can be used: a latency later.
        work_start, work_stop: int64 [steps, arrays], when each array works on it.
        store_start, store_stop: int64 [steps], when its outputs hold the channel.
        return_stop: int64 [steps], when sums that come back after them have left it.
        cycles: of the pass: the last transfer has left the channel and the arrays are done.
    """

    load_start: Cycles
    load_stop: Cycles
    arrived: Cycles
    work_start: Cycles
    work_stop: Cycles
    store_start: Cycles
    store_stop: Cycles
    return_stop: Cycles
    cycles: int


@dataclass(frozen=True)
class Waits:
    """Intervals in which an array waits, by cause; int64 [steps + 1], the last one after the last step.

    An interval without a cycle starts where it stops.

    Attributes:
        cause: what the array waits for, see `CAUSES`.
    """

    cause: str
    start: Cycles
    stop: Cycles


CAUSES = {
    "channel": "the load of the step has not begun: the channel serves earlier transfers, or another array still works"
    " on the half buffer that the load goes to",
    "load": "the load is on the channel",
    "latency": "the load has left the channel and is on its way",
    "room": "the half of the output buffer that the step fills still holds outputs on their way to DRAM",
    "other arrays": "other arrays still work",
    "last store": "the last outputs are on their way to DRAM",
}


def ideal_spans(steps: Steps) -> Spans:
    """Return the times of steps without memory (`dram: null`): every array goes from one step to the next."""
    nothing = np.zeros(len(steps), np.int64)
    stop = np.cumsum(steps.array_cycles, axis=0)
    cycles = int(stop[-1].max()) if len(steps) else 0
    return Spans(nothing, nothing, nothing, stop - steps.array_cycles, stop, nothing, nothing, nothing, cycles)


def waits_of(spans: Spans, array: int) -> list[Waits]:
    """Return where an array waits and for what; with its work these intervals fill all cycles of the pass."""
    free = np.append(0, spans.work_stop[:, array])  # when the array is done with what came before
    start, end = free[:-1], spans.work_start[:, array]
    all_done = int(spans.work_stop.max()) if spans.work_stop.size else 0
    edges = [start]
    for until in (spans.load_start, spans.load_stop, spans.arrived, end):
        edges.append(np.clip(until, edges[-1], end))
    waits = [
        Waits(cause, np.append(low, free[-1]), np.append(high, free[-1]))
        for cause, low, high in zip(("channel", "load", "latency", "room"), edges[:-1], edges[1:], strict=True)
    ]
    for cause, low, high in (("other arrays", free[-1], all_done), ("last store", all_done, spans.cycles)):
        waits.append(Waits(cause, np.append(start, low), np.append(start, high)))
    return waits
