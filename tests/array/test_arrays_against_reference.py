"""Several arrays: tiles of the per-cycle reference, dealt in turn over all GEMMs of a pass."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from accelsim import Hardware, OpTrace, simulate
from tests.oracle.array import plain_time
from tests.oracle.lowering import plain_lower
from tests.strategies import machines, operations

pytestmark = pytest.mark.reference


@given(machines(), operations(largest=5), st.integers(1, 5))
def test_arrays_take_tiles_in_turn(hw: Hardware, op: OpTrace, arrays: int) -> None:
    hw = hw.model_copy(update={"array": hw.array.model_copy(update={"count": arrays})})
    layers = simulate(hw, [op], workers=1).layers
    for row in layers.to_dict("records"):
        timings = [plain_time(hw, gemm) for gemm in plain_lower(op, row["pass"])]
        tiles = [cycles for timing in timings for cycles in timing.tile_cycles]
        worked = [sum(tiles[first::arrays]) for first in range(arrays)]
        assert row["cycles"] == row["array_cycles"] == max(worked)
        waiting = sum(max(worked) - own for own in worked) * hw.array.rows * hw.array.cols * hw.array.lanes
        assert row["slots_barrier"] == waiting + sum(timing.slots["barrier"] for timing in timings)
        for slot in ("effectual", "ineffectual", "edge", "sync", "starved", "port", "skew", "memory"):
            assert row[f"slots_{slot}"] == sum(timing.slots[slot] for timing in timings)
