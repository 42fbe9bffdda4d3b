"""Operations that PyTorch runs as several others, taken apart under a dispatch mode as PyTorch itself would.

Autograd takes such an operation apart before a mode sees it; in inference mode the mode sees it whole.
"""

from __future__ import annotations

import functools
import threading
from collections.abc import Sequence
from typing import Any

import torch
from torch._ops import OpOverload, key_extractor, resolve_key
from torch.utils._python_dispatch import TorchDispatchMode

aten = torch.ops.aten
DispatchKey = torch._C.DispatchKey
_IMPLICIT = DispatchKey.CompositeImplicitAutograd
_BACKENDS = torch._C._dispatch_keyset_full_after(DispatchKey.BackendSelect)
_AUTOCASTS = [key for name, key in DispatchKey.__members__.items() if name.startswith("Autocast")]
_LEFT_OUT = [DispatchKey.ADInplaceOrView, *_AUTOCASTS]
"""What a mode's handler runs without, and an operation's parts too, if the operation has a kernel for it."""

_CALL_OTHERS = (
    aten._trilinear,
    aten.affine_grid_generator,
    aten._native_multi_head_attention,
    aten._transformer_encoder_layer_fwd,
)
"""Operations that autocast does not handle, but what their kernels call. None is a part of one that it handles."""


def has_decomposition(function: Any) -> bool:
    """Return whether an operation has a kernel that calls other operations, for backends without one of their own."""
    return isinstance(function, OpOverload) and function.has_kernel_for_dispatch_key(_IMPLICIT)


class Composites:
    """Runs decompositions under a mode."""

    def __init__(self) -> None:
        self._keys = threading.local()

    def decomposes(self, function: OpOverload[..., Any], args: Sequence[Any], kwargs: dict[str, Any]) -> bool:
        """Return whether the dispatcher would run the decomposition for these arguments, and not a backend's kernel.

        The backward of SiLU has both; an operation such as `dropout` has the former alone.
        """
        tensors = [
            tensor
            for argument in (*args, *kwargs.values())
            for tensor in (argument if isinstance(argument, list | tuple) else (argument,))
            if isinstance(tensor, torch.Tensor)
        ]
        backend = key_extractor(tensors, _BACKENDS).highestPriorityTypeId()
        return bool(resolve_key(function, backend) == _IMPLICIT)

    def run(
        self, mode: TorchDispatchMode, function: OpOverload[..., Any], args: Sequence[Any], kwargs: dict[str, Any]
    ) -> Any:
        """Run the decomposition, in C++, while `mode` sees the operations that it calls.

        `OpOverload.decompose` prefers decompositions in Python, which round differently and draw other random numbers.
        And inside a mode's handler PyTorch leaves out autocast and what keeps track of views: so the dispatch keys of
        the operation's caller are put in force again, less those that have done their part. A decomposition inside
        another one takes them over from it.
        """
        if not torch.is_inference_mode_enabled():
            with mode:
                return function._op_dk(_IMPLICIT, *args, **kwargs)
        outer = getattr(self._keys, "of_caller", None)
        include, exclude = self._of_caller()
        for key in _done(function):
            exclude = exclude.add(key)
        self._keys.of_caller = include, exclude
        try:
            with torch._C._ForceDispatchKeyGuard(include, exclude), mode:
                return function._op_dk(_IMPLICIT, *args, **kwargs)
        finally:
            self._keys.of_caller = outer

    def call(self, function: Any, args: Sequence[Any], kwargs: dict[str, Any]) -> Any:
        """Call an operation from a mode's handler; with autocast, if its kernel reckons with it."""
        if getattr(function, "overloadpacket", None) not in _CALL_OTHERS:
            return function(*args, **kwargs)
        _, exclude_outside = self._of_caller()
        exclude = torch._C._dispatch_tls_local_exclude_set()
        for key in _AUTOCASTS:
            exclude = exclude if exclude_outside.has(key.name) else exclude.remove(key)
        with torch._C._ForceDispatchKeyGuard(torch._C._dispatch_tls_local_include_set(), exclude):
            return function(*args, **kwargs)

    def _of_caller(self) -> tuple[torch._C.DispatchKeySet, torch._C.DispatchKeySet]:
        """Return the dispatch keys that are included and excluded where the operation was called."""
        keys = getattr(self._keys, "of_caller", None)
        if keys is None:
            with torch._C._RestorePythonTLSSnapshot():  # type: ignore[attr-defined]
                keys = torch._C._dispatch_tls_local_include_set(), torch._C._dispatch_tls_local_exclude_set()
        return keys


@functools.cache
def _done(function: OpOverload[..., Any]) -> list[torch._C.DispatchKey]:
    return [key for key in _LEFT_OUT if function.has_kernel_for_dispatch_key(key)]
