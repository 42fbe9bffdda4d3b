"""GEMMs of several groups at a time: the same masks, and the same results."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from accelsim import Hardware, OpTrace, load_hardware, simulate
from accelsim.lowering import Lowering, MaskedGemm, lower, passes_of
from tests.strategies import machines, operations


@pytest.fixture
def two_at_a_time(monkeypatch: pytest.MonkeyPatch) -> None:
    def pairs(self: Lowering, words: int, stacked: bool) -> Iterator[tuple[int, int]]:
        for first in range(0, self.groups, 2 if stacked else 1):
            yield first, min(2 if stacked else 1, self.groups - first)

    monkeypatch.setattr(Lowering, "_stacks", pairs)


def one_by_one(self: Lowering, words: int, stacked: bool) -> Iterator[tuple[int, int]]:
    return ((group, 1) for group in range(self.groups))


def same(one: MaskedGemm, other: MaskedGemm) -> None:
    """The same GEMM, with the same masks, and B gathered from the same lines."""
    for name in ("m", "n", "k", "a_kind", "b_kind", "output_kind", "group", "phase"):
        assert getattr(one, name) == getattr(other, name), name
    for name in ("a", "columns", "needed"):
        np.testing.assert_array_equal(getattr(one, name), getattr(other, name))
    for name in ("images", "lines", "channels", "line_elements", "grid_lines", "grid_width", "along"):
        assert getattr(one.footprint, name) == getattr(other.footprint, name), name
    for name in ("line_nonzeros", "first", "last"):
        np.testing.assert_array_equal(getattr(one.footprint, name), getattr(other.footprint, name))


@pytest.mark.reference
@settings(deadline=None, max_examples=200)
@given(operations())
def test_a_stack_holds_the_gemms_of_its_groups(op: OpTrace) -> None:
    for which in passes_of(op):
        stacks = list(Lowering(op).gemms(which, stacked=True))
        alone = [gemm for stack in stacks for gemm in stack.alone()]
        assert len(stacks) <= max(1, len(alone) // op.groups)
        singles = list(lower(op, which))
        assert sum(stack.macs for stack in stacks) == sum(gemm.macs for gemm in singles)
        assert sum(stack.effectual_macs for stack in stacks) == sum(gemm.effectual_macs for gemm in singles)
        for one, other in zip(sorted(alone, key=lambda gemm: gemm.group), singles, strict=True):
            same(one, other)


def numbers(hw: Hardware, op: OpTrace) -> list[object]:
    """All that a simulation finds out about an operation, steps included."""
    found: list[object] = []
    result = simulate(
        hw, [op], workers=1, on_pass=lambda _, row, detail: found.append((repr(row), repr(vars(detail.steps))))
    )
    return [*found, result.layers.to_csv()]


@pytest.mark.reference
@settings(deadline=None, max_examples=100)
@given(operations(), machines(), st.sampled_from((None, 1)), st.sampled_from((1, 1, 2)))
def test_stacks_change_no_number(op: OpTrace, hw: Hardware, kib: int | None, arrays: int) -> None:
    buffers = hw.memory.buffers.model_copy(
        update={} if kib is None else dict.fromkeys(("weight_kib", "input_kib", "output_kib"), kib)
    )
    memory = load_hardware("hw_configs/edge8x8.yaml").memory.model_copy(update={"buffers": buffers})
    array = hw.array.model_copy(update={"count": arrays})
    hw = hw.model_copy(update={"memory": memory, "array": array})
    stacked = numbers(hw, op)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Lowering, "_stacks", one_by_one)
        assert numbers(hw, op) == stacked


@pytest.mark.usefixtures("two_at_a_time")
def test_the_last_stack_may_be_smaller() -> None:
    rng = np.random.default_rng(0)
    masks = {"weight": rng.random((5, 1, 3, 3)) < 0.5, "input": rng.random((2, 5, 6, 6)) < 0.5}
    op = OpTrace(
        name="depthwise",
        step=0,
        grad_output=rng.random((2, 5, 3, 3)) < 0.5,
        stride=(2, 2),
        padding=(1, 1),
        groups=5,
        **masks,
    )
    assert [gemm.stack for gemm in Lowering(op).gemms("forward", stacked=True)] == [2, 2, 1]
    hw = load_hardware("hw_configs/pe16x16.yaml")
    pairs = numbers(hw, op)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Lowering, "_stacks", one_by_one)
        assert numbers(hw, op) == pairs
