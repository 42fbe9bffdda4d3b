"""An operation's record refuses what cannot have happened."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given

from accelsim.errors import TraceError
from accelsim.trace import OpTrace
from tests.trace.operations import ops, small_op


@given(ops())
def test_output_shape_is_torchs(op: OpTrace) -> None:
    weight, x = torch.from_numpy(op.weight).float(), torch.from_numpy(op.input).float()
    common = {"stride": op.stride, "dilation": op.dilation, "groups": op.groups}
    if op.kind == "conv_transpose":
        # output_padding must be smaller than stride or dilation for torch to run it
        if any(o >= max(s, d) for o, s, d in zip(op.output_padding, op.stride, op.dilation, strict=True)):
            return
        y = torch.conv_transpose2d(x, weight, padding=op.padding, output_padding=op.output_padding, **common)
    else:
        top, left, bottom, right = op.padding if len(op.padding) == 4 else op.padding * 2
        y = torch.conv2d(torch.nn.functional.pad(x, (left, right, top, bottom)), weight, **common)
    assert op.output_shape == tuple(y.shape)


def test_linear_and_1d_get_four_dimensions() -> None:
    linear = OpTrace(name="fc", step=0, weight=np.ones((4, 3)), input=np.ones((5, 3)), grad_output=np.ones((5, 4)))
    assert linear.grad_output is not None
    assert linear.grad_output.shape == (5, 4, 1, 1)
    assert linear.macs == 5 * 4 * 3
    conv1d = OpTrace(name="c", step=0, weight=np.ones((4, 3, 2)), input=np.ones((5, 3, 9)), stride=(1, 2))
    assert conv1d.output_shape == (5, 4, 1, 4)


def test_padding_whose_sides_agree_is_two_numbers() -> None:
    assert small_op(padding=(1, 0, 1, 0), grad_output=None).padding == (1, 0)
    assert small_op(padding=(1, 0, 0, 0), grad_output=None).padding == (1, 0, 0, 0)


@pytest.mark.parametrize(
    ("changes", "cause"),
    [
        ({"step": -1}, "step is -1, expected at least 0"),
        ({"step": 1.5}, "step is 1.5, expected an integer"),
        ({"order": -1}, "order is -1"),
        ({"groups": 0}, "groups is 0"),
        ({"groups": 3}, "does not fit an input of 3 channels in 3 groups"),
        ({"stride": (0, 1)}, "stride is"),
        ({"stride": 2}, "stride is 2, expected two integers"),
        ({"padding": (0.5, 0)}, "padding is"),
        ({"padding": (1, 1, 1)}, r"padding is \(1, 1, 1\), expected \(rows, columns\) or \(top, left, bottom, right\)"),
        ({"padding": (1, 1, 1, -1)}, "padding is"),
        ({"dtype": None}, "dtype is None, expected a str"),
        ({"name": "a\ud800"}, r"name is 'a.ud800', expected a str of valid Unicode"),
        ({"input": np.ones((1, 3, 0, 5)), "padding": (2, 0)}, "too small for the kernel"),
        ({"kind": "conv3d"}, "kind is 'conv3d', expected one of conv"),
        ({"dilation": (3, 1)}, "too small for the kernel"),
        ({"grad_output": np.ones((1, 2, 4, 4))}, r"grad_output has shape .* expected \(1, 2, 4, 3\)"),
        ({"input_grad_needed": np.ones((1, 3, 5, 6))}, "input_grad_needed has shape"),
        ({"weight": np.ones(3)}, "weight has shape .* expected 2, 3 or 4 dimensions"),
        ({"weight": "w"}, "conv1: weight: .* holds no numbers"),
    ],
)
def test_refused(changes: dict[str, object], cause: str) -> None:
    with pytest.raises(TraceError, match=cause):
        small_op(**changes)
