"""Energy is counts times the table: sums redone by hand, and the laws that no table may break."""

from __future__ import annotations

from dataclasses import asdict, fields, replace
from math import log

import pytest
from hypothesis import given
from hypothesis import strategies as st

from accelsim.area import area
from accelsim.area.sram import width_factor
from accelsim.energy.account import Actions, EnergyBreakdown, account, leakage_uw
from accelsim.energy.load import load_table
from accelsim.errors import AccelsimError
from accelsim.hardware.logic import cells
from accelsim.hardware.model import Hardware
from accelsim.hardware.parts import GlobalBuffer

HOROWITZ = load_table("horowitz-45nm")
COUNTS = [field.name for field in fields(Actions)]
actions = st.builds(Actions, **{name: st.integers(0, 10**12) for name in COUNTS})
tables = st.sampled_from([HOROWITZ, load_table("jouppi-7nm")])


def machine(**skipping: object) -> Hardware:
    return Hardware.model_validate(
        {
            "name": "m",
            "clock_mhz": 500,
            "array": {"rows": 2, "cols": 4, "lanes": 3},
            "skipping": {"tensors": ["weight"], "scan_width": 8, "fifo_depth": 16, **skipping},
            "precision": {"operand_bits": 16, "accumulator_bits": 32},
            "memory": {
                "dram": {"bytes_per_cycle": 16},
                "buffers": {"weight_kib": 8, "input_kib": 32, "output_kib": 1024},
            },
        }
    )


SCANNER, CROSSBAR, QUEUE = (cells(part, S=8, D=16, L=3, W=16) for part in ("scanner", "crossbar", "pair_queue"))


def pj_64(kib: float) -> float:
    """Horowitz's figures for 64 bits: 10 pJ at 8 KiB, 20 at 32, 100 at 1,024."""
    return 10 * (kib / 8) ** 0.5 if kib <= 32 else 20 * 5 ** (log(kib / 32) / log(32))


@pytest.mark.parametrize(
    ("count", "component", "pj"),
    [
        ({"idle_slots": 1000}, "idle_pj", 1000 * 2.0 * 0.05),
        (
            {"running_slots": 300},
            "fifo_scan_pj",
            100 * (16 * 32 + 5) * 0.009,
        ),  # a queue and its count; three lanes
        ({"scan_windows": 100}, "fifo_scan_pj", 100 * SCANNER.gates * 0.000513),
        # A result of the mean row moves through half of the two rows, a multiplexer and a flip-flop a bit.
        ({"outputs": 100}, "fifo_scan_pj", 100 * 1.5 * 32 * (0.009 + 0.000513)),
        ({"buffer_a_read_words": 100}, "buffer_pj", 100 * 17 / 64 * pj_64(17 / 16 * 8) * width_factor(8.5, 8 * 17)),
        ({"buffer_b_read_words": 100}, "buffer_pj", 100 * 17 / 64 * pj_64(34) * width_factor(34, 4 * 8 * 17)),
        ({"output_buffer_words": 100}, "buffer_pj", 200 * 32 / 64 * 100 * width_factor(1024, 4 * 32)),
        ({"dram_read_bytes": 10}, "dram_pj", 80 * 8),
        ({"dram_write_bytes": 10}, "dram_pj", 80 * 8),
    ],
)
def test_one_kind_of_action_by_hand(count: dict[str, int], component: str, pj: float) -> None:
    breakdown = account(HOROWITZ, machine(), Actions(**count))
    assert asdict(breakdown) == pytest.approx(asdict(replace(EnergyBreakdown(), **{component: pj})))
    assert breakdown.total_pj == pytest.approx(pj)


@pytest.mark.parametrize("count", ["macs_effectual", "macs_ineffectual"])
def test_a_multiply_accumulate_by_hand(count: str) -> None:
    """A product and a sum, the registers of two operands, and a third of the accumulator that three lanes share."""
    breakdown = account(HOROWITZ, machine(), Actions(**{count: 1000}))
    assert breakdown.mac_pj == pytest.approx(1000 * (1.1 + 0.9 + (2 * 16 + 1 + 32 / 3) * 0.009))
    through_pj = (CROSSBAR.gates / 8 + QUEUE.gates / 3) * 0.000513  # past a position's gates, out by a lane's moves
    assert breakdown.fifo_scan_pj == pytest.approx(1000 * through_pj)
    dense = account(HOROWITZ, machine().dense(), Actions(**{count: 1000}))
    assert (dense.mac_pj, dense.fifo_scan_pj) == (breakdown.mac_pj, 0.0)


