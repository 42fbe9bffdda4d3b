"""DRAM with banks and rows: equal to a controller that is stepped clock by clock, and to what a person can work out."""

from __future__ import annotations

from dataclasses import fields, replace
from math import ceil

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from accelsim import kernel
from accelsim.hardware.dram_models import DRAM_MODELS, DramModel
from accelsim.hardware.parts import Dram
from accelsim.memory.addresses import REGION
from accelsim.memory.events import event_spans
from accelsim.memory.recurrence import pass_spans, row_use
from accelsim.memory.spans import Spans
from accelsim.memory.steps import Steps
from tests.oracle import dram as oracle

every_model = pytest.mark.parametrize("model", DRAM_MODELS.values(), ids=DRAM_MODELS)


def region(base: int, size: int, run: int = 0, stride: int = 0, runs: int = 1, group_stride: int = 0) -> np.ndarray:
    """One region; by default its bytes follow one another."""
    return np.array([(base, run or size, stride, runs, group_stride or run or size, 0, size)], REGION)


def serve(
    model: DramModel, channels: int, regions: list[np.ndarray], write: list[bool], asked: list[int]
) -> tuple[list[int], int, int]:
    """When each transfer has left, in clocks; bursts and activations."""
    left = np.empty(len(regions), np.int64)
    bursts, activations = kernel.compiled.run_dram_transfers(
        np.array(model.numbers(), np.int64),
        channels,
        np.concatenate(regions).view(np.int64),
        np.array(write),
        np.array(asked, np.int64),
        left,
    )
    return left.tolist(), bursts, activations


