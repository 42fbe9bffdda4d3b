"""What is known of storages: which hold a ReLU's output, a parameter's cast or a padded image; which were not written.

Where a tensor that came out of a ReLU is zero, its gradient will be zeroed anyway.

A tag sits on a tensor's storage, so it survives views; it goes when anything else is written into the storage. It
moves on through operations whose backward sends the gradient of a zero only to zeros of their input.
"""

from __future__ import annotations

import enum
from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch.multiprocessing.reductions import StorageWeakRef

from accelsim.tracing import annotations as notes
from accelsim.tracing.containment import OutOfSight
from accelsim.tracing.storages import is_dense, storage_address

aten = torch.ops.aten


class Tag(enum.Enum):
    """What is known about a storage's zeros: all lie where a ReLU stops the gradient."""

    NON_NEGATIVE = enum.auto()
    """... and nothing is negative, so that a zero maximum or mean comes from zeros only."""
    SIGNED = enum.auto()


Rim = tuple[int, int, int, int]
"""Lines and columns of zeros around an image: top, left, bottom, right."""
NO_RIM: Rim = (0, 0, 0, 0)
_Layout = tuple[tuple[int, ...], tuple[int, ...]]  # shape, strides

Arguments = Sequence[Any]
Rule = Callable[["Provenance", Arguments, dict[str, Any]], Tag | None]

# What makes a weight of a weight: autocast, the copies of einsum and of reshapes, a choice of experts, a fixed mask.
_COPIES = {
    aten._to_copy.default,
    aten.clone.default,
    aten.index.Tensor,
    aten.index_select.default,
    aten.stack.default,
    aten.cat.default,
    aten.mul.Tensor,
}

# Casts that cannot turn a small number of a 16 or 32 bit type into zero.
_WIDE = (torch.float32, torch.float64, torch.bfloat16)


