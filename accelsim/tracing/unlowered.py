"""What multiplies but is not recorded: counted and named, never dropped in silence."""

from __future__ import annotations

import functools
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch.utils import flop_counter

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

    def reasons(self) -> set[str]:
        """Return the reasons of all that was counted."""
        return {entry.reason for entry in self._entries.values()}

    def summary(self) -> str:
        """Name every operator that training ran and its share of all multiply-accumulates; "" if there is none.

        Where those of some operators are unknown, shares are of the known ones, and how much is missing is unknown.
        """
        entries = [entry for entry in self._entries.values() if entry.reason != EVALUATION]
        if not entries:
            return ""
        total = self.recorded_macs + sum(entry.macs for entry in entries)
        whole = all(entry.known for entry in entries)
        of_what = "MACs" if whole else "the MACs that are known"
        named = "; ".join(
            f"{entry.operator} × {entry.count}, {entry.reason},"
            f" {f'{entry.macs / max(total, 1):.2%} of {of_what}' if entry.known else 'MACs unknown'}"
            for entry in sorted(entries, key=lambda entry: (entry.known, -entry.macs))
        )
        text = f"operations that are not in the trace: {named}"
        if not whole:
            text += "; so how much of the training's MACs is missing is unknown"
        if any("attention" in entry.operator for entry in entries):
            text += (
                "; attention is recorded, as the matrix products that it consists of, where it runs inside"
                " torch.nn.attention.sdpa_kernel(torch.nn.attention.SDPBackend.MATH)"
            )
        return text


def count_macs(function: Any, args: Sequence[Any], kwargs: dict[str, Any], result: Any) -> int | None:
    """Return an operation's multiply-accumulates, None if no formula is known for it."""
    packet = getattr(function, "overloadpacket", function)
    if packet not in _ON_NESTED and any(isinstance(arg, torch.Tensor) and _is_shapeless(arg) for arg in args):
        return None
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
    if schema is None:
        return True
    # quantised operators have their packed weights in an object of a TorchBind class
    operands = [a for a in schema.arguments if str(a.type) == "Tensor" or str(a.type).startswith("__torch__")]
    return len(operands) > 1


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


def _distances(points: int, norm: int) -> Macs:
    """A square per pair of points and coordinate, going back a product; other norms than the Euclidean have none."""

    def macs(args: Sequence[Any], result: Any) -> int:
        pairs = args[0] if points else result  # a backward's gradient, or the distances
        return int(pairs.numel()) * int(args[points].shape[-1]) if norm >= len(args) or args[norm] == 2 else 0

    return macs


def _grouped(args: Sequence[Any], _: Any) -> int:
    first, second = args[:2]
    if first.dim() == 3 and second.dim() == 2:  # the groups share the second operand's columns
        return int(second.numel() * first.shape[1])
    return int(first.numel() * second.shape[-1])


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
    **dict.fromkeys((aten.addr, aten.addr_), lambda _, result: int(result.numel())),
    **dict.fromkeys(
        (aten.addmm_, aten._addmm_activation, aten.addbmm, aten.addbmm_, aten.baddbmm_),
        lambda args, _: int(args[1].numel() * args[2].shape[-1]),
    ),
    aten._int_mm: lambda args, _: int(args[0].numel() * args[1].shape[-1]),
    **dict.fromkeys((aten.linear, aten.mkldnn_linear), lambda args, _: int(args[0].numel() * args[1].shape[0])),
    **dict.fromkeys(
        (aten.linear_backward, aten.mkldnn_linear_backward),
        lambda args, _: int(args[0].numel() * args[2].shape[0]) * sum(args[3][:2]),
    ),
    aten._euclidean_dist: lambda args, result: int(result.numel()) * (args[0].shape[-1] + 2),  # two columns of norms
    aten._cdist_forward: _distances(0, 2),
    aten._cdist_backward: _distances(1, 3),
    aten._pdist_forward: _distances(0, 1),
    aten._pdist_backward: _distances(1, 2),
    **({aten._grouped_mm: _grouped} if hasattr(aten, "_grouped_mm") else {}),
    aten._trilinear: lambda args, result: int(math.prod(torch.broadcast_shapes(*(a.shape for a in _aligned(args))))),
}

_ON_NESTED = {aten.linear, aten.linear_backward}
"""Whose formulas need the elements alone of an operand that has no shape."""

# by name, as not every version of PyTorch has them all
_WITHOUT_FORMULA = {
    getattr(aten, name)
    for name in (
        "_conv_depthwise2d",
        "_cslt_sparse_mm",
        "_cudnn_attention_backward",
        "_cudnn_attention_forward",
        "_cudnn_rnn_backward",
        "_dyn_quant_matmul_4bit",
        "_lstm_mps",
        "_mixed_dtypes_linear",
        "_native_multi_head_attention",
        "_scaled_dot_product_attention_math_for_mps",
        "_scaled_dot_product_fused_attention_overrideable",
        "_scaled_dot_product_fused_attention_overrideable_backward",
        "_scaled_grouped_mm",
        "_scaled_grouped_mm_v2",
        "_scaled_mm_v2",
        "_sparse_addmm",
        "_sparse_mm_reduce_impl",
        "_sparse_mm_reduce_impl_backward",
        "_sparse_semi_structured_addmm",
        "_sparse_semi_structured_linear",
        "_sparse_semi_structured_mm",
        "_sparse_sparse_matmul",
        "_transformer_encoder_layer_fwd",
        "_triton_multi_head_attention",
        "_triton_scaled_dot_attention",
        "_weight_int4pack_mm",
        "_weight_int4pack_mm_for_cpu",
        "_weight_int4pack_mm_with_scales_and_zeros",
        "_weight_int8pack_mm",
        "conv_depthwise3d",
        "conv_tbc",
        "conv_tbc_backward",
        "cudnn_convolution_add_relu",
        "cudnn_convolution_relu",
        "cudnn_convolution_transpose",
        "hspmm",
        "linalg_matrix_exp",
        "lstm_mps_backward",
        "matmul",
        "matmul_backward",
        "miopen_convolution",
        "miopen_convolution_transpose",
        "miopen_depthwise_convolution",
        "miopen_rnn",
        "miopen_rnn_backward",
        "mkldnn_convolution",
        "quantized_gru",
        "quantized_lstm",
        "slow_conv3d_forward",
        "slow_conv_dilated2d",
        "slow_conv_dilated3d",
        "slow_conv_transpose2d",
        "slow_conv_transpose3d",
        "sparse_sampled_addmm",
    )
    if hasattr(aten, name)
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


def _is_shapeless(tensor: torch.Tensor) -> bool:
    """Whether a tensor is nested in the old way, which raises where it is asked for its shape."""
    return tensor.is_nested and tensor.layout is torch.strided


def _aligned(args: Sequence[Any]) -> list[torch.Tensor]:
    return [
        functools.reduce(torch.unsqueeze, sorted(expanded), tensor)
        for tensor, expanded in zip(args[:3], args[3:6], strict=True)
    ]
