"""Where an array waits, and for what."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from accelsim.memory.recurrence import pass_spans
from accelsim.memory.spans import CAUSES, Spans, ideal_spans, waits_of
from accelsim.memory.steps import Steps
from tests.memory.test_events import dram, sequence_of, steps


def waited(spans: Spans, array: int = 0) -> dict[str, int]:
    """Cycles waited by cause, those without a cycle left out."""
    sums = {waits.cause: int((waits.stop - waits.start).sum()) for waits in waits_of(spans, array)}
    return {cause: cycles for cause, cycles in sums.items() if cycles}


@pytest.mark.closed_form
def test_one_step() -> None:
    spans = pass_spans(dram(10, latency_cycles=7), sequence_of([(95, (40,), 21, True)]))
    assert waited(spans) == {"load": 10, "latency": 7, "last store": 3}


@pytest.mark.closed_form
def test_other_causes() -> None:
    """Stores of 100 and work of 1: steps 2 to 4 wait 99 cycles each for room; the last one is done at 302."""
    spans = pass_spans(dram(1), sequence_of([(0, (1,), 100, True)] * 5))
    assert waited(spans) == {"room": 3 * 99, "last store": 501 - 302}
    two = pass_spans(dram(1), sequence_of([(0, (10, 4), 0, True)], arrays=2))
    assert (waited(two, 0), waited(two, 1)) == ({}, {"other arrays": 6})
    # no work: load 3 lies behind load 2 (20 to 30) and store 0 (30 to 60), and step 2 is done at 30
    queued = pass_spans(dram(1), sequence_of([(10, (0,), 30, False)] * 4))
    assert waited(queued)["channel"] == 60 - 30


@pytest.mark.relations
@given(steps, st.floats(0.5, 50), st.integers(0, 200))
def test_work_and_waits_fill_the_pass_without_overlap(sequence: Steps, bandwidth: float, latency: int) -> None:
    for spans in (pass_spans(dram(bandwidth, latency), sequence), ideal_spans(sequence)):
        for array in range(2):
            waits = waits_of(spans, array)
            assert {wait.cause for wait in waits} == set(CAUSES)
            slices = [(spans.work_start[:, array], spans.work_stop[:, array])]
            slices += [(wait.start, wait.stop) for wait in waits]
            found = sorted(
                (a, b) for low, high in slices for a, b in zip(low.tolist(), high.tolist(), strict=True) if a < b
            )
            edges = [0, *(edge for interval in found for edge in interval), spans.cycles]
            assert all(a == b for a, b in zip(edges[::2], edges[1::2], strict=True))  # each begins where one ends


@pytest.mark.relations
@given(steps, st.floats(0.5, 50), st.integers(0, 200))
def test_the_channel_serves_one_transfer_at_a_time(sequence: Steps, bandwidth: float, latency: int) -> None:
    spans = pass_spans(dram(bandwidth, latency), sequence)
    busy = sorted(
        (start, stop)
        for low, high in (
            (spans.load_start, spans.load_stop),
            (spans.store_start, spans.store_stop),
            (spans.store_stop, spans.return_stop),
        )
        for start, stop in zip(low.tolist(), high.tolist(), strict=True)
        if start < stop
    )
    assert all(first[1] <= second[0] for first, second in pairwise(busy))
    transfers = np.concatenate([sequence.load_bytes, sequence.store_bytes, sequence.return_bytes])
    assert sum(stop - start for start, stop in busy) == np.ceil(transfers / bandwidth).sum()
