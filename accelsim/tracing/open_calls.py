"""Calls from their forward to the last of their gradients, and where their records go."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Protocol

import torch

from accelsim.trace.record import OpTrace
from accelsim.trace.unlowered import EVALUATION
from accelsim.tracing.calls import Call
from accelsim.tracing.unlowered import Unlowered


class Sink(Protocol):
    """Where records go: a trace file's writer, or what stands for one."""

    path: Path
    meta: dict[str, Any]

    def write(self, op: OpTrace) -> None:
        """Take a record."""

    def close(self) -> None:
        """Take note that `meta` is final and no record follows."""


class OpenCalls:
    """Links gradients to their calls, and writes a call when all of its gradients have come, or none can come any more.

    A backward operation is linked to its forward exactly: the autograd node that executes carries the sequence number
    that it was given when the forward call created it.

    Args:
        writer: gets the records.
        unlowered: counts what is written, and calls of an evaluation, which are not.

    Attributes:
        records: how many records the running step has so far.
        dtypes: number types of all recorded inputs.
    """

    def __init__(self, writer: Sink, unlowered: Unlowered) -> None:
        self._writer, self._unlowered = writer, unlowered
        self._open: dict[int, Call] = {}
        self._step = 0
        self.records = 0
        self.dtypes: set[str] = set()

    @property
    def waits(self) -> bool:
        """Whether there are calls whose gradients may still come."""
        return bool(self._open)

    def begin_step(self, step: int) -> None:
        """Count the records of a step from here on."""
        self._step, self.records = step, 0

    def end_step(self) -> None:
        """Count the calls of an evaluation, keep those whose gradients may come in the next step."""
        for number, call in list(self._open.items()):
            if call.evaluation and call.grad_output is None:
                self._unlowered.add(call.operator, EVALUATION, call.to_record().macs)
                del self._open[number]
            else:
                self.records += call.step == self._step

    def write_until(self, step: int) -> None:
        """Write the calls up to this step's whose backward never came, or not in full."""
        for number, call in list(self._open.items()):
            if call.step <= step:
                del self._open[number]
                self.write(call)

    def forget(self, step: int) -> None:
        """Leave the incomplete calls from a step on unwritten."""
        self._open = {number: call for number, call in self._open.items() if call.step < step}

    def open(self, number: int, call: Call) -> None:
        """Let a call wait for its gradients, under the sequence number of its node."""
        self._open[number] = call

    def give_up(self, number: int) -> None:
        """Write the call of a node whose gradients cannot be told from others, if there is one."""
        if (call := self._open.pop(number, None)) is not None:
            self.write(call)

    def called(self, node: Any) -> Call | None:
        """Return the call that created the node, with the gradients that are expected; None if there is none."""
        task = torch._C._current_graph_task_id()
        call = self._open.get(node._sequence_nr())
        if call is None or call.backward_task not in (None, task) or not _is_node_of(node, call.operator):
            return None
        if call.backward_task is None and call.product is not None:
            call.expected = call.product.wanted(node)
        call.backward_task = task
        return call

    def pass_over(self, node: Any) -> None:
        """Let a gradient go that a tensor subclass computed in another way than by one product."""
        call = self.called(node)
        if call is not None and call.expected:
            call.expected.pop(0)
            self.close_if_complete(call, node)

    def close_if_complete(self, call: Call, node: Any) -> None:
        """Write a call whose last gradient has come."""
        if not call.expected:
            del self._open[node._sequence_nr()]
            self.write(call)

    def write(self, call: Call) -> None:
        """Write a call's record."""
        record = call.to_record()
        self._unlowered.recorded_macs += record.macs * (1 + record.needs_input_grad + record.needs_weight_grad)
        self._writer.write(record)
        self.records += call.step == self._step
        self.dtypes.add(record.dtype)


def _is_node_of(node: Any, function: Any) -> bool:
    """Whether autograd named a node after an operator: MmBackward0 for aten.mm, AddmmBackward0 for aten.addmm_."""
    name = function.overloadpacket.__name__.strip("_").title().replace("_", "")
    return bool(node.name().startswith(f"{name}Backward"))
