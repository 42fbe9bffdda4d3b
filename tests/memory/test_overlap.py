"""Passes that overlap: a sum of cycles that a person can redo, and the relations to passes one by one."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from accelsim.hardware.parts import Dram
from accelsim.memory.addresses import REGION
from accelsim.memory.events import event_spans
from accelsim.memory.overlap import overlapped_cycles
from accelsim.memory.recurrence import pass_cycles, pass_spans
from accelsim.memory.steps import Steps
from tests.memory.test_events import alike, dram, sequence_of, steps

passes = st.builds(  # of one machine
    lambda sequence, ahead: [replace(one, ahead=ahead) for one in sequence],
    st.lists(steps, min_size=1, max_size=6),
    st.sampled_from((1, 2)),
)


@pytest.mark.closed_form
def test_the_next_pass_is_loaded_while_this_one_runs_and_drains() -> None:
    """A pass of one step: a load of 10 cycles, work of 40, a store of 20.

    Alone each takes 70. Together the second load goes in cycles 10 to 20, and the second work from 50 to 90 while the
    first outputs leave in 50 to 70: the arrays are done with the first pass at 50, with the second at 90, and the last
    store ends at 110.
    """
    one = alike(1, 10, 40, 20)
    assert pass_cycles(dram(1), one) == 70
    assert overlapped_cycles(dram(1), [one, one]) == [50, 110 - 50]


@pytest.mark.closed_form
def test_buffers_that_are_not_halved() -> None:
    """The second load waits for the first work: 50 to 60. It goes before the first outputs, 60 to 80, which the second
    work waits for: 80 to 120, and the second outputs leave until 140, as one by one."""
    one = replace(alike(1, 10, 40, 20), ahead=1)
    assert overlapped_cycles(dram(1), [one, one]) == [50, 140 - 50]


@pytest.mark.closed_form
def test_arrays_meet_between_passes() -> None:
    """Two arrays with 10 and 1, then 1 and 10 cycles: 20 in two passes, 11 within one."""
    first, second = (sequence_of([(0, work, 0, False)], arrays=2) for work in ((10, 1), (1, 10)))
    assert overlapped_cycles(dram(1), [first, second]) == [10, 10]
    assert overlapped_cycles(dram(1), [Steps.join([first, second])]) == [11]


@pytest.mark.closed_form
def test_the_last_stores_are_the_last_pass_s_that_has_a_step() -> None:
    nothing = Steps.none(1)
    assert overlapped_cycles(dram(1), [nothing, alike(1, 0, 5, 20), nothing]) == [0, 25, 0]
    assert overlapped_cycles(dram(1), [nothing]) == [0]
    assert overlapped_cycles(dram(1), []) == []


@pytest.mark.relations
@given(passes, st.floats(0.5, 50), st.floats(1, 4), st.integers(0, 200))
def test_relations(sequence: list[Steps], bandwidth: float, factor: float, latency: int) -> None:
    channel = dram(bandwidth, latency)
    cycles = overlapped_cycles(channel, sequence)
    alone = [pass_cycles(channel, one) for one in sequence]
    moved = sum(int((one.load_bytes + one.store_bytes + one.return_bytes).sum()) for one in sequence)
    work = [int(one.array_cycles.sum(axis=0).max()) for one in sequence]
    assert sum(cycles) <= sum(alone)
    assert sum(cycles) >= moved / bandwidth
    assert all(own >= least for own, least in zip(cycles, work, strict=True))
    assert sum(overlapped_cycles(dram(bandwidth * factor, latency), sequence)) <= sum(cycles)
    assert sum(overlapped_cycles(dram(bandwidth, latency // 2), sequence)) <= sum(cycles)
    assert overlapped_cycles(channel, sequence[:1]) == alone[:1]


@pytest.mark.reference
@given(steps, st.lists(st.booleans(), min_size=20, max_size=20), st.floats(0.5, 50), st.integers(0, 200))
def test_arrays_that_meet_equal_the_events(sequence: Steps, some: list[bool], bandwidth: float, latency: int) -> None:
    meets = np.array(some[: len(sequence)], bool)
    closed = pass_spans(dram(bandwidth, latency), sequence, meets)
    decided = event_spans(dram(bandwidth, latency), sequence, meets=meets)
    np.testing.assert_array_equal(closed.work_stop, decided.work_stop)
    np.testing.assert_array_equal(closed.return_stop, decided.return_stop)
    assert closed.cycles == decided.cycles
    for step in np.flatnonzero(meets[1:]) + 1:
        assert closed.work_start[step].min() >= closed.work_stop[step - 1].max()


def test_a_dram_with_rows_has_the_passes_side_by_side() -> None:
    """Two passes that read the same 1 KiB row of their own memory: the second one's is another row, which is opened."""
    model = Dram.model_validate({"model": "ddr4_2400"}).at_clock(500)
    regions = np.zeros((1, 3), REGION)
    regions["run"], regions["runs"] = 1024, 1
    regions["size"][:, 0] = 1024
    one = replace(sequence_of([(1024, (1,), 0, True)]), regions=regions)
    together = overlapped_cycles(model, [one, one])
    assert sum(together) <= 2 * pass_cycles(model, one)
    assert together[0] == pass_cycles(model, one)
    assert together[1] > 0
