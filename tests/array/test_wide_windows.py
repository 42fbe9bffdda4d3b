"""Queues that never fill: one step a window gives what the reference gives cycle by cycle."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from accelsim.array import time_gemm
from accelsim.hardware.model import Hardware
from accelsim.lowering import PASSES, lower
from accelsim.trace.record import OpTrace
from tests.oracle.array import plain_time
from tests.oracle.lowering import plain_lower


@st.composite
def cases(draw: st.DrawFn) -> tuple[Hardware, OpTrace]:
    """A machine with wide windows and deep queues, and a linear layer that has several windows."""
    tensors = st.lists(st.sampled_from(("weight", "activation", "gradient")), unique=True)
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    extents = st.integers(1, 6), st.integers(1, 6), st.sampled_from((1, 128, 257, 300))
    outputs, features, tokens = draw(st.permutations([draw(extent) for extent in extents]))

    def mask(*shape: int) -> np.ndarray:
        found = rng.random(shape) < draw(st.sampled_from((0.05, 0.5, 1.0)))
        found[:, 128 : draw(st.sampled_from((128, 260)))] = False  # windows that may be dropped
        return found

    def needed(*shape: int) -> np.ndarray | None:
        return draw(st.sampled_from((None, rng.random(shape) < 0.3)))

    op = OpTrace(
        name="fc",
        step=0,
        weight=mask(outputs, features),
        input=mask(tokens, features),
        grad_output=rng.random((tokens, outputs)) < 0.5,
        output_needed=needed(tokens, outputs),
        input_grad_needed=needed(tokens, features),
        weight_grad_needed=needed(outputs, features),
    )
    hw = Hardware.model_validate(
        {
            "name": "unbounded",
            "array": {
                "rows": draw(st.integers(1, 5)),
                "cols": draw(st.sampled_from((1, 3, 8, 70))),
                "lanes": draw(st.integers(1, 5)),
            },
            "skipping": {
                "tensors": draw(tensors.filter(len)),
                "scan_width": draw(st.sampled_from((128, 130, 192, 256, 4096))),
                "fifo_depth": draw(st.sampled_from((4096, 1 << 20))),
                "sync": draw(st.sampled_from(("pe", "row", "column", "array"))),
                "blocks": draw(tensors),
                "outputs": draw(st.booleans()),
            },
        }
    )
    return hw, op


@pytest.mark.reference
@settings(max_examples=60, deadline=None)
@given(cases(), st.sampled_from(PASSES))
def test_equals_the_reference(case: tuple[Hardware, OpTrace], which: str) -> None:
    hw, op = case
    for gemm, plain in zip(lower(op, which), plain_lower(op, which), strict=True):
        expected, timing = plain_time(hw, plain), time_gemm(hw, gemm)
        assert timing.tile_cycles.tolist() == expected.tile_cycles
        slots = {name: count for name, count in vars(timing.slots).items() if count}
        assert slots == {name: count for name, count in expected.slots.items() if count}


def test_queues_that_may_fill_stall() -> None:
    """Of 300 pairs, 172 wait after the first window, too many for the second one's 128 in a queue of 256."""
    op = OpTrace(name="fc", step=0, weight=np.ones((1, 300)), input=np.ones((1, 300)))
    (gemm,), (plain,) = lower(op, "forward"), plain_lower(op, "forward")
    for depth in (128, 256, 299, 300):
        hw = Hardware.model_validate(
            {
                "name": "m",
                "array": {"rows": 1, "cols": 1},
                "skipping": {"tensors": ["weight"], "scan_width": 128, "fifo_depth": depth},
            }
        )
        expected, timing = plain_time(hw, plain), time_gemm(hw, gemm)
        assert timing.tile_cycles.tolist() == expected.tile_cycles
        assert timing.slots.sync == expected.slots["sync"]
