"""What tells whether two tensors share memory."""

from __future__ import annotations

import torch
from torch._C import _functorch


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
