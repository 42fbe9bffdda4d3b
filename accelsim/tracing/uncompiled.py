"""Has what torch.compile compiles run uncompiled while a step is recorded."""

from __future__ import annotations

import contextlib
import warnings
from typing import Any

import torch

from accelsim.errors import TracingError

_HOOKS = r"Using `torch\.compile\(module\)` when there are global hooks"


class Uncompiled:
    """Runs compiled models as they were written, between `start` and `stop`.

    Without this PyTorch would see the dispatch mode, leave what it is about to compile uncompiled, and never try again.
    """

    def __init__(self) -> None:
        self._stance: Any = None
        self._filter: Any = None

    def start(self) -> None:
        """Begin.

        Raises:
            TracingError: called by code that is compiled.
        """
        try:
            self._stance = torch.compiler.set_stance("force_eager")
        except RuntimeError:
            raise TracingError(
                "recording of a step cannot begin inside compiled code: call the optimizer's step() outside of it"
            ) from None
        warnings.filterwarnings("ignore", _HOOKS, UserWarning)  # that our hooks run once more, for the wrapper
        self._filter = warnings.filters[0]

    def stop(self) -> None:
        """End; a stance that the training has taken since stays."""
        if self._stance is None:
            return
        if torch._dynamo.eval_frame._stance is self._stance.stance:
            self._stance.__exit__(None, None, None)
        with contextlib.suppress(ValueError):  # the training has set filters of its own
            warnings.filters.remove(self._filter)  # type: ignore[attr-defined]
        self._stance = self._filter = None
