"""Has what torch.compile compiles run uncompiled while a step is recorded."""

from __future__ import annotations

import contextlib
import sys
import warnings
from collections.abc import Callable
from types import FrameType
from typing import Any

import torch

from accelsim.errors import TracingError

_HOOKS = r"Using `torch\.compile\(module\)` when there are global hooks"


class Uncompiled:
    """Runs compiled models as they were written, between `start` and `stop`.

    Without this PyTorch would see the dispatch mode, leave what it is about to compile uncompiled, and never try again.
    Inside a call of something compiled no mode may come or go, as PyTorch puts the dispatch keys back when it returns.
    """

    def __init__(self) -> None:
        self._stance: Any = None
        self._filter: Any = None
        self._returns: FrameType | None = None

    def hush(self) -> None:
        """Keep PyTorch from warning that global hooks, as ours, run once more for a compiled model's wrapper."""
        warnings.filterwarnings("ignore", _HOOKS, UserWarning)
        self._filter = warnings.filters[0]

    def unhush(self) -> None:
        """Let it warn again."""
        with contextlib.suppress(ValueError):  # the training has set filters of its own
            warnings.filters.remove(self._filter)  # type: ignore[attr-defined]

    def start(self) -> None:
        """Begin; not inside a compiled call."""
        self._stance = torch.compiler.set_stance("force_eager")

    def stop(self) -> None:
        """End; a stance that the training has taken since stays."""
        if self._stance is None:
            return
        if torch._dynamo.eval_frame._stance is self._stance.stance:
            self._stance.__exit__(None, None, None)
        self._stance = None

    def call(self) -> FrameType | None:
        """Return the outermost call of something compiled that runs in this thread, None if there is none."""
        dynamo = sys.modules.get("torch._dynamo.eval_frame")
        if dynamo is None:
            return None
        found, frame = None, sys._getframe().f_back
        while frame is not None:
            code = frame.f_code
            if code.co_name == "compile_wrapper" and code.co_filename == dynamo.__file__ and frame is not self._returns:
                found = frame
            frame = frame.f_back
        return found

    def when_returned(self, call: FrameType, action: Callable[[], None]) -> None:
        """Run an action in this thread as soon as a call has returned.

        Raises:
            TracingError: a profiler of Python's functions runs; one of our own is what tells of the return.
        """
        if sys.getprofile() is not None:
            raise TracingError(
                "an optimizer stepped inside compiled code while Python is profiled: leave its step() uncompiled"
            )

        def watch(frame: FrameType, event: str, _: Any) -> None:
            if frame is call and event == "return":
                sys.setprofile(None)
                self._returns = call  # its frame is still there, what it did to the dispatch keys is undone
                try:
                    action()
                finally:
                    self._returns = None

        sys.setprofile(watch)
