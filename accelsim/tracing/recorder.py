"""The dispatch mode: sees every operation as it executes and writes a record for each call of a layer."""

from __future__ import annotations

import os
import sys
from collections import Counter
from collections.abc import Sequence
from types import FrameType
from typing import Any

import torch
from torch import nn
from torch._subclasses.fake_tensor import FakeTensor
from torch.multiprocessing.reductions import StorageWeakRef
from torch.utils import checkpoint
from torch.utils._python_dispatch import TorchDispatchMode

from accelsim.errors import TracingError
from accelsim.trace.bitmask import BitMask
from accelsim.trace.unlowered import EVALUATION
from accelsim.tracing import annotations as notes
from accelsim.tracing import operands as ops
from accelsim.tracing.calls import Call
from accelsim.tracing.composites import Composites
from accelsim.tracing.containment import Containment, OutOfSight
from accelsim.tracing.names import Frame, ModuleNames
from accelsim.tracing.open_calls import OpenCalls
from accelsim.tracing.operands import Operands, activation_view
from accelsim.tracing.other_work import OtherWorkLog
from accelsim.tracing.packing import pack
from accelsim.tracing.provenance import Provenance
from accelsim.tracing.roles import Role, Roles
from accelsim.tracing.storages import is_dense
from accelsim.tracing.unfolding import Unfolding
from accelsim.tracing.unlowered import OUTSIDE, Unlowered, count_macs, multiplies
from accelsim.tracing.unseen import Unseen
from accelsim.tracing.zeros import Zeros

_DEFAULT = torch.Tensor.__torch_dispatch__
_RUN_BACKWARD = torch.autograd.graph._engine_run_backward.__code__

BACKWARD_UNKNOWN = "backward of an operation that was not recorded, or a second backward through it"


