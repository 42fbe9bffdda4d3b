"""The work between the products as a trace tells it: how many elements each kind of operation went over, by step.

The tracer keeps it under `other_work` in the metadata, which are complete when the recording has ended:

    {35: {"batch_norm": 4718592, "batch_norm_backward": 4718592, "relu": 4718592, "momentum": 175200, ...}, ...}
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from math import prod
from typing import Any

from accelsim.trace.record import OpTrace

FORWARD_AND_BACKWARD = (
    "batch_norm",
    "group_norm",
    "layer_norm",
    "relu",
    "gelu",
    "activation",
    "softmax",
    "pooling",
)
"""Kinds with a backward of their own, `relu_backward` and so on. `relu`: all activation functions without an
exponential; `activation`: those with one, but GELU; `softmax`: its logarithm, too. An element is one of the tensor that
is read (forward) or of the gradient that comes in (backward)."""

KINDS = frozenset(
    {
        *FORWARD_AND_BACKWARD,
        *(f"{kind}_backward" for kind in FORWARD_AND_BACKWARD),
        "add",  # of two tensors of one shape: shortcuts, and gradients that meet
        "dropout",
        "sgd",  # a parameter's update without state, ...
        "momentum",  # with one number of state for each parameter, ...
        "adam",  # and with two or more
    }
)
_MOST = 10**18


@dataclass(frozen=True)
class OtherWork:
    """Elements by step and kind, one of `KINDS`."""

    steps: Mapping[int, Mapping[str, int]]

    @classmethod
    def from_meta(cls, meta: Mapping[str, Any]) -> OtherWork | None:
        """Read a trace's metadata; None if they do not say, or not in these terms (an older or a foreign writer)."""
        told = meta.get("other_work")
        if not isinstance(told, dict) or not all(_is_count(step) and _is_tally(tally) for step, tally in told.items()):
            return None
        return cls({step: dict(tally) for step, tally in told.items()})

    @classmethod
    def joined(cls, works: Iterable[OtherWork]) -> OtherWork:
        """Add up what several files say: each rank did the work of its share of the batch."""
        steps: dict[int, Counter[str]] = {}
        for work in works:
            for step, tally in work.steps.items():
                steps.setdefault(step, Counter()).update(tally)
        return cls({step: dict(tally) for step, tally in sorted(steps.items())})

    def plain(self) -> dict[int, dict[str, int]]:
        """Return the metadata that say this."""
        return {step: dict(tally) for step, tally in self.steps.items()}


def _is_tally(tally: object) -> bool:
    return isinstance(tally, dict) and all(kind in KINDS and _is_count(number) for kind, number in tally.items())


def _is_count(number: object) -> bool:
    return type(number) is int and 0 <= number <= _MOST


def assumed_tally(op: OpTrace) -> dict[str, int]:
    """Return the other work that probably goes with an operation, for traces that do not tell it.

    It is what convolutional networks mostly do: a batch norm and a ReLU follow every convolution and linear layer, and
    SGD with momentum updates its weights, once a step. Of products of two activations nothing is assumed.
    """
    if op.kind == "matmul":
        return {}
    elements = prod(op.output_shape)
    tally = {"batch_norm": elements, "relu": elements}
    if "grad_output" in op.masks and (op.needs_input_grad or op.needs_weight_grad):
        tally |= {"batch_norm_backward": elements, "relu_backward": elements}
        if op.needs_weight_grad and op.call == 0:
            tally["momentum"] = op.masks["weight"].size
    return tally
