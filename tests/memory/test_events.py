"""The discrete-event model against arithmetic a person can redo, and the relations that must always hold."""

from __future__ import annotations

from dataclasses import fields, replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from accelsim.hardware.parts import Dram
from accelsim.memory.events import event_spans, run_events
from accelsim.memory.recurrence import pass_cycles, pass_spans
from accelsim.memory.spans import Spans
from accelsim.memory.steps import Steps

Row = tuple[int, tuple[int, ...], int, bool]  # load bytes, cycles of each array, store bytes, finishes


def sequence_of(rows: list[Row], arrays: int = 1, returns: list[int] | None = None) -> Steps:
    """Steps one after another; sums come back after some."""
    load, work, store, finishes = zip(*rows, strict=True) if rows else ((), (), (), ())
    loads = np.array(load, np.int64)
    return Steps(
        load_bytes=loads,
        loaded_elements=loads,
        array_cycles=np.array(work, np.int64).reshape(-1, arrays),
        store_bytes=np.array(store, np.int64),
        finishes=np.array(finishes, bool),
        partial_sums=np.ones(len(rows), np.int64),
        loaded_a=loads,
        fresh_a=loads > 0,
        fresh_b=np.zeros(len(rows), bool),
        held_sums=np.ones(len(rows), np.int64),
        return_bytes=np.array(returns or [0] * len(rows), np.int64),
    )


def alike(count: int, load_bytes: int, array_cycles: int, store_bytes: int = 0) -> Steps:
    """Equal steps that each finish their outputs."""
    return sequence_of([(load_bytes, (array_cycles,), store_bytes, True)] * count)


def dram(bytes_per_cycle: float, latency_cycles: int = 0) -> Dram:
    return Dram(bytes_per_cycle=bytes_per_cycle, latency_cycles=latency_cycles)


@pytest.mark.closed_form
def test_one_step_is_load_latency_compute_store() -> None:
    assert run_events(dram(10, latency_cycles=7), alike(1, 95, 40, 21)) == 10 + 7 + 40 + 3


@pytest.mark.closed_form
def test_bound_by_the_array() -> None:
    """Loads of 10 cycles hide behind 100 cycles of work: first load, four times work, last store."""
    assert run_events(dram(1), alike(4, 10, 100, 10)) == 10 + 4 * 100 + 10


@pytest.mark.closed_form
def test_bound_by_bandwidth() -> None:
    """Work of 10 cycles hides behind transfers; the channel never rests but before the first output is there.

    Loads end at 100 and 200; output 0 is ready at 110, behind the load of step 2 in the channel's order (200 to 300),
    so: load 0, 1, 2, store 0, load 3, store 1, store 2 and, once step 3 has run, store 3.
    """
    ends = 100 + 100 + 100 + 50 + 100 + 50
    last_array = max(450, 400) + 10  # load 3 ends at 450
    assert run_events(dram(1), alike(4, 100, 10, 50)) == max(ends + 50, last_array) + 50


@pytest.mark.closed_form
def test_bound_by_latency() -> None:
    """Two loads are in flight at most: steps 2 and 3 wait for their halves, each a latency after the work on them."""
    first = 1 + 1000  # loads 0 and 1 leave the channel in cycles 1 and 2
    second = 1 + 1000 + 1  # step 1 ends at 1002 + 1; step 2's load started at 1002, when step 0 had ended
    assert run_events(dram(1, latency_cycles=1000), alike(4, 1, 1)) == first + second + 1 + 1


@pytest.mark.closed_form
def test_outputs_wait_for_room() -> None:
    """Stores of 100 cycles and no work: the array may be two outputs ahead of the channel, not more."""
    assert run_events(dram(1), alike(5, 0, 1, 100)) == 1 + 500


@pytest.mark.closed_form
def test_single_buffers_load_work_and_store_in_turn() -> None:
    """Loads of 10 cycles, work of 20 and stores of 5: the store comes after the next load, as loads go first."""
    single = replace(alike(3, 10, 20, 5), ahead=1)
    assert run_events(dram(1), single) == 10 + 20 + 10 + 5 + 20 + 10 + 5 + 20 + 5


@pytest.mark.closed_form
def test_sums_come_back_after_the_outputs_that_leave() -> None:
    """Step 2 goes on with sums in the half that step 0 left: after its store of 10 cycles 30 more pass."""
    rows: list[Row] = [(0, (5,), 10, True), (0, (5,), 0, True), (0, (5,), 0, True)]
    assert run_events(dram(1), sequence_of(rows, returns=[30, 0, 0])) == 5 + 10 + 30 + 5


steps = st.lists(
    st.tuples(
        st.integers(0, 300), st.tuples(st.integers(0, 200), st.integers(0, 200)), st.integers(0, 300), st.booleans()
    ),
    max_size=20,
).flatmap(
    lambda rows: st.lists(st.integers(0, 100), min_size=len(rows), max_size=len(rows)).flatmap(
        lambda returns: st.builds(
            lambda ahead: replace(sequence_of(rows, 2, returns), ahead=ahead), st.sampled_from((1, 2))
        )
    )
)


@pytest.mark.closed_form
def test_arrays_do_not_wait_for_each_other_between_steps() -> None:
    """Two arrays with 10 and 1, then 1 and 10 cycles: 11 each, not 10 + 10."""
    sequence = sequence_of([(0, work, 0, False) for work in ((10, 1), (1, 10))], arrays=2)
    assert run_events(dram(1), sequence) == 11


@pytest.mark.relations
@given(steps, st.floats(0.5, 50), st.floats(1, 4), st.integers(0, 200))
def test_relations(sequence: Steps, bandwidth: float, factor: float, latency: int) -> None:
    cycles = run_events(dram(bandwidth, latency), sequence)
    moved = sequence.load_bytes.sum() + sequence.store_bytes.sum() + sequence.return_bytes.sum()
    assert cycles >= sequence.array_cycles.sum(axis=0).max()
    assert cycles >= moved / bandwidth
    assert run_events(dram(bandwidth * factor, latency), sequence) <= cycles
    assert run_events(dram(bandwidth, latency // 2), sequence) <= cycles


@pytest.mark.reference
@given(steps, st.floats(0.5, 50), st.integers(0, 200))
def test_closed_steps_equal_the_events(sequence: Steps, bandwidth: float, latency: int) -> None:
    assert pass_cycles(dram(bandwidth, latency), sequence) == run_events(dram(bandwidth, latency), sequence)
    closed, decided = pass_spans(dram(bandwidth, latency), sequence), event_spans(dram(bandwidth, latency), sequence)
    for column in fields(Spans):
        np.testing.assert_array_equal(getattr(closed, column.name), getattr(decided, column.name), column.name)
