"""Schedules against plain lists of columns."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from accelsim.hardware.model import Hardware
from accelsim.lowering import PASSES, lower
from accelsim.timing.tiles import schedule
from accelsim.trace.record import OpTrace
from tests.strategies import machines, operations


@pytest.mark.reference
@settings(deadline=None)
@given(operations(largest=12), machines(), st.sampled_from(PASSES))
def test_columns_of_each_row_tile(op: OpTrace, hw: Hardware, which: str) -> None:
    rows, cols = hw.array.rows, hw.array.cols
    for gemm in lower(op, which):
        plan, last = schedule(hw, gemm), []
        wanted = np.ones((gemm.m, gemm.n), bool)
        if gemm.needed is not None and hw.skipping.outputs:
            wanted = np.unpackbits(gemm.needed.view(np.uint8), axis=1, count=gemm.n, bitorder="little").astype(bool)
        for tile, first in enumerate(range(0, gemm.m, rows)):
            expected = [column for column in range(gemm.n) if wanted[first : first + rows, column].any()]
            assert plan.columns[plan.starts[tile] : plan.stops[tile]].tolist() == expected
            parts = [expected[at : at + cols] for at in range(0, len(expected), cols)]
            assert plan.tiles_per_row[tile] == len(parts)
            last += [part[-1] for part in parts]
        assert plan.last_columns(cols).tolist() == last
