"""How tensors lie in memory, and whether two share it."""

from __future__ import annotations

import torch
from torch._C import _functorch


def is_dense(tensor: torch.Tensor) -> bool:
    """Whether a tensor has one shape and one stride per dimension: it is neither sparse nor nested."""
    return tensor.layout is torch.strided and not tensor.is_nested


def storage_of(tensor: torch.Tensor) -> torch.UntypedStorage | None:
    """Return a tensor's storage, None if it has none.

    A tensor that `torch.func` has wrapped (to differentiate it, or as one of a batch) counts as what it wraps.
    """
    while _functorch.is_functorch_wrapped_tensor(tensor):
        tensor = _functorch.get_unwrapped(tensor)
    try:
        return tensor.untyped_storage()
    except (NotImplementedError, RuntimeError):  # a sparse layout, and some subclasses
        return None


def storage_address(tensor: torch.Tensor) -> int | None:
    """Return the address of a tensor's storage, None if it has none; it is used again once the storage is gone."""
    storage = storage_of(tensor)
    return None if storage is None else int(storage._cdata)
