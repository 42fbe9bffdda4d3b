"""The fast PEs equal the per-cycle reference on random operations, arrays and skipping options."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from accelsim.array import time_gemm
from accelsim.hardware.model import Hardware
from accelsim.lowering import PASSES, lower
from accelsim.trace.record import OpTrace
from tests.oracle.array import plain_time
from tests.oracle.lowering import plain_lower
from tests.strategies import machines, operations

pytestmark = pytest.mark.reference


@given(machines(), operations(largest=5), st.sampled_from(PASSES))
def test_cycles_and_slots_equal(hw: Hardware, op: OpTrace, which: str) -> None:
    for plain, gemm in zip(plain_lower(op, which), lower(op, which), strict=True):
        expected, timing = plain_time(hw, plain), time_gemm(hw, gemm)
        assert timing.tile_cycles.tolist() == expected.tile_cycles
        slots = {name: count for name, count in vars(timing.slots).items() if count}
        assert slots == {name: count for name, count in expected.slots.items() if count}
        assert (timing.streamed_a, timing.streamed_b) == (expected.reads["a"], expected.reads["b"])
        assert timing.slots.total == hw.array.rows * hw.array.cols * hw.array.lanes * timing.cycles


@pytest.mark.reference
@pytest.mark.parametrize("sync", ["pe", "row", "column", "array"])
@pytest.mark.parametrize(("width", "depth", "lanes"), [(512, 512, 3), (300, 1000, 1), (200, 200, 100), (64, 180, 5)])
def test_windows_wider_than_a_byte_can_count(sync: str, width: int, depth: int, lanes: int) -> None:
    """Scanners, queues and lanes beyond the narrow state's 255, on rows long enough to fill them."""
    rng = np.random.default_rng(width)
    op = OpTrace(
        name="fc",
        step=0,
        weight=rng.random((5, 1500)) < 0.9,
        input=rng.random((7, 1500)) < np.linspace(0.2, 1, 7)[:, None],
    )
    hw = Hardware.model_validate(
        {
            "name": "wide",
            "array": {"rows": 3, "cols": 4, "lanes": lanes},
            "skipping": {
                "tensors": ["weight", "activation"],
                "scan_width": width,
                "fifo_depth": depth,
                "sync": sync,
            },
        }
    )
    (plain,), (gemm,) = plain_lower(op, "forward"), lower(op, "forward")
    expected, timing = plain_time(hw, plain), time_gemm(hw, gemm)
    assert timing.tile_cycles.tolist() == expected.tile_cycles
    assert {name: count for name, count in vars(timing.slots).items() if count} == {
        name: count for name, count in expected.slots.items() if count
    }


@pytest.mark.reference
@pytest.mark.parametrize("ports", ["window", "unlimited"])
@pytest.mark.parametrize("sync", ["pe", "row", "column"])
@pytest.mark.parametrize(("width", "depth", "lanes"), [(4, 4, 1), (8, 9, 2), (16, 16, 1), (3, 7, 1)])
def test_pointers_wait_for_each_other_at_the_ports(ports: str, sync: str, width: int, depth: int, lanes: int) -> None:
    """Rows long and uneven enough that queues fill and groups part; dropped windows, edge tiles, masked outputs."""
    rng = np.random.default_rng((width, depth))
    m, n, k = 7, 10, 300
    alive = np.repeat(rng.random((2, -(-k // width))) < 0.8, width, axis=1)[:, :k]
    weight = (rng.random((m, k)) < rng.choice((0.3, 0.95), (m, 1))) & alive[0]
    inputs = (rng.random((n, k)) < np.linspace(0.2, 1, n)[:, None]) & alive[1]
    for needed, blocks in ((None, ()), (rng.random((n, m)) < 0.7, ("weight", "activation"))):
        op = OpTrace(name="fc", step=0, weight=weight, input=inputs, output_needed=needed)
        skipping = {"tensors": ("weight", "activation"), "scan_width": width, "fifo_depth": depth, "sync": sync}
        buffers = {"weight_words_per_cycle": ports, "input_words_per_cycle": ports}
        hw = Hardware.model_validate(
            {
                "name": "parted",
                "array": {"rows": 3, "cols": 4, "lanes": lanes},
                "skipping": skipping | {"blocks": blocks, "outputs": needed is not None},
                "memory": {"buffers": buffers},
            }
        )
        (plain,), (gemm,) = plain_lower(op, "forward"), lower(op, "forward")
        expected, timing = plain_time(hw, plain), time_gemm(hw, gemm)
        assert timing.tile_cycles.tolist() == expected.tile_cycles
        slots = {name: count for name, count in vars(timing.slots).items() if count}
        assert slots == {name: count for name, count in expected.slots.items() if count}
        assert (timing.streamed_a, timing.streamed_b) == (expected.reads["a"], expected.reads["b"])


@pytest.mark.reference
@pytest.mark.parametrize("sync", ["pe", "row", "column", "array"])
def test_a_tile_finds_nothing_of_the_one_before(sync: str) -> None:
    """Full queues at one tile's end, where pairs of two non-zeros are counted apart, must not stall the next."""
    op = OpTrace(name="fc", step=0, weight=np.ones((1, 8)), input=np.ones((3, 8)), output_needed=np.ones((3, 1)))
    hw = Hardware.model_validate(
        {
            "name": "one",
            "array": {"rows": 1, "cols": 1},
            "skipping": {"tensors": ["weight"], "scan_width": 4, "fifo_depth": 4, "sync": sync, "outputs": True},
        }
    )
    (plain,), (gemm,) = plain_lower(op, "forward"), lower(op, "forward")
    assert time_gemm(hw, gemm).tile_cycles.tolist() == plain_time(hw, plain).tile_cycles == [8, 8, 8]
