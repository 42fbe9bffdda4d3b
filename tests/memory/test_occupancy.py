"""What lies in the buffers never exceeds a half, comes and goes."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from accelsim import Hardware, OpTrace
from accelsim.array import TiledGemm, time_tiled
from accelsim.lowering import lower, passes_of
from accelsim.memory import Mover
from accelsim.memory.events import event_spans
from accelsim.memory.occupancy import Occupancy, occupancies

CAPACITY = {"A": "weight_kib", "B": "input_kib", "sums": "output_kib"}


def machine(search: str, buffers: dict[str, Any], count: int = 1) -> Hardware:
    return Hardware.model_validate(
        {
            "name": "small",
            "array": {"rows": 4, "cols": 4, "count": count},
            "memory": {"dram": {"bytes_per_cycle": 3, "latency_cycles": 9}, "buffers": buffers},
            "mapping": {"search": search},
        }
    )


def layer(channels: int, outputs: int, image: int, kernel: int, stride: int = 1) -> OpTrace:
    size = (image + 2 * (kernel // 2) - kernel) // stride + 1
    return OpTrace(
        name="conv",
        step=0,
        weight=np.ones((outputs, channels, kernel, kernel)),
        input=np.ones((2, channels, image, image)),
        grad_output=np.ones((2, outputs, size, size)),
        padding=(kernel // 2,) * 2,
        stride=(stride, stride),
    )


def run(hw: Hardware, op: OpTrace) -> list[tuple[Mover, dict[str, Occupancy]]]:
    found = []
    for which in passes_of(op):
        mover = Mover(hw)
        for gemm in lower(op, which):
            tiled = TiledGemm.of(hw, gemm)
            mover.add(tiled, time_tiled(hw, tiled))
        assert hw.memory.dram is not None
        spans = event_spans(hw.memory.dram, mover.steps)
        found.append((mover, {one.buffer: one for one in occupancies(hw, mover.steps, spans)}))
    return found


@pytest.mark.relations
@given(
    st.sampled_from(["fixed", "best"]),
    st.integers(1, 4),
    st.integers(1, 4),
    st.integers(1, 2),
    st.integers(1, 20),
    st.integers(1, 20),
    st.integers(1, 9),
    st.sampled_from([1, 3]),
    st.integers(1, 2),
    st.integers(1, 3),
)
def test_no_half_holds_more_than_it_can(
    search: str,
    weight_kib: int,
    input_kib: int,
    output_kib: int,
    channels: int,
    outputs: int,
    image: int,
    kernel: int,
    stride: int,
    count: int,
) -> None:
    buffers = {"weight_kib": weight_kib, "input_kib": input_kib, "output_kib": output_kib}
    hw = machine(search, buffers, count)
    for mover, held in run(hw, layer(channels, outputs, image, kernel, stride)):
        assert set(held) == set(CAPACITY)
        for buffer, one in held.items():
            assert one.half_bytes.min() >= 0
            assert one.half_bytes.max() <= buffers[CAPACITY[buffer]] * 512
            assert (np.diff(one.cycles) > 0).all()
            assert not one.half_bytes[-1].any()
        assert held["sums"].half_bytes.max() > 0
        assert mover.steps.loaded_a.sum() < mover.steps.loaded_elements.sum()


@pytest.mark.closed_form
def test_one_block_comes_and_goes() -> None:
    hw = machine("best", {"weight_kib": 4, "input_kib": 4, "output_kib": 4})
    op = OpTrace(name="fc", step=0, weight=np.ones((4, 30)), input=np.ones((4, 30)))
    ((mover, held),) = run(hw, op)
    assert len(mover.steps) == 1
    word, total = hw.precision.operand_bits // 8, hw.precision.accumulator_bits // 8
    assert held["A"].half_bytes.tolist() == [[4 * 30 * word, 0], [0, 0]]
    assert held["B"].half_bytes.tolist() == [[4 * 30 * word, 0], [0, 0]]
    assert held["sums"].half_bytes.tolist() == [[16 * total, 0], [0, 0]]
    load = -(-2 * 4 * 30 * word // 3)
    assert held["A"].cycles.tolist() == [0, load + 9 + 30]
    assert held["sums"].cycles.tolist() == [load + 9, load + 9 + 30 + -(-16 * word // 3)]
