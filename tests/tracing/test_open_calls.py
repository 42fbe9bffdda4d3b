"""Calls and their gradients: which belong together, and when a call is written."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch

from accelsim.trace.bitmask import BitMask
from accelsim.tracing.calls import Call
from accelsim.tracing.open_calls import OpenCalls
from accelsim.tracing.operands import Geometry
from accelsim.tracing.unlowered import Unlowered

aten = torch.ops.aten


@dataclass
class Kept:
    path: Path = Path("kept")
    meta: dict[str, Any] = field(default_factory=dict)
    records: list = field(default_factory=list)

    def write(self, op):
        self.records.append(op)

    def close(self):
        pass


def _call(name, step, operator=aten.mm.default, evaluation=False):
    weight, source = (BitMask.from_array(np.ones(shape, bool)) for shape in ((3, 2, 1, 1), (4, 2, 1, 1)))
    return Call(
        name=name,
        step=step,
        call=0,
        order=0,
        operator=operator,
        evaluation=evaluation,
        recomputed=False,
        dtype="float32",
        geometry=Geometry(),
        layout="rows",
        output_shape=(4, 3),
        product=None,
        weight=weight,
        input=source,
        input_grad_needed=None,
        output_needed=None,
        weight_grad_needed=None,
    )


def _node(operator=torch.mm):
    return operator(torch.ones(4, 2, requires_grad=True), torch.ones(2, 3)).grad_fn


def test_a_gradient_belongs_to_the_call_that_made_its_node():
    kept = Kept()
    calls = OpenCalls(kept, Unlowered())
    first, second, foreign = _node(), _node(), _node(torch.matmul)
    for node, name in ((first, "a"), (second, "b")):
        calls.open(node._sequence_nr(), _call(name, 0))
    found = calls.called(second)
    assert found is not None
    assert found.name == "b"
    assert calls.called(foreign) is None
    assert calls.called(torch.relu(torch.ones(2, requires_grad=True)).grad_fn) is None
    calls.close_if_complete(found, second)
    assert [op.name for op in kept.records] == ["b"]
    assert calls.waits


def test_a_node_of_another_operator_is_not_the_calls_own():
    """A second backward may run under a number that a call has."""
    calls = OpenCalls(Kept(), Unlowered())
    node = _node()
    calls.open(node._sequence_nr(), _call("a", 0, aten.bmm.default))
    assert calls.called(node) is None


def test_calls_without_a_backward():
    kept, unlowered = Kept(), Unlowered()
    calls = OpenCalls(kept, unlowered)
    calls.begin_step(3)
    for number, (name, step, evaluation) in enumerate([("late", 2, False), ("eval", 3, True), ("new", 3, False)]):
        calls.open(number, _call(name, step, evaluation=evaluation))
    calls.end_step()  # an evaluation is counted, not written
    assert [entry["macs"] for entry in unlowered.plain().values()] == [4 * 2 * 3]
    assert calls.records == 1  # of this step
    calls.write_until(2)
    assert [op.name for op in kept.records] == ["late"]
    calls.forget(3)
    assert not calls.waits
    assert (unlowered.recorded_macs, calls.dtypes) == (4 * 2 * 3, {"float32"})


def test_a_call_that_is_given_up_is_written_as_it_is():
    kept = Kept()
    calls = OpenCalls(kept, Unlowered())
    calls.open(7, _call("a", 0))
    calls.give_up(7)
    calls.give_up(7)
    assert [(op.name, op.needs_weight_grad) for op in kept.records] == [("a", False)]
