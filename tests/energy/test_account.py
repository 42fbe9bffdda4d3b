"""Energy is counts times the table: sums redone by hand, and the laws that no table may break."""

from __future__ import annotations

from dataclasses import asdict, fields, replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from accelsim.area import area
from accelsim.energy.account import Actions, EnergyBreakdown, account, leakage_uw
from accelsim.energy.load import load_table
from accelsim.errors import AccelsimError
from accelsim.hardware.model import Hardware

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
            "memory": {"buffers": {"weight_kib": 8, "input_kib": 32, "output_kib": 1024}},
        }
    )


@pytest.mark.parametrize(
    ("count", "component", "pj"),
    [
        ({"macs_effectual": 1000}, "mac_pj", 1000 * (1.1 + 0.9)),
        ({"macs_ineffectual": 1000}, "mac_pj", 1000 * (1.1 + 0.9)),
        ({"idle_slots": 1000}, "idle_pj", 1000 * 2.0 * 0.05),
        ({"fifo_pushes": 100}, "fifo_scan_pj", 100 * 2 * 32 * 0.009),  # in and out, two 16-bit operands
        ({"scan_windows": 100}, "fifo_scan_pj", 100 * 16 * 0.0165),  # 8 bits of two masks
        ({"buffer_a_read_bits": 6400}, "buffer_pj", 100 * 10),  # 64-bit accesses to 8 KiB
        ({"buffer_b_read_bits": 6400}, "buffer_pj", 100 * 20),  # to 32 KiB
        ({"buffer_write_bits": 6400}, "buffer_pj", 100 * 15),  # to either: the mean
        ({"output_buffer_bits": 6400}, "buffer_pj", 100 * 100),  # to 1 MiB
        ({"dram_read_bytes": 10}, "dram_pj", 80 * 30.5),
        ({"dram_write_bytes": 10}, "dram_pj", 80 * 30.5),
    ],
)
def test_one_kind_of_action_by_hand(count: dict[str, int], component: str, pj: float) -> None:
    breakdown = account(HOROWITZ, machine(), Actions(**count))
    assert asdict(breakdown) == pytest.approx(asdict(replace(EnergyBreakdown(), **{component: pj})))
    assert breakdown.total_pj == pytest.approx(pj)


def test_leakage_by_hand() -> None:
    gate_uw = 0.07395 / (4.522 / 0.798)  # a register bit's, for its area
    sram_uw = (8 + 32 + 1024) * 60.6
    total_uw = area(machine()).gate_equivalents * gate_uw + sram_uw
    assert leakage_uw(HOROWITZ, machine()) == pytest.approx(total_uw)
    dense_uw = area(machine().dense()).gate_equivalents * gate_uw + sram_uw
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
    before, after = (account(table, machine(gate_zeros=gate_zeros), each) for each in (done, more))
    assert all(asdict(after)[part] >= pj for part, pj in asdict(before).items())
    assert sum(asdict(after)[part] > pj for part, pj in asdict(before).items()) == 1


@given(tables, actions)
def test_gating_moves_zeros_out_of_the_multiplier_and_nothing_else(table, done: Actions) -> None:
    open_, gated = account(table, machine(), done), account(table, machine(gate_zeros=True), done)
    zeros_pj = done.macs_ineffectual * table.mac_pj(machine().precision)
    assert gated.gated_mac_pj == pytest.approx(zeros_pj * table.lane.gated.value)
    assert gated.mac_pj + zeros_pj == pytest.approx(open_.mac_pj)
    assert gated.leakage_pj >= open_.leakage_pj  # the tests for zeros
    assert gated.total_pj - gated.leakage_pj <= open_.total_pj - open_.leakage_pj
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
