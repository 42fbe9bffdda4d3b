"""The fast PEs equal the per-cycle reference on random operations, arrays and skipping options."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from accelsim.hardware.model import Hardware
from accelsim.lowering import PASSES, lower
from accelsim.lowering.reference import plain_lower
from accelsim.timing import order_rows, time_gemm
from accelsim.timing.reference import plain_time
from accelsim.trace.record import OpTrace
from tests.strategies import machines, operations

pytestmark = pytest.mark.reference


@given(machines(), operations(largest=5), st.sampled_from(PASSES))
def test_cycles_and_slots_equal(hw: Hardware, op: OpTrace, which: str) -> None:
    for plain, gemm in zip(plain_lower(op, which), lower(op, which), strict=True):
        expected, timing = plain_time(hw, plain), time_gemm(hw, order_rows(hw, gemm))
        assert timing.tile_cycles.tolist() == expected.tile_cycles
        slots = {name: count for name, count in vars(timing.slots).items() if count}
        assert slots == {name: count for name, count in expected.slots.items() if count}
        assert timing.slots.total == hw.array.rows * hw.array.cols * hw.array.lanes * timing.cycles