def address_of(model: DramModel, group: int, bank: int, row: int) -> int:
    """The first byte of a row, with one channel."""
    stripe = row * model.banks + (bank - row) % model.banks
    return (stripe * (model.row_bytes // model.burst_bytes) * model.bank_groups + group) * model.burst_bytes


def read_one_by_one(model: DramModel, places: list[tuple[int, int, int]]) -> list[int]:
    """Read the first burst of (group, bank, row) after the other, all asked for at once; when each has left."""
    regions = [region(address_of(model, *place), model.burst_bytes) for place in places]
    return serve(model, 1, regions, [False] * len(places), [0] * len(places))[0]


@pytest.mark.closed_form
@every_model
def test_the_first_read(model: DramModel) -> None:
    assert read_one_by_one(model, [(0, 0, 5)]) == [model.t_rcd_clocks + model.t_cl_clocks + model.burst_clocks]


@pytest.mark.closed_form
@every_model
@pytest.mark.parametrize("write", [False, True])
def test_a_stream_has_the_peak_but_for_refreshes(model: DramModel, write: bool) -> None:
    """Rows are opened while others are read; every tREFI the queue runs empty, all banks close, and open again."""
    size = 64 << 20
    (left,), bursts, activations = serve(model, 1, [region(0, size)], [write], [0])
    closing = model.t_cwl_clocks + model.burst_clocks + model.t_wr_clocks if write else model.t_rtp_clocks
    lost = closing + model.t_rp_all_clocks + model.t_rfc_clocks + model.t_rcd_clocks - model.burst_clocks
    assert bursts == size // model.burst_bytes
    assert size / left == pytest.approx(model.peak_bytes_per_clock * (1 - lost / model.t_refi_clocks), rel=0.002)
    assert size / left == pytest.approx(
        model.peak_bytes_per_clock * (1 - model.t_rfc_clocks / model.t_refi_clocks), rel=0.02
    )
    refreshes = left // model.t_refi_clocks
    assert activations - size // model.row_bytes <= refreshes * model.bank_groups * model.banks


@pytest.mark.closed_form
@every_model
def test_rows_of_one_bank_take_trc_each(model: DramModel) -> None:
    left = read_one_by_one(model, [(0, 0, row) for row in range(20)])
    assert set(np.diff(left)) == {model.t_rc_clocks}


@pytest.mark.closed_form
@every_model
def test_rows_of_all_banks_are_opened_as_fast_as_four_a_window(model: DramModel) -> None:
    banks = [(number % model.bank_groups, number // model.bank_groups % model.banks) for number in range(64)]
    left = read_one_by_one(model, [(*bank, number) for number, bank in enumerate(banks)])
    group_banks = model.bank_groups * model.banks
    each = max(model.t_rrd_s_clocks, model.t_faw_clocks / 4, model.t_ccd_s_clocks, model.t_rc_clocks / group_banks)
    assert (left[-1] - left[3]) / 60 == pytest.approx(each, rel=0.02)


@pytest.mark.closed_form
@every_model
def test_random_rows_lie_between_one_bank_and_all(model: DramModel) -> None:
    rng = np.random.default_rng(0)
    places = [
        (int(rng.integers(model.bank_groups)), int(rng.integers(model.banks)), int(row))
        for row in rng.integers(1 << 14, size=4000)
    ]
    each = read_one_by_one(model, places)[-1] / len(places)
    assert max(model.t_rrd_s_clocks, model.t_faw_clocks / 4) < each < model.t_rc_clocks


@pytest.mark.closed_form
@every_model
def test_reads_and_writes_in_turn_wait_for_the_bus_to_turn(model: DramModel) -> None:
    """Two open rows in different bank groups (banks, where there is one group)."""
    places = [(0, 0, 0), (1, 0, 0) if model.bank_groups > 1 else (0, 1, 0)]
    writes = [bool(number % 2) for number in range(41)]
    regions = [region(address_of(model, *places[write]), model.burst_bytes) for write in writes]
    left, _, activations = serve(model, 1, regions, writes, [0] * len(writes))
    turn = model.t_rtw_clocks + model.t_cwl_clocks + model.burst_clocks + model.t_wtr_s_clocks
    assert activations == 2
    assert set(np.diff(left[2::2])) == {turn}


@pytest.mark.closed_form
def test_a_row_stays_open_and_neighbours_share_bursts() -> None:
    model = DRAM_MODELS["ddr4_2400"]
    contiguous, *_ = serve(model, 1, [region(0, 4096)], [False], [0])
    in_runs, bursts, activations = serve(model, 1, [region(0, 4096, run=20, group_stride=20)], [False], [0])
    assert (in_runs, bursts, activations) == (contiguous, 64, 4)
    assert serve(model, 1, [region(0, 60, run=20, group_stride=64)], [False], [0])[1] == 3


@pytest.mark.closed_form
@every_model
@pytest.mark.parametrize("channels", [2, 3, 8])
def test_channels_share_a_stream(model: DramModel, channels: int) -> None:
    size = 24 << 20
    alone, together = (serve(model, n, [region(0, size)], [False], [0])[0][0] for n in (1, channels))
    assert alone / together == pytest.approx(channels, rel=0.01)


@st.composite
def small_models(draw: st.DrawFn) -> DramModel:
    """Shipped ones with few columns, a short queue, and refreshes that come often."""
    model = draw(st.sampled_from(list(DRAM_MODELS.values())))
    bursts = draw(st.sampled_from((2, 4, 16)))
    groups, banks = draw(st.sampled_from((1, 2, 4))), draw(st.sampled_from((1, 2, 4)))
    return replace(
        model,
        row_bytes=model.burst_bytes * bursts,
        bank_groups=groups,
        banks=banks,
        queue=draw(st.integers(1, 9)),
        t_rfc_clocks=draw(st.integers(20, 100)),
        t_refi_clocks=draw(st.sampled_from((300, 500, 5000))),
        t_faw_clocks=draw(st.integers(1, 100)),
        t_rrd_l_clocks=draw(st.integers(1, 20)),
        t_rtp_clocks=draw(st.integers(1, 60)),
    )


@st.composite
def random_regions(draw: st.DrawFn, burst_bytes: int) -> np.ndarray:
    run = draw(st.integers(1, 20 * burst_bytes))
    return np.array(
        [
            (
                draw(st.integers(0, 20 * burst_bytes)),
                run,
                run + draw(st.sampled_from((0, 1, burst_bytes, 9 * burst_bytes))),
                draw(st.integers(1, 4)),
                run + draw(st.sampled_from((0, 100, 16 * burst_bytes))),
                draw(st.sampled_from((0, 0, 1, 70))),
                draw(st.integers(0, 14 * burst_bytes)),
            )
        ],
        REGION,
    )


@pytest.mark.reference
@settings(deadline=None, max_examples=100)
@given(st.data())
def test_transfers_equal_a_stepped_controller(data: st.DataObject) -> None:
    model, channels = data.draw(small_models()), data.draw(st.integers(1, 3))
    asked, transfers = 0, []
    for _ in range(data.draw(st.integers(1, 8))):
        asked += data.draw(st.sampled_from((0, 0, 1, 20, 290, 700)))
        transfers.append((asked, data.draw(st.booleans()), data.draw(random_regions(model.burst_bytes))))
    whole = [(ready, write, list(oracle.bursts_of(model, own))) for ready, write, own in transfers]
    decided, opened = oracle.run(model, channels, whole)
    times, writes, regions = zip(*transfers, strict=True)
    left, bursts, activations = serve(model, channels, list(regions), list(writes), list(times))
    assert left == decided
    assert (bursts, activations) == (sum(len(own) for _, _, own in whole), opened)


class Stepped:
    """The controller of a pass: it is run again from the beginning for each transfer."""

    def __init__(self, dram: Dram, steps: Steps) -> None:
        self.dram, self.steps = dram, steps
        self.transfers: list[tuple[int, bool, list[int]]] = []

    def left(self, step: int, *, store: bool, asked: int) -> int:
        model = DRAM_MODELS[self.dram.model]
        regions = self.steps.regions[step, 2:] if store else self.steps.regions[step, :2]
        clock = ceil(asked * self.dram.clocks_per_cycle)
        self.transfers.append((clock, store, list(oracle.bursts_of(model, regions))))
        stops, _ = oracle.run(model, self.dram.channels, self.transfers)
        return ceil(stops[-1] / self.dram.clocks_per_cycle)


@st.composite
def passes(draw: st.DrawFn, burst_bytes: int) -> Steps:
    count, arrays = draw(st.integers(0, 6)), draw(st.integers(1, 2))
    own = [[draw(random_regions(burst_bytes))[0] for _ in range(3)] for _ in range(count)]
    regions = np.array(own, REGION).reshape(count, 3)
    work = [[draw(st.sampled_from((0, 5, 50, 4000))) for _ in range(arrays)] for _ in range(count)]
    sizes = regions["size"]
    return Steps(
        load_bytes=sizes[:, :2].sum(axis=1),
        loaded_elements=sizes[:, :2].sum(axis=1),
        array_cycles=np.array(work, np.int64).reshape(count, arrays),
        store_bytes=sizes[:, 2].copy(),
        finishes=np.array([draw(st.booleans()) for _ in range(count)], bool),
        partial_sums=np.ones(count, np.int64),
        loaded_a=sizes[:, 0].copy(),
        fresh_a=np.ones(count, bool),
        fresh_b=np.ones(count, bool),
        held_sums=np.ones(count, np.int64),
        return_bytes=np.zeros(count, np.int64),
        regions=regions,
    )


@pytest.mark.reference
@settings(deadline=None, max_examples=40)
@given(st.sampled_from(list(DRAM_MODELS)), st.integers(1, 2), st.sampled_from((333.0, 500.0, 1600.0)), st.data())
def test_a_pass_equals_the_events(model: str, channels: int, clock_mhz: float, data: st.DataObject) -> None:
    dram = Dram(model=model, channels=channels).at_clock(clock_mhz)
    steps = data.draw(passes(DRAM_MODELS[model].burst_bytes))
    closed, decided = pass_spans(dram, steps), event_spans(dram, steps, Stepped(dram, steps))
    for column in fields(Spans):
        np.testing.assert_array_equal(getattr(closed, column.name), getattr(decided, column.name), column.name)


@pytest.mark.relations
@settings(deadline=None)
@given(st.sampled_from(list(DRAM_MODELS)), st.integers(1, 5), st.data())
def test_no_faster_than_the_peak_or_the_array(model: str, channels: int, data: st.DataObject) -> None:
    dram = Dram(model=model, channels=channels).at_clock(500)
    steps = data.draw(passes(DRAM_MODELS[model].burst_bytes))
    spans, use = pass_spans(dram, steps), row_use(dram, steps)
    moved = steps.load_bytes.sum() + steps.store_bytes.sum()
    assert spans.cycles >= moved / dram.bytes_per_cycle
    assert spans.cycles >= steps.array_cycles.sum(axis=0).max(initial=0)
    assert use.busy_cycles >= moved / dram.bytes_per_cycle
    assert 0 <= use.hit_rate <= 1
