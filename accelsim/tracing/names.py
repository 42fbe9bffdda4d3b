"""Which module is running: the model's own names, kept by global hooks around every module's forward.

`torch.utils.module_tracker.ModuleTracker` keeps such a stack, but prefixes every name with the root's class, loses
the balance when a forward raises (as checkpointing's early stop does on purpose) and warns when a module runs again
inside backward, so this follows its idea with hooks of its own.
"""

from __future__ import annotations

import itertools
import threading
import weakref
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import torch
from torch import nn

from accelsim.errors import TracingError
from accelsim.tracing.containment import Containment
from accelsim.tracing.storages import storage_address


@dataclass(frozen=True)
class Frame:
    """A module whose forward is running.

    Attributes:
        module: the module.
        name: its name in the model, or under its own root's class if it is not part of the model.
        node: the autograd node that was executing when it was entered: not None in a recomputed forward.
        matmuls: counts this run's products of two activations, from 1.
    """

    module: nn.Module
    name: str
    node: Any
    matmuls: Iterator[int] = field(default_factory=partial(itertools.count, 1))


class ModuleNames:
    """Names of running modules, and a stack of them for each thread (backward may run in threads of its own)."""

    def __init__(self, model: nn.Module, entered: Callable[[nn.Module, str], None], contained: Containment) -> None:
        """Take names from `model.named_modules()`; a compiled or parallel wrapper is looked through by identity.

        Args:
            model: the model.
            entered: hears of each module whose forward begins, with its name.
            contained: what the hooks run in.

        Raises:
            TracingError: the model holds TorchScript modules, which run no hooks.
        """
        self._model, self._entered, self._contained = model, entered, contained
        self._names: weakref.WeakKeyDictionary[nn.Module, str] = weakref.WeakKeyDictionary()
        self._roots: dict[str, int] = {}
        self._local = threading.local()
        self._handles: list[torch.utils.hooks.RemovableHandle] = []
        self._register_model()

    def install(self) -> None:
        """Put the hooks in place."""
        hooks = nn.modules.module
        self._handles = [
            hooks.register_module_forward_pre_hook(self.enter),
            hooks.register_module_forward_hook(self._leave, always_call=True),
        ]

    def remove(self) -> None:
        """Take the hooks away; every stack is empty after."""
        for handle in self._handles:
            handle.remove()
        self._handles = []
        self._local = threading.local()

    @property
    def current(self) -> Frame | None:
        """The innermost running module of this thread."""
        stack = self._stack
        return stack[-1] if stack else None

    def operation_name(self, frame: Frame, weight: int | None) -> str:
        """Name of an operation in a module: the module's, or that of the parameter that is not its `weight`.

        A functional call with a submodule's weight is named after the submodule, one with the module's own parameter
        `in_proj_weight` gets that name; two layers that share a weight keep their own names. The weight is given by
        the address of its storage, None if there is none. FSDP's flat parameter holds weights, and names none.
        """
        if weight is None:
            return frame.name
        # own parameters come first in named_parameters
        for path, parameter in frame.module.named_parameters(remove_duplicate=False):
            if storage_address(parameter) == weight:
                *where, own = path.split(".")
                if own not in ("weight", "_flat_param"):
                    where.append(own)
                if where and frame.module is not self._model:
                    where.insert(0, frame.name)
                return ".".join(where) or frame.name
        return frame.name

    @property
    def _stack(self) -> list[Frame]:
        stack: list[Frame] | None = getattr(self._local, "stack", None)
        if stack is None:
            stack = self._local.stack = []
        return stack

    def _register_model(self) -> None:
        for path, module in self._model.named_modules():
            if isinstance(module, torch.jit.ScriptModule):
                raise _scripted(path or type(module).__name__)
            if isinstance(module, nn.DataParallel) and len(module.device_ids) > 1:
                raise TracingError(
                    f"module {path or 'model'!r} is a DataParallel over {len(module.device_ids)} devices, whose threads"
                    f" cannot be told apart: use DistributedDataParallel or one device"
                )
            self._names[module] = path or type(module).__name__

    def _name(self, module: nn.Module) -> str:
        name = self._names.get(module)
        if name is None:
            self._register_model()  # modules may be added while training runs
            name = self._names.get(module)
        if name is None:
            root = type(module).__name__
            count = self._roots[root] = self._roots.get(root, 0) + 1
            root = root if count == 1 else f"{root}-{count}"
            for path, child in module.named_modules(prefix=root):
                self._names.setdefault(child, path)
            name = self._names[module]
        return name

    def enter(self, module: nn.Module, _inputs: Any) -> None:
        """Take note that a module's forward begins."""
        with self._contained:
            if isinstance(module, torch.jit.ScriptModule):
                raise _scripted(self._names.get(module, type(module).__name__))
            name = self._name(module)
            self._stack.append(Frame(module, name, torch._C._current_autograd_node()))
            self._entered(module, name)

    def _leave(self, module: nn.Module, _inputs: Any, _output: Any) -> None:
        with self._contained:
            stack = self._stack
            # a module entered while hooks were off has no frame; one left by an exception in a hook is still on top
            if any(frame.module is module for frame in stack):
                while stack.pop().module is not module:
                    pass


def _scripted(name: str) -> TracingError:
    return TracingError(
        f"module {name!r} is TorchScript, whose operations cannot be linked to their layer: train the original"
        f" nn.Module while recording"
    )