def test_a_write_costs_the_mean_of_two_reads() -> None:
    energies = [
        account(HOROWITZ, machine(), Actions(**{name: 64})).buffer_pj
        for name in ("buffer_a_read_words", "buffer_b_read_words", "buffer_write_words")
    ]
    assert energies[2] == pytest.approx((energies[0] + energies[1]) / 2)


def test_masks_are_read_with_the_words() -> None:
    """Dense PEs have none: 16 bits a word, from 8 KiB, six words of two rows at a time."""
    breakdown = account(HOROWITZ, machine().dense(), Actions(buffer_a_read_words=100))
    assert breakdown.buffer_pj == pytest.approx(100 * 16 / 64 * 10 * width_factor(8, 2 * 3 * 16))


def test_leakage_by_hand() -> None:
    total_uw = area(machine()).gate_equivalents * 0.01305 + (17 / 16 * (8 + 32) + 1024) * 60.6
    assert leakage_uw(HOROWITZ, machine()) == pytest.approx(total_uw)
    dense_uw = area(machine().dense()).gate_equivalents * 0.01305 + (8 + 32 + 1024) * 60.6
    assert leakage_uw(HOROWITZ, machine().dense()) == pytest.approx(dense_uw)
    # 1000 cycles at 500 MHz are 2 us; 1 uW for 1 us is 1 pJ.
    breakdown = account(HOROWITZ, machine(), Actions(cycles=1000))
    assert breakdown.leakage_pj == breakdown.total_pj == pytest.approx(total_uw * 2)


def test_nothing_done_costs_nothing() -> None:
    assert account(HOROWITZ, machine(), Actions()) == EnergyBreakdown()


@given(tables, actions, actions)
def test_additive(table, one: Actions, other: Actions) -> None:
    both = Actions(**{name: getattr(one, name) + getattr(other, name) for name in COUNTS})
    together = account(table, machine(), both)
    apart = account(table, machine(), one) + account(table, machine(), other)
    assert asdict(together) == pytest.approx(asdict(apart))
    assert together.total_pj == pytest.approx(sum(asdict(together).values()))


@given(tables, actions, st.sampled_from(COUNTS), st.integers(1, 10**12), st.booleans())
def test_doing_more_costs_more(table, done: Actions, name: str, extra: int, gate_zeros: bool) -> None:
    more = replace(done, **{name: getattr(done, name) + extra})
    hw = machine(gate_zeros=gate_zeros)
    memory = hw.memory.model_copy(update={"global_buffer": GlobalBuffer(kib=64)})
    hw = hw.model_copy(update={"memory": memory})
    before, after = (account(table, hw, each) for each in (done, more))
    assert all(asdict(after)[part] >= pj for part, pj in asdict(before).items())
    grown = [part for part, pj in asdict(before).items() if asdict(after)[part] > pj]
    assert grown
    if not name.startswith("macs"):  # pairs go through the queue, and are multiplied
        assert len(grown) == 1


@given(tables, actions)
def test_gating_moves_zeros_out_of_the_multiplier_and_nothing_else(table, done: Actions) -> None:
    open_, gated = account(table, machine(), done), account(table, machine(gate_zeros=True), done)
    mac_pj = table.mac_pj(machine().precision)
    with_registers_pj = mac_pj + (2 * 16 + 1 + 32 / 3) * table.logic.flip_flop.value
    assert gated.gated_mac_pj == pytest.approx(done.macs_ineffectual * mac_pj * table.lane.gated.value)
    assert gated.mac_pj + done.macs_ineffectual * with_registers_pj == pytest.approx(open_.mac_pj)
    assert gated.leakage_pj >= open_.leakage_pj  # the tests for zeros
    assert gated.gated_mac_pj + gated.mac_pj <= open_.mac_pj
    same = {"mac_pj": 0.0, "gated_mac_pj": 0.0, "leakage_pj": 0.0}
    assert replace(gated, **same) == replace(open_, **same)


@given(tables, st.sampled_from(["weight_kib", "input_kib", "output_kib"]), actions)
def test_larger_buffers_cost_more(table, name: str, done: Actions) -> None:
    small = machine()
    buffers = small.memory.buffers
    grown = buffers.model_copy(update={name: getattr(buffers, name) * 2})
    large = small.model_copy(update={"memory": small.memory.model_copy(update={"buffers": grown})})
    before, after = account(table, small, done), account(table, large, done)
    assert after.buffer_pj >= before.buffer_pj
    assert after.leakage_pj >= before.leakage_pj
    assert replace(after, buffer_pj=before.buffer_pj, leakage_pj=before.leakage_pj) == before


def test_a_negative_count_is_refused() -> None:
    with pytest.raises(AccelsimError, match="idle_slots is -1, expected a count of at least 0"):
        Actions(idle_slots=-1)
