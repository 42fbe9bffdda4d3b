"""What a method knows and operations do not show.

Which outputs and which weight gradients nobody will use: a module that skips work on purpose says so here, and a tracer
that is recording writes it into the operation's record (`output_needed`, `weight_grad_needed`). Which steps grow
weights, and what an update of the masks looked at: a tracer keeps that of every step, recorded or not, for the trace's
metadata. While nothing is recorded a note costs one comparison.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import NamedTuple, Protocol

import torch
from torch.multiprocessing.reductions import StorageWeakRef

from accelsim.errors import TracingError
from accelsim.tracing.storages import storage_address, storage_of


class _Note(NamedTuple):
    storage: StorageWeakRef
    layout: tuple[torch.Size, tuple[int, ...], int]
    needed: torch.Tensor


class Selection(NamedTuple):
    """One selection among weights: which of them go, or which come.

    Attributes:
        judged: weights compared with each other, or with a threshold.
        words_read: numbers read to judge them (weights, averages, dense gradients); 0 where chance decides.
        mask_bits: bits of the masks that were read and written anew.
        pruned, grown: weights that lived before and do not now, and the reverse.
    """

    judged: int
    words_read: int
    mask_bits: int
    pruned: int
    grown: int


class Listener(Protocol):
    """A tracer between its first and its last step."""

    def step_grows(self) -> None:
        """The running step computes dense weight gradients."""

    def masks_selected(self, selection: Selection) -> None:
        """Masks changed before the running step's forward or after its backward."""


class _Notes:
    """Notes on weights, by the address of their storage, which the weak reference keeps from being used again."""

    def __init__(self) -> None:
        self.recording = False
        self.listener: Listener | None = None
        self.by_storage: dict[int | None, _Note] = {}


_NOTES = _Notes()
_OUTPUT: ContextVar[torch.Tensor | None] = ContextVar("needed_outputs", default=None)


def note_weight_grad_needed(weight: torch.Tensor, needed: torch.Tensor) -> None:
    """Say that only some of a weight's gradients will be used, for every operation that runs with this very tensor.

    Args:
        weight: the tensor a layer is about to compute with (of a masked layer: the product of weight and mask). Views
            of another shape and copies other than casts do not carry the note.
        needed: bool, in the weight's shape.

    Raises:
        TracingError: the shapes differ.
    """
    if needed.shape != weight.shape:
        raise TracingError(
            f"a note on a weight of shape {tuple(weight.shape)} has shape {tuple(needed.shape)}, expected the same"
        )
    if _NOTES.recording and (storage := storage_of(weight)) is not None:
        _NOTES.by_storage[storage._cdata] = _Note(StorageWeakRef(storage), _layout(weight), needed)


@contextmanager
def needed_outputs(needed: torch.Tensor) -> Iterator[None]:
    """Say that only some outputs of the convolution or linear layer inside will be used, in value or gradient.

    Args:
        needed: bool, in the output's shape.
    """
    token = _OUTPUT.set(needed.detach())
    try:
        yield
    finally:
        _OUTPUT.reset(token)


def note_growth_step() -> None:
    """Say that the step about to run computes the gradients of pruned weights too, so that some may grow by them.

    To be called ahead of the step's forward pass: a tracer may decide to record the step.
    """
    if _NOTES.listener is not None:
        _NOTES.listener.step_grows()


def note_selection(selection: Selection) -> None:
    """Say what an update of the masks looked at and did; several in one step add up."""
    if _NOTES.listener is not None:
        _NOTES.listener.masks_selected(selection)


def is_heard() -> bool:
    """Return whether a tracer listens, for notes that take some counting."""
    return _NOTES.listener is not None


def listen(listener: Listener | None) -> None:
    """Let a tracer hear of growth steps and selections from here on; None: nobody."""
    _NOTES.listener = listener


def start_recording() -> None:
    """Keep notes from here on."""
    _NOTES.recording = True


def stop_recording() -> None:
    """Keep no notes, and forget those there are."""
    _NOTES.recording = False
    forget()


def forget() -> None:
    """Forget all notes on weights: they hold for a step."""
    _NOTES.by_storage.clear()


def weight_grad_needed(weight: torch.Tensor) -> torch.Tensor | None:
    """Return the note on a weight, bool in its shape, None if all of its gradient is needed."""
    note = _NOTES.by_storage.get(storage_address(weight)) if _NOTES.by_storage else None
    return note.needed if note is not None and note.layout == _layout(weight) else None


def follow_cast(weight: torch.Tensor, cast: torch.Tensor) -> None:
    """Let a weight's cast carry its note (autocast multiplies with casts)."""
    if (needed := weight_grad_needed(weight)) is not None:
        note_weight_grad_needed(cast, needed)


def output_needed() -> torch.Tensor | None:
    """Return what was said about the operation that runs, None if all of its outputs are needed."""
    return _OUTPUT.get()


def _layout(tensor: torch.Tensor) -> tuple[torch.Size, tuple[int, ...], int]:
    return tensor.shape, tensor.stride(), int(tensor.storage_offset())
