"""Loader, array and store as SimPy processes around DRAM.

DRAM serves its transfers in an order fixed beforehand (the load of step i + 2 goes before the outputs of step
i: both become ready when the array leaves step i, and the array needs the load sooner). Every start is then a maximum
of ends and every end a start plus a duration, so shortening any transfer can never make anything later: more bandwidth
never costs cycles. That is so with constant bandwidth and latency; what a DRAM with rows takes, a controller says.
"""

from __future__ import annotations

from collections.abc import Generator, Iterator
from dataclasses import dataclass
from math import ceil
from typing import Any, Protocol

import numpy as np
import simpy
from numpy.typing import NDArray

from accelsim.hardware.parts import Dram
from accelsim.memory.spans import Spans
from accelsim.memory.steps import Integers, Steps

Process = Generator[simpy.Event, Any, None]


@dataclass
class _Transfer:
    step: int
    size_bytes: int
    return_bytes: int  # of sums that come back after it
    ready: simpy.Event  # may start
    served: simpy.Event  # the channel is free again
    arrived: simpy.Event | None  # a load's data can be used; None for a store, which nothing waits for
    asked: int = 0
    start: int = 0
    stop: int = 0
    return_stop: int = 0
    arrival: int = 0

    def ask(self, now: int) -> None:
        self.asked = now
        self.ready.succeed()


class Controller(Protocol):
    """A DRAM with rows, which is asked for the transfers of a pass in the order of service."""

    def left(self, step: int, *, store: bool, asked: int) -> int:
        """Return when the load or store of a step, asked for at a cycle, has left DRAM."""


def run_events(dram: Dram, steps: Steps) -> int:
    """Return the cycle at which the last transfer has left the channel and the array is done."""
    return event_spans(dram, steps).cycles


def event_spans(
    dram: Dram, steps: Steps, controller: Controller | None = None, meets: NDArray[np.bool_] | None = None
) -> Spans:
    """Run a pass and return when everything happened.

    Args:
        controller: of a DRAM with rows.
        meets: bool [steps], before which steps arrays wait for one another: where a pass follows another one.
    """
    if dram.has_rows and controller is None:
        raise ValueError("a DRAM with rows needs a controller")
    env = simpy.Environment()
    loads = [
        _Transfer(i, size, 0, env.event(), env.event(), env.event()) for i, size in enumerate(steps.load_bytes.tolist())
    ]
    stored = zip(steps.store_bytes.tolist(), steps.return_bytes.tolist(), strict=True)
    stores = [_Transfer(i, size, back, env.event(), env.event(), None) for i, (size, back) in enumerate(stored)]
    arrays = steps.array_cycles.shape[1]
    computed = [env.event() for _ in loads]
    done = [[env.event() for _ in range(arrays)] for _ in loads]
    work_start, work_stop = np.zeros((2, *steps.array_cycles.shape), np.int64)
    env.process(_loader(env, loads, computed, steps.ahead))
    waits = np.zeros(len(steps), bool) if meets is None else meets
    met = [computed[index - 1] if waited and index else None for index, waited in enumerate(waits.tolist())]
    for array in range(arrays):
        env.process(_array(env, array, steps, loads, stores, met, done, work_start, work_stop))
    env.process(_meet(env, done, computed))
    env.process(_store(env, stores, computed))
    env.process(_channel(env, dram, controller, list(_service_order(loads, stores, steps.ahead))))
    env.run()
    return Spans(
        load_start=np.array([load.start for load in loads], np.int64),
        load_stop=np.array([load.stop for load in loads], np.int64),
        arrived=np.array([load.arrival for load in loads], np.int64),
        work_start=work_start,
        work_stop=work_stop,
        store_start=np.array([store.start for store in stores], np.int64),
        store_stop=np.array([store.stop for store in stores], np.int64),
        return_stop=np.array([store.return_stop for store in stores], np.int64),
        cycles=int(env.now),
    )


def _service_order(loads: list[_Transfer], stores: list[_Transfer], ahead: int) -> Iterator[_Transfer]:
    yield from loads[:ahead]
    for index, store in enumerate(stores):
        yield from loads[index + ahead : index + ahead + 1]
        yield store


def _channel(env: simpy.Environment, dram: Dram, controller: Controller | None, order: list[_Transfer]) -> Process:
    for transfer in order:
        yield transfer.ready
        transfer.start = int(env.now)
        if transfer.size_bytes:
            taken = ceil(transfer.size_bytes / dram.bytes_per_cycle)
            if controller is not None:
                left = controller.left(transfer.step, store=transfer.arrived is None, asked=transfer.asked)
                taken = max(0, left - transfer.start)
            yield env.timeout(taken)
        transfer.stop = int(env.now)
        if transfer.return_bytes:
            yield env.timeout(ceil(transfer.return_bytes / dram.bytes_per_cycle))
        transfer.return_stop = int(env.now)
        transfer.served.succeed()
        if transfer.arrived is not None:
            latency = dram.latency_cycles if transfer.size_bytes and controller is None else 0
            env.process(_arrive(env, latency, transfer, transfer.arrived))


def _arrive(env: simpy.Environment, latency_cycles: int, load: _Transfer, arrived: simpy.Event) -> Process:
    yield env.timeout(latency_cycles)
    load.arrival = int(env.now)
    arrived.succeed()


def _loader(env: simpy.Environment, loads: list[_Transfer], computed: list[simpy.Event], ahead: int) -> Process:
    """Start each load as soon as the array has left the half buffer that it goes to."""
    for index, load in enumerate(loads):
        if index >= ahead:
            yield computed[index - ahead]
        load.ask(int(env.now))


def _array(
    env: simpy.Environment,
    array: int,
    steps: Steps,
    loads: list[_Transfer],
    stores: list[_Transfer],
    met: list[simpy.Event | None],
    done: list[list[simpy.Event]],
    work_start: Integers,
    work_stop: Integers,
) -> Process:
    """Work through the steps; each waits for its data, and for room where outputs of an earlier macro-tile lie."""
    finished: list[int] = []  # steps that finished outputs
    work = zip(steps.busy_cycles[:, array].tolist(), steps.finishes.tolist(), strict=True)
    for index, (cycles, finishes) in enumerate(work):
        arrived = loads[index].arrived
        assert arrived is not None
        yield arrived
        before = met[index]
        if before is not None:
            yield before
        if len(finished) >= steps.ahead:
            yield stores[finished[-steps.ahead]].served
        work_start[index, array] = env.now
        yield env.timeout(cycles)
        work_stop[index, array] = env.now
        done[index][array].succeed()
        if finishes:
            finished.append(index)


def _meet(env: simpy.Environment, done: list[list[simpy.Event]], computed: list[simpy.Event]) -> Process:
    """A step is computed when all arrays are done with their tiles of it."""
    for index, parts in enumerate(done):
        yield parts[0] if len(parts) == 1 else simpy.AllOf(env, parts)
        computed[index].succeed()


def _store(env: simpy.Environment, stores: list[_Transfer], computed: list[simpy.Event]) -> Process:
    for index, store in enumerate(stores):
        yield computed[index]
        store.ask(int(env.now))