class Provenance:
    """Follows ReLU outputs, and writes, through a step's operations."""

    def __init__(self) -> None:
        # The weak reference keeps a storage's address from being used again, so an address found here is the one meant.
        self._tags: dict[int, tuple[StorageWeakRef, Tag]] = {}
        self._unwritten: set[int] = set()
        self._casts: dict[int | None, tuple[StorageWeakRef, int]] = {}
        self._masked: set[int] = set()  # of the casts' addresses
        self._rims: dict[int, tuple[StorageWeakRef, _Layout, Rim]] = {}
        self._written: dict[Any, tuple[tuple[int, str], ...]] = {}

    def clear(self) -> None:
        """Forget all tags and marks."""
        self._tags.clear()
        self._unwritten.clear()
        self._casts.clear()
        self._masked.clear()
        self._rims.clear()

    def origin(self, tensor: torch.Tensor) -> int | None:
        """Address of the tensor's storage, or of the parameter's that it was copied from; None without a storage."""
        # a view of a tensor subclass's shares no storage with it
        address = storage_address(tensor if tensor._base is None else tensor._base)
        cast = self._casts.get(address)
        return cast[1] if cast else address

    def rim(self, tensor: torch.Tensor) -> Rim:
        """Zeros that padding put around an image, if the tensor is the padded image as it was made."""
        found = self._rims.get(tensor.untyped_storage()._cdata)
        return found[2] if found and found[1] == _layout(tensor) else NO_RIM

    def is_masked(self, tensor: torch.Tensor) -> bool:
        """Whether the tensor's storage has the product of a parameter and a mask."""
        return storage_address(tensor) in self._masked

    def _copied(self, function: Any, args: Arguments, result: torch.Tensor) -> int | None:
        """Address of the parameter whose values an operation of `_COPIES` copied, of the first one of several."""
        if isinstance(args[0], list | tuple):
            found = [self.parameter(part) for part in args[0]]
            return found[0] if found and None not in found else None
        if function is not aten.mul.Tensor:
            return self.parameter(args[0])
        if not is_dense(result):
            return None
        for weight, mask in (args, args[::-1]):
            fixed = not isinstance(mask, torch.Tensor) or not mask.requires_grad
            if fixed and isinstance(weight, torch.Tensor) and weight.shape == result.shape:
                parameter = self.parameter(weight)
                if parameter is not None:
                    return parameter
        return None

    def parameter(self, tensor: torch.Tensor) -> int | None:
        """Address of the parameter that a tensor is, is a view of, or was copied from; None if it is something else."""
        base = tensor if tensor._base is None else tensor._base
        address = storage_address(base)
        if isinstance(base, torch.nn.Parameter) or address is None:
            return address
        cast = self._casts.get(address)
        return cast[1] if cast else None

    def mark_unwritten(self, tensor: torch.Tensor) -> None:
        """Mark a tensor's storage until something is written into it; the caller keeps the storage alive."""
        self._unwritten.add(tensor.untyped_storage()._cdata)

    def is_unwritten(self, tensor: torch.Tensor) -> bool:
        """Whether nothing was written into a marked storage; autograd's version counter misses writes to `.data`."""
        return tensor.untyped_storage()._cdata in self._unwritten

    def tag(self, tensor: Any) -> Tag | None:
        """Return the tag of a tensor's storage."""
        if not isinstance(tensor, torch.Tensor) or not self._tags or not is_dense(tensor):
            return None
        found = self._tags.get(tensor.untyped_storage()._cdata)
        return found[1] if found else None

    def stops_gradient_at_zeros(self, tensor: torch.Tensor, recomputed: bool = False) -> bool:
        """Whether the gradient at the tensor's zeros is zeroed further back.

        Not for a leaf (or a view of one) that requires grad: its whole gradient is somebody's result. Only what
        reentrant checkpointing recomputes starts at leaves that are none.
        """
        if self.tag(tensor) is None:
            return False
        base = tensor if tensor._base is None else tensor._base
        return recomputed or not (base.is_leaf and tensor.requires_grad)

    def tag_of_result(self, function: Any, args: Arguments, kwargs: dict[str, Any]) -> Tag | None:
        """Return the tag that the result of an operation, which is about to run, is to get."""
        rule = _RULES.get(function)
        return rule(self, args, kwargs) if rule else None

    def follow(self, function: Any, args: Arguments, kwargs: dict[str, Any], result: Any, tag: Tag | None) -> None:
        """Keep what is known right, after an operation has run."""
        for position, name in self._writes(function):
            written = kwargs.get(name, args[position] if position < len(args) else None)
            for tensor in written if isinstance(written, list | tuple) else (written,):
                if isinstance(tensor, torch.Tensor) and tensor.layout is torch.strided:
                    address = tensor.untyped_storage()._cdata
                    self._tags.pop(address, None)
                    self._unwritten.discard(address)
                    self._casts.pop(address, None)
                    self._masked.discard(address)
                    self._rims.pop(address, None)
        if function is aten._to_copy.default:
            notes.follow_cast(args[0], result)
        if function in _COPIES and (parameter := self._copied(function, args, result)) is not None:
            storage = result.untyped_storage()
            self._casts[storage._cdata] = StorageWeakRef(storage), parameter
            masked = function is aten.mul.Tensor or (isinstance(args[0], torch.Tensor) and self.is_masked(args[0]))
            (self._masked.add if masked else self._masked.discard)(storage._cdata)
        if function is aten.constant_pad_nd.default and _number(args, kwargs, 2, "value", 0) == 0:
            self._remember_rim(result, args[1])
        if tag is not None:
            self._set(result[0] if isinstance(result, tuple) else result, tag)

    def _remember_rim(self, padded: torch.Tensor, pads: Sequence[int]) -> None:
        """Keep a rim, given `constant_pad_nd`'s list: last dimension first, before and after; below 0 cuts off."""
        left, right, top, bottom, *others = [max(0, int(pad)) for pad in pads] + [0] * (4 - len(pads))
        *_, height, width = padded.shape
        if any(others) or width <= left + right or (padded.dim() < 4 and top + bottom) or height <= top + bottom:
            return  # padded along other dimensions than an image's, or nothing but padding
        storage = padded.untyped_storage()
        self._rims[storage._cdata] = StorageWeakRef(storage), _layout(padded), (top, left, bottom, right)

    def _set(self, tensor: torch.Tensor, tag: Tag) -> None:
        if not is_dense(tensor):
            return
        storage = tensor.untyped_storage()
        if storage.nbytes() == tensor.numel() * tensor.element_size():  # of a part, nothing is known about the rest
            self._tags[storage._cdata] = StorageWeakRef(storage), tag

    def _writes(self, function: Any) -> tuple[tuple[int, str], ...]:
        positions = self._written.get(function)
        if positions is None:
            arguments = function._schema.arguments if isinstance(function, torch._ops.OpOverload) else ()
            positions = self._written[function] = tuple(
                (position, argument.name)
                for position, argument in enumerate(arguments)
                if argument.alias_info is not None and argument.alias_info.is_write
            )
        return positions


def _layout(tensor: torch.Tensor) -> _Layout:
    return tuple(tensor.shape), tensor.stride()


