"""Keeps what goes wrong while a training is recorded away from the training, and the recording out of its sight."""

from __future__ import annotations

import sys
import threading
import traceback
import warnings
from pathlib import Path
from types import TracebackType

import torch

from accelsim.errors import AccelsimError, AccelsimWarning


class Containment:
    """A context, entered around whatever a tracer does, that ends the recording and not the training if it raises.

    The first exception is told in one warning; what is no `Exception` (Ctrl-C) passes. Function modes of the training's
    own (a default device) see nothing of what runs inside, where nothing of the training's own belongs.

    Args:
        strict: let exceptions pass.

    Attributes:
        failure: why the recording ended, one sentence; None while it goes on.
    """

    def __init__(self, strict: bool) -> None:
        self.strict = strict
        self.failure: str | None = None
        self._entered = threading.local()  # backward runs in threads of its own

    def __enter__(self) -> None:
        guard = torch._C.DisableTorchFunction()
        guard.__enter__()
        if not hasattr(self._entered, "guards"):
            self._entered.guards = []
        self._entered.guards.append(guard)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> bool:
        self._entered.guards.pop().__exit__(kind, error, trace)
        if self.strict or not isinstance(error, Exception):
            return False
        self.fail(_sentence(error))  # of the exception nothing is kept: its frames hold the training's tensors
        return True

    def fail(self, cause: str) -> None:
        """End the recording."""
        if self.failure is None:
            self.failure = cause
            tell(f"the recording has ended, the training goes on: {cause}")


class OutOfSight:
    """A context inside a contained one in which dispatch modes of the training's own (a FLOP counter), and autograd, do
    not see the tracer's operations on tensors."""

    def __enter__(self) -> None:
        self._guards = torch._C._DisableTorchDispatch(), torch._C._AutoDispatchBelowAutograd()
        for guard in self._guards:
            guard.__enter__()  # type: ignore[no-untyped-call]

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for guard in reversed(self._guards):
            guard.__exit__(kind, error, trace)


def tell(sentence: str) -> None:
    """Warn, also where warnings are errors: those would end the training."""
    try:
        warnings.warn(sentence, AccelsimWarning, stacklevel=2)
    except AccelsimWarning:
        print(f"accelsim: {sentence}", file=sys.stderr)


def _sentence(error: Exception) -> str:
    if isinstance(error, AccelsimError):
        return str(error)
    *_, place = traceback.extract_tb(error.__traceback__)
    first, *_ = str(error).splitlines() or [""]
    return f"{type(error).__name__}: {first} (in {Path(place.filename).name}, line {place.lineno})"
