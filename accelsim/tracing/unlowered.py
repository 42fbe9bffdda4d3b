"""What multiplies but is not recorded: counted and named, never dropped in silence."""

from __future__ import annotations

import functools
import math
import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch.utils import flop_counter

from accelsim.errors import AccelsimWarning
from accelsim.trace.unlowered import EVALUATION

aten = torch.ops.aten

OUTSIDE = "outside any module"

Macs = Callable[[Sequence[Any], Any], int]
"""(arguments, result) -> multiply-accumulates."""


@dataclass
class _Entry:
    operator: str
    reason: str
    count: int = 0
    macs: int = 0
    known: bool = True


class Unlowered:
    """Counts by operator and reason, beside the multiply-accumulates that were recorded."""

    def __init__(self) -> None:
        self.recorded_macs = 0
        self._entries: dict[tuple[str, str], _Entry] = {}

    def add(self, function: Any, reason: str, macs: int | None) -> None:
        """Count an operation; macs None means unknown."""
        operator = str(getattr(function, "overloadpacket", function))
        entry = self._entries.setdefault((operator, reason), _Entry(operator, reason))
        entry.count += 1
        entry.macs += macs or 0
        entry.known &= macs is not None

    def plain(self) -> dict[str, dict[str, Any]]:
        """Return {"operator (reason)": {"count", "macs", "reason"}}; macs is None where it is unknown."""
        return {
            f"{entry.operator} ({entry.reason})": {
                "count": entry.count,
                "macs": entry.macs if entry.known else None,
                "reason": entry.reason,
            }
            for entry in self._entries.values()
        }

    def warn(self) -> None:
        """Warn once, naming every operator that training ran and its share of all multiply-accumulates."""
        entries = [entry for entry in self._entries.values() if entry.reason != EVALUATION]
        if not entries:
            return
        total = self.recorded_macs + sum(entry.macs for entry in entries)
        named = "; ".join(
            f"{entry.operator} × {entry.count}, {entry.reason},"
            f" {f'{entry.macs / max(total, 1):.2%} of MACs' if entry.known else 'MACs unknown'}"
            for entry in sorted(entries, key=lambda entry: -entry.macs)
        )
        warnings.warn(f"operations that are not in the trace: {named}", AccelsimWarning, stacklevel=3)


def count_macs(function: Any, args: Sequence[Any], kwargs: dict[str, Any], result: Any) -> int | None:
    """Return an operation's multiply-accumulates, None if no formula is known for it."""
    packet = getattr(function, "overloadpacket", function)
    if packet in _OWN_FORMULAS:
        return _OWN_FORMULAS[packet](args, result)
    if packet in flop_counter.flop_registry:
        return int(flop_counter.flop_registry[packet](*args, **kwargs, out_val=result)) // 2
    return None


def multiplies(function: Any) -> bool:
    """Whether an operation may multiply matrices: every operator with a formula, fused ones, and foreign ones."""
    packet = getattr(function, "overloadpacket", function)
    if packet in _OWN_FORMULAS or packet in flop_counter.flop_registry or packet in _WITHOUT_FORMULA:
        return True
    namespace = getattr(function, "namespace", "higher_order")
    if namespace in _OWN_NAMESPACES:
        return False
    schema = getattr(function, "_schema", None)
    tensors = [argument for argument in schema.arguments if str(argument.type) == "Tensor"] if schema else [None] * 2
    return len(tensors) > 1


def _attention(args: Sequence[Any], _: Any) -> int:
    query, key, value = args[:3]
    return int(flop_counter.sdpa_flop_count(query.shape, key.shape, value.shape)) // 2


def _attention_backward(args: Sequence[Any], _: Any) -> int:
    grad, query, key, value = args[:4]
    return int(flop_counter.sdpa_backward_flop_count(grad.shape, query.shape, key.shape, value.shape)) // 2


def _recurrent(args: Sequence[Any], _: Any) -> int:
    weights = args[1] if isinstance(args[1], list | tuple) else args[1:3]
    steps: int = args[0].shape[:-1].numel()
    return steps * sum(int(weight.numel()) for weight in weights if weight.dim() > 1)


def _matrix_vector(position: int) -> Macs:
    return lambda args, _: int(args[position].numel())


_OWN_FORMULAS: dict[Any, Macs] = {
    aten._scaled_dot_product_flash_attention_for_cpu: _attention,
    aten._scaled_dot_product_flash_attention_for_cpu_backward: _attention_backward,
    aten.mkldnn_rnn_layer: _recurrent,
    aten.mkldnn_rnn_layer_backward: lambda args, result: 2 * _recurrent(args, result),
    aten._cudnn_rnn: _recurrent,
    aten.mv: _matrix_vector(0),
    aten.addmv: _matrix_vector(1),
    aten.addmv_: _matrix_vector(1),
    aten.dot: _matrix_vector(0),
    aten.vdot: _matrix_vector(0),
    aten.addr: lambda _, result: int(result.numel()),
    aten.addbmm: lambda args, _: int(args[1].numel() * args[2].shape[-1]),
    aten._int_mm: lambda args, _: int(args[0].numel() * args[1].shape[-1]),
    aten._trilinear: lambda args, result: int(math.prod(torch.broadcast_shapes(*(a.shape for a in _aligned(args))))),
}

_WITHOUT_FORMULA = {
    aten._cudnn_rnn_backward,
    aten.miopen_rnn,
    aten.miopen_rnn_backward,
    aten._sparse_addmm,
    aten._sparse_mm_reduce_impl,
    aten._native_multi_head_attention,
    aten._transformer_encoder_layer_fwd,
    aten._scaled_dot_product_fused_attention_overrideable,
    aten._scaled_dot_product_fused_attention_overrideable_backward,
    aten._cdist_forward,
    aten._cdist_backward,
    aten.conv_tbc,
    aten.conv_tbc_backward,
    aten._sparse_semi_structured_mm,
    aten._sparse_semi_structured_addmm,
    aten._weight_int8pack_mm,
    aten._grouped_mm,
}

_OWN_NAMESPACES = {
    "aten",
    "prim",
    "prims",
    "profiler",
    "c10d",
    "_c10d_functional",
    "debugprims",
    "rngprims",
    "inductor",
}


def _aligned(args: Sequence[Any]) -> list[torch.Tensor]:
    return [
        functools.reduce(torch.unsqueeze, sorted(expanded), tensor)
        for tensor, expanded in zip(args[:3], args[3:6], strict=True)
    ]
