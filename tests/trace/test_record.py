"""An operation's record refuses what cannot have happened."""

from __future__ import annotations

import inspect
import os
import subprocess
import sys
from dataclasses import fields
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given

import accelsim
from accelsim.errors import TraceError
from accelsim.trace import Entry, OpTrace
from accelsim.trace.entry import encode
from accelsim.trace.plain import FormatError
from accelsim.trace.record import Facts
from accelsim.trace.reference import record_markdown
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


def test_the_page_says_what_every_field_means() -> None:
    page = (Path(__file__).parents[2] / "docs" / "tracing.md").read_text(encoding="utf-8")
    assert record_markdown() in page, "run: python -m accelsim.trace.reference docs/tracing.md"
    signature = inspect.signature(OpTrace)
    assert all(f"\n| {name} | " in record_markdown() for name in signature.parameters)
    assert all(parameter.kind is inspect.Parameter.KEYWORD_ONLY for parameter in signature.parameters.values())


WITH_RANK = """
import sys
from accelsim.trace import OpTrace, TraceWriter, open_trace
from accelsim.trace.reference import record_markdown

with TraceWriter("run.pkl") as writer:
    writer.write(OpTrace(name="fc", step=0, weight=[[1]], input=[[1]], rank=3))
reader = open_trace("run.pkl")
assert [op.rank for op in reader] == [entry.rank for entry in reader.entries] == [3]
assert "| rank | of the process |" in record_markdown()
"""


def test_a_new_field_is_one_line(tmp_path: Path) -> None:
    """Operations, headers, writer, reader and documentation have what a line in `Facts` says."""
    package = Path(accelsim.__file__).parent
    for part in (*package.glob("*.py"), *(package / "trace").glob("*.py")):
        copied = tmp_path / "accelsim" / part.relative_to(package)
        copied.parent.mkdir(parents=True, exist_ok=True)
        text = part.read_text(encoding="utf-8")
        if part.name == "record.py":
            line = '    rank: int = field(default=0, metadata=told(COUNT, "of the process"))\n'
            text = text.replace("    dtype: str = ", line + "    dtype: str = ")
        copied.write_text(text, encoding="utf-8")
    environment = {**os.environ, "PYTHONPATH": str(tmp_path)}
    done = subprocess.run(
        [sys.executable, "-c", WITH_RANK], cwd=tmp_path, env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr


def test_a_header_has_every_field_of_its_kind() -> None:
    plain = encode(small_op(), 0)[0].to_plain()
    assert list(plain) == [*(part.name for part in fields(Facts)), "macs", "masks"]
    for name in plain:
        with pytest.raises(FormatError):
            Entry.from_plain({**plain, name: object()})
        with pytest.raises(FormatError, match="its fields are not those of an operation"):
            Entry.from_plain({key: value for key, value in plain.items() if key != name})
