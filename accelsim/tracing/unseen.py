"""Modules whose work passed PyTorch's dispatcher by: they ran and own weights, and no operation had one of these."""

from __future__ import annotations

import weakref
from collections.abc import Callable, Iterable
from typing import Any

import torch
from torch import nn

from accelsim.tracing.storages import storage_address


class Unseen:
    """Waits, for each module that ran, for an operation that gets one of the module's own weights."""

    def __init__(self) -> None:
        self._known: weakref.WeakSet[nn.Module] = weakref.WeakSet()
        self._weights: dict[str, set[int | None]] = {}

    def __bool__(self) -> bool:
        """Whether there is something to wait for."""
        return bool(self._weights)

    def ran(self, module: nn.Module, name: str) -> None:
        """Take note that a module's forward begins."""
        if module in self._known:
            return
        parameters = list(module.parameters(recurse=False))
        if any(nn.parameter.is_lazy(parameter) for parameter in parameters):
            return  # it gets its weights now, so it is known from its next call on
        self._known.add(module)
        weights = {storage_address(parameter) for parameter in parameters if parameter.dim() > 1} - {None}
        if weights:
            self._weights[name] = weights

    def multiplied(self, name: str) -> None:
        """Take note of a product in a module: with weights that stand for its own, or with others."""
        self._weights.pop(name, None)

    def saw(self, function: Any, args: Iterable[Any], origin: Callable[[torch.Tensor], int | None]) -> None:
        """Take note of an operation's arguments; `origin` gives a storage's address, for a cast weight the weight's."""
        if getattr(function, "is_view", False) or function is torch.ops.aten._to_copy.default:
            return  # nothing was done with the weight yet
        tensors = [a for arg in args for a in (arg if isinstance(arg, list | tuple) else (arg,))]
        seen = {origin(tensor) for tensor in tensors if isinstance(tensor, torch.Tensor)}
        for name, weights in list(self._weights.items()):
            if weights & seen:
                del self._weights[name]

    def names(self) -> list[str]:
        """Return the names of the modules that are still waited for."""
        return list(self._weights)