def _number(args: Arguments, kwargs: dict[str, Any], position: int, name: str, default: Any) -> Any:
    return args[position] if position < len(args) else kwargs.get(name, default)


def _relu(_: Provenance, _args: Arguments, _kwargs: dict[str, Any]) -> Tag:
    return Tag.NON_NEGATIVE


def _hardtanh(_: Provenance, args: Arguments, kwargs: dict[str, Any]) -> Tag | None:
    low, high = _number(args, kwargs, 1, "min_val", -1), _number(args, kwargs, 2, "max_val", 1)
    return Tag.NON_NEGATIVE if low == 0 and high > 0 else None


def _threshold(_: Provenance, args: Arguments, kwargs: dict[str, Any]) -> Tag | None:
    threshold, value = _number(args, kwargs, 1, "threshold", None), _number(args, kwargs, 2, "value", None)
    return Tag.NON_NEGATIVE if value == 0 and threshold >= 0 else None


def _clamp(_: Provenance, args: Arguments, kwargs: dict[str, Any]) -> Tag | None:
    low, high = _number(args, kwargs, 1, "min", None), _number(args, kwargs, 2, "max", None)
    if low != 0 or (high is not None and high <= 0):
        return None
    # unlike ReLU's, clamp's backward lets the gradient of an exact zero pass
    with OutOfSight():
        return None if bool((args[0] == 0).any()) else Tag.NON_NEGATIVE


def _same(self: Provenance, args: Arguments, _: dict[str, Any]) -> Tag | None:
    return self.tag(args[0])


def _pool(self: Provenance, args: Arguments, _: dict[str, Any]) -> Tag | None:
    return Tag.NON_NEGATIVE if self.tag(args[0]) is Tag.NON_NEGATIVE else None


def _cast(self: Provenance, args: Arguments, kwargs: dict[str, Any]) -> Tag | None:
    target = kwargs.get("dtype")
    return self.tag(args[0]) if target is None or target in _WIDE or target is args[0].dtype else None


def _pad(self: Provenance, args: Arguments, kwargs: dict[str, Any]) -> Tag | None:
    return self.tag(args[0]) if _number(args, kwargs, 2, "value", 0) == 0 else None


def _mul(self: Provenance, args: Arguments, _: dict[str, Any]) -> Tag | None:
    for one, other in (args[:2], args[1::-1]):
        if self.tag(one) is not None:
            # a factor that learns gets its gradient from the zeros it makes, and broadcasting sums over them
            fixed = not isinstance(other, torch.Tensor) or not other.requires_grad
            fits = not isinstance(other, torch.Tensor) or torch.broadcast_shapes(one.shape, other.shape) == one.shape
            return Tag.SIGNED if fixed and fits else None
    return None


def _cat(self: Provenance, args: Arguments, _: dict[str, Any]) -> Tag | None:
    tags = {self.tag(part) for part in args[0]}
    if None in tags or not tags:
        return None
    return Tag.SIGNED if Tag.SIGNED in tags else Tag.NON_NEGATIVE


_RULES: dict[Any, Rule] = {
    **dict.fromkeys((aten.relu.default, aten.relu_.default), _relu),
    **dict.fromkeys((aten.hardtanh.default, aten.hardtanh_.default), _hardtanh),
    **dict.fromkeys((aten.threshold.default, aten.threshold_.default), _threshold),
    **dict.fromkeys((aten.clamp.default, aten.clamp_.default, aten.clamp_min.default, aten.clamp_min_.default), _clamp),
    **dict.fromkeys((aten.clone.default, aten._unsafe_view.default, aten.native_dropout.default), _same),
    **dict.fromkeys(
        (
            aten.native_channel_shuffle.default,
            aten.channel_shuffle.default,
            aten.roll.default,
            aten._reshape_copy.default,
        ),
        _same,
    ),
    **dict.fromkeys((aten.mean.dim, aten.avg_pool2d.default, aten._adaptive_avg_pool2d.default), _pool),
    **dict.fromkeys((aten.max_pool2d_with_indices.default, aten.adaptive_max_pool2d.default), _pool),
    **dict.fromkeys((aten.upsample_nearest2d.default, aten.upsample_nearest2d.vec), _pool),
    aten._to_copy.default: _cast,
    aten.constant_pad_nd.default: _pad,
    **dict.fromkeys((aten.mul.Tensor, aten.mul_.Tensor, aten.mul.Scalar), _mul),
    aten.cat.default: _cat,
}
