"""Runs a training script, unchanged, with a meter around its training loop."""

from __future__ import annotations

import builtins
import os
import sys
import weakref
from collections.abc import Sequence
from pathlib import Path
from types import ModuleType
from typing import Any

from torch import nn
from torch.optim.optimizer import register_optimizer_step_post_hook

from accelsim.errors import AccelsimError, AccelsimWarning
from accelsim.hardware.model import Hardware
from accelsim.live.meter import Meter
from accelsim.signals import Stopped


class Finder:
    """Finds a script's model and puts a meter around the rest of its training; a context manager.

    The model is the outermost module with the most parameters that ran forward before an optimizer's first step; the
    meter starts after that step. Other modules are recorded under their class's name, as by any tracer.

    Args:
        hw, every, out, tensorboard: as in `live`.

    Attributes:
        meter: once the model is found.
        failure: why the script cannot be metered, if it cannot: one sentence.
    """

    def __init__(
        self,
        hw: Hardware,
        every: int,
        out: str | os.PathLike[str] | None = None,
        tensorboard: str | os.PathLike[str] | None = None,
    ) -> None:
        self._hw, self._every, self._out, self._tensorboard = hw, every, out, tensorboard
        self._depth = 0
        self._seen: weakref.WeakSet[nn.Module] = weakref.WeakSet()
        self._process = os.getpid()
        self.meter: Meter | None = None
        self.failure: str | None = None

    def __enter__(self) -> Finder:
        hooks = nn.modules.module
        self._handles: list[Any] = [
            hooks.register_module_forward_pre_hook(self._enter_module),
            hooks.register_module_forward_hook(self._leave_module, always_call=True),
            register_optimizer_step_post_hook(self._stepped),
        ]
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, traceback: Any) -> None:
        if os.getpid() != self._process:
            return
        self._stop_looking()
        if self.meter is None:
            if self.failure is None and kind is None:
                self.failure = "no optimizer of PyTorch made a step after a module ran: nothing was simulated"
            return
        ended = kind is None or (isinstance(error, SystemExit) and not error.code)
        try:
            self.meter.__exit__(None if ended else kind, None if ended else error, None if ended else traceback)
        except (AccelsimError, AccelsimWarning) as failure:  # a warning, where the script has made them errors
            self.failure = str(failure)

    def _enter_module(self, module: nn.Module, _inputs: Any) -> None:
        if self._depth == 0:
            self._seen.add(module)
        self._depth += 1

    def _leave_module(self, _module: nn.Module, _inputs: Any, _output: Any) -> None:
        self._depth = max(0, self._depth - 1)

    def _stepped(self, *_: Any) -> None:
        models = [module for module in self._seen if any(True for _ in module.parameters())]
        if not models or os.getpid() != self._process:
            return
        self._stop_looking()
        model = max(models, key=lambda module: sum(parameter.numel() for parameter in module.parameters()))
        try:
            meter = Meter(
                model,
                self._hw,
                every=self._every,
                start=1,
                first_step=1,
                out=self._out,
                tensorboard=self._tensorboard,
            )
            meter.__enter__()
        except AccelsimError as error:
            self.failure = str(error)
        else:
            self.meter = meter  # not before: a signal may have come meanwhile

    def _stop_looking(self) -> None:
        for handle in self._handles:
            handle.remove()
        self._handles = []
        self._seen.clear()


def run_script(path: Path, arguments: Sequence[str], finder: Finder) -> int:
    """Run a script as `python PATH ARGUMENTS` would, and return its exit code.

    Its uncaught exceptions are printed as Python prints them, but for Ctrl-C, which is no error.

    Raises:
        AccelsimError: the script cannot be read.
    """
    try:
        source = path.read_bytes()
    except OSError as error:
        raise AccelsimError(f"{path}: the script cannot be read: {error.strerror}") from None
    main = ModuleType("__main__")
    main.__dict__.update(__file__=str(path), __builtins__=builtins, __spec__=None, __cached__=None)
    sys.modules["__main__"] = main
    sys.argv = [str(path), *arguments]
    sys.path[0] = str(path.resolve().parent)
    try:
        with finder:
            exec(compile(source, str(path), "exec"), main.__dict__)
    except SystemExit as ended:
        return _code(ended)
    except Stopped:
        raise
    except KeyboardInterrupt:
        print("accelsim: interrupted", file=sys.stderr)
        return 130
    except BaseException as error:
        trace = error.__traceback__
        while trace is not None and trace.tb_frame.f_code.co_filename == __file__:
            trace = trace.tb_next
        sys.excepthook(type(error), error.with_traceback(trace), trace)
        return 1
    return 0


def _code(ended: SystemExit) -> int:
    """Return the exit code that Python makes of a SystemExit; what is no number goes to standard error."""
    if ended.code is None:
        return 0
    if isinstance(ended.code, int):
        return ended.code
    print(ended.code, file=sys.stderr)
    return 1
