"""Counts the work between the products as the dispatcher runs it: elements by kind of operation."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from typing import Any

import torch

from accelsim.trace.other_work import OtherWork
from accelsim.tracing.names import ModuleNames
from accelsim.tracing.storages import is_dense

aten = torch.ops.aten

_Elements = Callable[[Sequence[Any]], int]
_UPDATES = ("sgd", "momentum", "adam")
"""Kinds of update by how many numbers of state a parameter has."""


class OtherWorkLog:
    """Elements by recorded step and kind, see `accelsim.trace.other_work`."""

    def __init__(self) -> None:
        self._steps: dict[int, Counter[str]] = {}
        self._step = 0
        self._running: Counter[str] | None = None
        self._updated: set[int] = set()

    def begin_step(self, step: int, recorded: bool) -> None:
        """Count what follows as a step's, or not at all."""
        self._step, self._running = step, Counter() if recorded else None
        self._updated.clear()

    def end_step(self, has_records: bool) -> None:
        """Keep what was counted if the step is in the trace."""
        if self._running is not None and has_records:
            self._steps[self._step] = self._running
        self._running = None

    def saw(self, function: Any, args: Sequence[Any], names: ModuleNames, training: bool) -> None:
        """Count an operation that has run, if it is of a kind.

        Args:
            names: tell whether a module runs.
            training: whether the model is in training mode; what else runs without a graph is an evaluation.
        """
        found = _KINDS.get(function)
        if found is None or self._running is None:
            return
        kind, elements = found
        in_backward = torch._C._current_graph_task_id() >= 0
        if kind == "add" and not in_backward and names.current is None:
            return  # an optimiser's, or a momentum encoder's update
        if training or in_backward or torch.is_grad_enabled():
            self._running[kind] += elements(args)

    def updated(self, optimizer: torch.optim.Optimizer) -> None:
        """Count an optimiser's step; a parameter that two of them update, one inside the other, counts once."""
        if self._running is None:
            return
        for group in optimizer.param_groups:
            for parameter in group["params"]:
                if parameter.grad is None or id(parameter) in self._updated:
                    continue
                self._updated.add(id(parameter))
                size = _local(parameter)
                state = optimizer.state.get(parameter, {})
                held = sum(isinstance(part, torch.Tensor) and _local(part) == size for part in state.values())
                self._running[_UPDATES[min(held, 2)]] += size

    @property
    def done(self) -> OtherWork:
        """What was counted of the steps that are in the trace."""
        return OtherWork(dict(sorted(self._steps.items())))


def _local(tensor: torch.Tensor) -> int:
    """Elements of a tensor that are in this process."""
    return int(getattr(tensor, "_local_tensor", tensor).numel())


def _first(args: Sequence[Any]) -> int:
    return int(args[0].numel())


def _averaged(args: Sequence[Any]) -> int:
    """Of a mean over an image, which is how pooling of all of it runs; any other mean is none."""
    axes = args[1] if len(args) > 1 else None
    return _first(args) if args[0].dim() == 4 and axes and {axis % 4 for axis in axes} == {2, 3} else 0


def _added(args: Sequence[Any]) -> int:
    """Of a sum of two tensors of one shape; a bias or a counter is none."""
    if len(args) < 2 or not all(isinstance(one, torch.Tensor) and is_dense(one) for one in args[:2]):
        return 0
    one, other = args[:2]
    return int(one.numel()) if one.dim() > 1 and one.shape == other.shape and one.is_floating_point() else 0


_OPERATORS: dict[str, tuple[str, _Elements]] = {
    **dict.fromkeys(
        (
            "native_batch_norm",
            "_native_batch_norm_legit",
            "_native_batch_norm_legit_functional",
            "_native_batch_norm_legit_no_training",
            "_batch_norm_with_update",
            "_batch_norm_with_update_functional",
            "_batch_norm_no_update",
            "cudnn_batch_norm",
            "miopen_batch_norm",
            "batch_norm_elemt",
        ),
        ("batch_norm", _first),
    ),
    **dict.fromkeys(
        (
            "native_batch_norm_backward",
            "batch_norm_backward",
            "cudnn_batch_norm_backward",
            "miopen_batch_norm_backward",
            "batch_norm_backward_elemt",
        ),
        ("batch_norm_backward", _first),
    ),
    "native_group_norm": ("group_norm", _first),
    "native_group_norm_backward": ("group_norm_backward", _first),
    **dict.fromkeys(("native_layer_norm", "_fused_rms_norm"), ("layer_norm", _first)),
    **dict.fromkeys(("native_layer_norm_backward", "_fused_rms_norm_backward"), ("layer_norm_backward", _first)),
    **dict.fromkeys(
        ("relu", "relu_", "hardtanh", "hardtanh_", "leaky_relu", "leaky_relu_", "threshold", "threshold_"),
        ("relu", _first),
    ),
    **dict.fromkeys(("_prelu_kernel", "hardswish", "hardswish_", "hardsigmoid", "hardsigmoid_"), ("relu", _first)),
    **dict.fromkeys(
        (
            "threshold_backward",
            "hardtanh_backward",
            "leaky_relu_backward",
            "_prelu_kernel_backward",
            "hardswish_backward",
            "hardsigmoid_backward",
        ),
        ("relu_backward", _first),
    ),
    **dict.fromkeys(("gelu", "gelu_"), ("gelu", _first)),
    "gelu_backward": ("gelu_backward", _first),
    **dict.fromkeys(
        (
            *("sigmoid", "sigmoid_", "tanh", "tanh_", "silu", "silu_", "mish", "mish_", "elu", "elu_", "softplus"),
            *("glu", "log_sigmoid_forward"),
        ),
        ("activation", _first),
    ),
    **dict.fromkeys(
        (
            *("sigmoid_backward", "tanh_backward", "silu_backward", "mish_backward", "elu_backward"),
            *("softplus_backward", "glu_backward", "log_sigmoid_backward"),
        ),
        ("activation_backward", _first),
    ),
    **dict.fromkeys(("_softmax", "_log_softmax", "_safe_softmax"), ("softmax", _first)),
    **dict.fromkeys(("_softmax_backward_data", "_log_softmax_backward_data"), ("softmax_backward", _first)),
    **dict.fromkeys(
        (
            *("max_pool2d_with_indices", "avg_pool2d", "_adaptive_avg_pool2d", "adaptive_max_pool2d"),
            *("mkldnn_max_pool2d", "mkldnn_adaptive_avg_pool2d"),
        ),
        ("pooling", _first),
    ),
    "mean.dim": ("pooling", _averaged),
    **dict.fromkeys(
        (
            *("max_pool2d_with_indices_backward", "avg_pool2d_backward", "_adaptive_avg_pool2d_backward"),
            *("adaptive_max_pool2d_backward", "mkldnn_adaptive_avg_pool2d_backward"),
        ),
        ("pooling_backward", _first),
    ),
    **dict.fromkeys(("add", "add_"), ("add", _added)),
    "native_dropout": ("dropout", _first),
}
"""Kind and elements of operators by name, some with one overload's; PyTorch versions do not have them all."""


def _overloads(name: str) -> list[Any]:
    name, _, wanted = name.partition(".")
    packet = getattr(aten, name, None)
    return [] if packet is None else [getattr(packet, one) for one in packet.overloads() if wanted in ("", one)]


_KINDS: dict[Any, tuple[str, _Elements]] = {
    overload: counted for name, counted in _OPERATORS.items() for overload in _overloads(name)
}
