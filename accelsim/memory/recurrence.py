"""The discrete-event model in closed steps: with a fixed order of service every time is a maximum of sums.

`event_spans` decides, and makes timelines; this gives the same times without its events, tens of times faster.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from accelsim import kernel
from accelsim.hardware.dram_models import DRAM_MODELS
from accelsim.hardware.parts import Dram
from accelsim.memory.spans import Spans
from accelsim.memory.steps import Steps

Flags = NDArray[np.bool_]


@dataclass(frozen=True)
class RowUse:
    """How well a pass uses a DRAM with rows.

    Attributes:
        bursts: that were moved; one that runs of a transfer share counts once.
        activations: rows that were opened.
        busy_cycles: in which transfers were under way.
        efficiency: bytes a busy cycle, over the peak.
    """

    bursts: int
    activations: int
    busy_cycles: int
    efficiency: float

    @property
    def hit_rate(self) -> float:
        """Share of bursts that found their row open."""
        return 1 - self.activations / self.bursts if self.bursts else 1.0


def pass_spans(dram: Dram, steps: Steps, meets: Flags | None = None) -> Spans:
    """Return what `event_spans` returns."""
    return _with_rows(dram, steps, meets)[0] if dram.has_rows else _constant(dram, steps, meets)


def pass_cycles(dram: Dram, steps: Steps) -> int:
    """Return the cycles of a pass, as `run_events` does."""
    return pass_spans(dram, steps).cycles


def row_use(dram: Dram, steps: Steps) -> RowUse:
    """Return how well a pass uses a DRAM with rows."""
    spans, bursts, activations = _with_rows(dram, steps, None)
    busy = int((spans.load_stop - spans.load_start).sum() + (spans.store_stop - spans.store_start).sum())
    moved = int(steps.load_bytes.sum() + steps.store_bytes.sum())
    return RowUse(bursts, activations, busy, moved / (busy * dram.bytes_per_cycle) if busy else 1.0)


def _constant(dram: Dram, steps: Steps, meets: Flags | None) -> Spans:
    load = np.ceil(steps.load_bytes / dram.bytes_per_cycle).astype(np.int64)
    store = np.ceil(steps.store_bytes / dram.bytes_per_cycle).astype(np.int64)
    back = np.ceil(steps.return_bytes / dram.bytes_per_cycle).astype(np.int64)
    latency = np.where(steps.load_bytes > 0, dram.latency_cycles, 0)
    load_stop, return_stop = np.empty_like(load), np.empty_like(store)
    work, finishes = np.ascontiguousarray(steps.busy_cycles), np.ascontiguousarray(steps.finishes)
    work_stop, arrays = np.empty_like(work), work.shape[1]
    cycles = kernel.compiled.run_memory_steps(
        load,
        latency,
        store + back,
        work,
        finishes,
        _met(meets, finishes),
        arrays,
        steps.ahead,
        load_stop,
        return_stop,
        work_stop,
    )
    return Spans(
        load_start=load_stop - load,
        load_stop=load_stop,
        arrived=load_stop + latency,
        work_start=work_stop - work,
        work_stop=work_stop,
        store_start=return_stop - back - store,
        store_stop=return_stop - back,
        return_stop=return_stop,
        cycles=cycles,
    )


def _with_rows(dram: Dram, steps: Steps, meets: Flags | None) -> tuple[Spans, int, int]:
    """Return the times, bursts and activations."""
    if steps.regions is None:
        raise ValueError("the steps were made for a DRAM without rows")
    load_start, load_stop, store_start, store_stop = np.empty((4, len(steps)), np.int64)
    work, finishes = np.ascontiguousarray(steps.busy_cycles), np.ascontiguousarray(steps.finishes)
    work_stop, arrays = np.empty_like(work), work.shape[1]
    cycles, bursts, activations = kernel.compiled.run_dram_steps(
        np.array(DRAM_MODELS[dram.model].numbers(), np.int64),
        dram.channels,
        dram.clocks_per_cycle,
        np.ascontiguousarray(steps.regions).view(np.int64),
        load_start,
        store_start,
        work,
        finishes,
        _met(meets, finishes),
        arrays,
        steps.ahead,
        load_stop,
        store_stop,
        work_stop,
    )
    spans = Spans(
        load_start=load_start,
        load_stop=load_stop,
        arrived=load_stop,
        work_start=work_stop - work,
        work_stop=work_stop,
        store_start=store_start,
        store_stop=store_stop,
        return_stop=store_stop,
        cycles=cycles,
    )
    return spans, bursts, activations


def _met(meets: Flags | None, finishes: Flags) -> Flags:
    """Before which steps arrays wait for one another: none of a single pass."""
    return np.zeros_like(finishes) if meets is None else np.ascontiguousarray(meets)
