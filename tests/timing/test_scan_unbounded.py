"""Queues that never fill: one step a window gives what the reference gives cycle by cycle."""

from __future__ import annotations

import time
from dataclasses import fields

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from accelsim import load_hardware
from accelsim.hardware.model import Hardware
from accelsim.lowering import PASSES, lower
from accelsim.lowering.reference import plain_lower
from accelsim.timing import GemmTiming, scan, time_gemm
from accelsim.timing.reference import plain_time
from accelsim.trace.record import OpTrace


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


@pytest.mark.parametrize("sync", ["pe", "row", "column", "array"])
@pytest.mark.parametrize("blocks", [[], ["weight", "activation"]])
@pytest.mark.parametrize("outputs", [False, True])
def test_counts_equal_those_of_queues_in_steps(
    sync: str, blocks: list[str], outputs: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Windows, pushes and streamed words, which the reference does not count."""
    rng = np.random.default_rng(0)
    weight, image = rng.random((11, 300)) < 0.2, rng.random((13, 300)) < 0.5
    weight[:, 128:260] = False
    op = OpTrace(name="fc", step=0, weight=weight, input=image, output_needed=rng.random((13, 11)) < 0.3)
    hw = Hardware.model_validate(
        {
            "name": "m",
            "array": {"rows": 4, "cols": 4, "lanes": 2},
            "skipping": {
                "tensors": ["weight", "activation"],
                "scan_width": 128,
                "fifo_depth": 300,
                "sync": sync,
                "blocks": blocks,
                "outputs": outputs,
            },
        }
    )
    (gemm,) = lower(op, "forward")
    unbounded = time_gemm(hw, gemm)
    monkeypatch.setattr(scan, "may_fill", lambda hw, k: True)
    stepped = time_gemm(hw, gemm)
    for field in fields(GemmTiming):
        ours, theirs = getattr(unbounded, field.name), getattr(stepped, field.name)
        assert np.array_equal(ours, theirs), field.name


def test_queues_that_may_fill_are_not_unbounded() -> None:
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


def test_the_ideal_machine_compiles_nothing_and_is_as_fast_as_a_real_one(monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(0)
    image = rng.random((4, 32, 16, 16)) < 0.5
    op = OpTrace(
        name="conv",
        step=0,
        weight=rng.random((64, 32, 3, 3)) < 0.2,
        input=image,
        grad_output=rng.random((4, 64, 16, 16)) < 0.4,
        padding=(1, 1),
        input_grad_needed=image,
    )
    gemms = [gemm for which in PASSES for gemm in lower(op, which)]
    seconds = {}
    for name in ("pe16x16", "ideal16x16"):
        hw = load_hardware(f"hw_configs/{name}.yaml")
        if name == "ideal16x16":
            monkeypatch.setattr(scan, "compile_block", None)
        for _ in range(3):  # the first one compiles or loads code
            start = time.process_time()
            for gemm in gemms:
                time_gemm(hw, gemm)
            seconds[name] = min(seconds.get(name, np.inf), time.process_time() - start)
    assert seconds["ideal16x16"] < 20 * seconds["pe16x16"]