class Recorder(TorchDispatchMode):
    """Records operations while it is on the mode stack.

    Args:
        model: the model that trains.
        names: tell which module runs.
        calls: get each call of a layer, and its gradients.
        zeros: what counts as zero.
        unlowered: counts what multiplies and is not recorded.
        unseen: waits for operations with modules' weights.
        other_work: counts what works between the products.
        contained: what the tracer's own work runs in.

    Attributes:
        operations: how many operations that multiply were seen in this step.
    """

    supports_higher_order_operators = True

    def __init__(
        self,
        model: nn.Module,
        names: ModuleNames,
        calls: OpenCalls,
        zeros: Zeros,
        unlowered: Unlowered,
        unseen: Unseen,
        other_work: OtherWorkLog,
        contained: Containment,
    ) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self._model, self._names, self._calls, self._zeros = model, names, calls, zeros
        self._unlowered, self._unseen, self._contained = unlowered, unseen, contained
        self._other_work = other_work
        self._composites = Composites()
        self._provenance = Provenance()
        self._process = os.getpid()
        self._roles = Roles(self._composites)
        self._weights: dict[tuple[Any, ...], tuple[StorageWeakRef, BitMask]] = {}
        self._unfolding: Unfolding | None = None
        self._counts: Counter[tuple[str, bool]] = Counter()
        self.begin_step(0)

    def begin_step(self, step: int, recorded: bool = True) -> None:
        """Start a step afresh; of one that is not recorded, take the gradients that belong to the step before."""
        self.operations = 0
        self._step, self._recorded = step, recorded
        self._order = 0
        self._calls.begin_step(step)
        self._other_work.begin_step(step, recorded)
        self._counts.clear()
        self._weights.clear()
        self._provenance.clear()
        notes.forget()

    def __torch_dispatch__(
        self, function: Any, types: Sequence[type], args: Sequence[Any] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        kwargs = kwargs or {}
        if any(getattr(kind, "__torch_dispatch__", _DEFAULT) is not _DEFAULT for kind in types):
            return self._unfold(function, types, args, kwargs) if self._listens() else NotImplemented
        role: Role = "other"
        tag = None
        if self._listens():
            with self._contained:
                if self._unseen and self._names.current is not None:
                    self._unseen.saw(function, args, self._provenance.origin)
                role = self._roles.of(function, args, kwargs)
                tag = self._provenance.tag_of_result(function, args, kwargs)
        if role == "composite":
            return self._composites.run(self, function, args, kwargs)
        number = torch._C._autograd._get_sequence_nr() - 1  # of the node that this call created, if any
        result = self._composites.call(function, args, kwargs)  # the training's own: what it raises is not ours
        if self._listens():
            with self._contained:
                self._provenance.follow(function, args, kwargs, result, tag)
                if role == "other":
                    self._other_work.saw(function, args, self._names, self._model.training)
                else:
                    self.operations += 1
                    with OutOfSight():
                        self._multiplication(role, function, args, kwargs, number, result)
        return result

    def _listens(self) -> bool:
        # a DataLoader's forked worker inherits this mode
        return self._contained.failure is None and os.getpid() == self._process

    def _unfold(self, function: Any, types: Sequence[type], args: Sequence[Any], kwargs: dict[str, Any]) -> Any:
        """Let a tensor subclass run its operation, and remember it meanwhile: its parts are below autograd."""
        if any(issubclass(kind, FakeTensor) for kind in types):
            return function(*args, **kwargs)  # shapes alone, as DTensor asks for them: nothing is multiplied
        if self._unfolding is not None and self._unfolding.begins:
            self._unfolding.begins = False
            return NotImplemented
        wanted = False
        with self._contained:
            wanted = function.overloadpacket in ops.ALL or multiplies(function)
        if not wanted:
            return NotImplemented
        around, self._unfolding = self._unfolding, Unfolding(function, args)
        try:
            with self:
                return function(*args, **kwargs)
        finally:
            with self._contained:
                node = torch._C._current_autograd_node()
                if node is not None and not self._unfolding.linked and function.overloadpacket in ops.PRODUCTS:
                    self._calls.pass_over(node)
            self._unfolding = around

    def _multiplication(
        self, role: Role, function: Any, args: Sequence[Any], kwargs: dict[str, Any], number: int, result: Any
    ) -> None:
        """Record an operation that has run, or count it."""
        node = torch._C._current_autograd_node()
        frame = self._names.current
        shown = args if self._unfolding is None else self._unfolding.arguments_of(function, args)
        in_backward = node is not None and (frame is None or frame.node is not node) and not _is_recomputing()
        if node is not None and "CompiledFunction" in node.name():
            raise TracingError(
                "a torch.compile'd backward ran while recording, which hides its operations: leave the part of the loop"
                " that records uncompiled (torch.compiler.set_stance('force_eager'))"
            )
        reason: str | None
        if frame is not None and not in_backward:
            self._unseen.multiplied(frame.name)
        if in_backward:
            reason = self._backward(role, node, args, shown)
        elif not self._recorded:
            return
        elif role in ("unlowered", "convolution_backward"):
            reason = self._outside(frame, shown) or "no lowering to a convolution or matrix product"
        else:
            reason = self._forward(role, function, frame, args, shown, number, result)
        if reason is not None and self._recorded and (macs := count_macs(function, args, kwargs, result)) != 0:
            self._unlowered.add(function, reason, macs)

    def _outside(self, frame: Frame | None, args: Sequence[Any]) -> str | None:
        if not self._model.training and not _builds_graph(args):
            return EVALUATION
        return OUTSIDE if frame is None else None

    def _forward(
        self,
        role: Role,
        function: Any,
        frame: Frame | None,
        args: Sequence[Any],
        shown: Sequence[Any],
        number: int,
        result: torch.Tensor,
    ) -> str | None:
        """Open a call, and write it unless a backward may come; return why not, if it cannot be recorded."""
        reason = self._outside(frame, shown)
        if reason or frame is None:
            return reason or OUTSIDE
        if role == "convolution":
            operands = ops.convolution(args, self._provenance.rim)
        else:
            operands = ops.product(function, args, shown, frame.module, self._provenance)
        if operands is None:
            return "three image dimensions, or a sparse or nested layout"
        if operands.weight.numel() == 0 or operands.input.numel() == 0:
            return None  # nothing to multiply
        first = 1 if role == "added_product" else 0
        call = self._call(operands, function, frame, shown[first : first + 2], result)
        if not torch.is_grad_enabled() or not any(operand.requires_grad for operand in shown[first : first + 2]):
            self._calls.write(call)
        elif self._unfolding is None or self._unfolding.link():
            self._calls.open(number, call)
        else:  # a second product inside one of a tensor subclass: no gradient can be told to be that of either
            self._calls.give_up(number)
            self._calls.write(call)
        return None

    def _call(
        self, operands: Operands, function: Any, frame: Frame, shown: Sequence[torch.Tensor], result: torch.Tensor
    ) -> Call:
        matmul = operands.geometry.kind == "matmul"
        if matmul:
            name = f"{frame.name}.matmul{next(frame.matmuls)}"
        else:
            # layers that mask their weights, or another layer's, give the operation their own name
            weight = shown[0 if operands.layout in ops.WEIGHT_FIRST else 1]
            masked = self._provenance.is_masked(weight)
            name = self._names.operation_name(frame, None if masked else self._provenance.origin(weight))
        view, shape = operands.input_view()
        threshold = self._zeros.threshold("activation", operands.input)
        mask = pack(view, threshold, shape)
        needed = None
        if self._provenance.stops_gradient_at_zeros(operands.input, frame.node is not None):
            needed = mask if threshold == 0 else pack(view, 0.0, shape)
        evaluation = not self._model.training
        number = self._counts[name, evaluation]
        self._counts[name, evaluation] += 1
        order, self._order = self._order, self._order + 1
        return Call(
            name=name,
            step=self._step,
            call=number,
            order=order,
            operator=function,
            evaluation=evaluation,
            recomputed=frame.node is not None,
            dtype=str(operands.input.dtype).removeprefix("torch."),
            geometry=operands.geometry,
            layout=operands.layout,
            output_shape=tuple(result.shape),
            product=operands.product,
            weight=self._pack_weight(operands, matmul),
            input=mask,
            input_grad_needed=needed,
            output_needed=_output_needed(name, operands, result),
            weight_grad_needed=None if matmul else _weight_grad_needed(operands),
        )

    def _pack_weight(self, operands: Operands, matmul: bool) -> BitMask:
        view, shape = operands.weight_view()
        if matmul:
            return pack(view, self._zeros.threshold("activation", view), shape)
        base = view if view._base is None else view._base
        if not isinstance(base, nn.Parameter):
            return pack(view, self._zeros.threshold("weight", view), shape)
        # two views of a batch run the same weights: pack them once
        storage = view.untyped_storage()  # the weak reference keeps its address from being used again
        key = storage._cdata, view.data_ptr(), tuple(view.shape), view.stride()
        known = self._weights.get(key)
        if known is not None and self._provenance.is_unwritten(base):
            return known[1]
        mask = pack(view, self._zeros.threshold("weight", view), shape)
        self._weights[key] = StorageWeakRef(storage), mask
        self._provenance.mark_unwritten(base)
        return mask

    def _backward(self, role: Role, node: Any, args: Sequence[Any], shown: Sequence[Any]) -> str | None:
        """Complete the call that created the node; return why not, if there is none."""
        if (foreign := _foreign(role, node)) is not None:
            return foreign
        computed = args[-1][:2] if role == "convolution_backward" else (True, True)
        if not any(computed):
            return None  # the bias's gradient alone is a sum
        unfolding = self._unfolding
        unknown = BACKWARD_UNKNOWN if unfolding is None else f"backward of a {unfolding.kind}"
        call = self._calls.called(node) if unfolding is None or unfolding.link() else None
        if call is None:
            return unknown
        if call.product is None:
            gradient = args[0]
            call.computed = {first for first, wanted in zip((True, False), computed, strict=True) if wanted}
            call.expected = []
        else:
            first = call.expected.pop(0)
            gradient = call.product.gradient_in(shown[:2], args[:2], first)
            if gradient is not None:
                call.computed.add(first)
        if gradient is None or not is_dense(gradient) or tuple(gradient.shape) != call.output_shape:
            call.computed.clear()
            return unknown
        if call.grad_output is None:
            view, shape = activation_view(gradient, call.layout)
            call.grad_output = pack(view, self._zeros.threshold("gradient", gradient), shape)
        self._calls.close_if_complete(call, node)
        return None


def _foreign(role: Role, node: Any) -> str | None:
    """Say why an operation in the backward cannot belong to a recorded call, None if it can."""
    own = isinstance(node, torch.autograd.function.BackwardCFunction)
    if own:
        return f"inside the backward of a function of the user's own ({type(node).__name__.removesuffix('Backward')})"
    if role in ("unlowered", "convolution", "added_product"):
        return "inside the backward of another operation (a double backward, or a function of the user's own)"
    return None


def _output_needed(name: str, operands: Operands, result: torch.Tensor) -> BitMask | None:
    needed = notes.output_needed()
    if needed is None:
        return None
    _, shape = activation_view(result, operands.layout)
    if operands.layout not in ("image", "rows") or needed.numel() != result.numel():
        raise TracingError(
            f"{name}: the mask of needed outputs has shape {tuple(needed.shape)}, expected that of the output,"
            f" {tuple(result.shape)}"
        )
    return pack(needed, 0.0, shape)


def _weight_grad_needed(operands: Operands) -> BitMask | None:
    view, shape = operands.weight_view()
    needed = notes.weight_grad_needed(view)
    return None if needed is None else pack(needed, 0.0, shape)


def _builds_graph(args: Sequence[Any]) -> bool:
    return torch.is_grad_enabled() and any(isinstance(arg, torch.Tensor) and arg.requires_grad for arg in args)


def _is_recomputing() -> bool:
    """Whether checkpointing runs a function again, inside the node that asked for what it had saved."""
    if not torch.is_grad_enabled():
        return False
    frame: FrameType | None = sys._getframe()
    while frame is not None and frame.f_code is not _RUN_BACKWARD:
        if frame.f_code.co_filename == checkpoint.__file__:
            return True
        frame = frame.f_back
    return False
