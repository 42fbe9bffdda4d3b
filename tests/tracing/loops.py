"""Short recordings for tests, and what ordinary hooks see of the same run."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from torch import nn

from accelsim.trace import OpTrace, TraceReader
from accelsim.tracing import Tracer

torch.set_num_threads(1)


def record(model: nn.Module, path: Path, body: Callable[[Tracer], Any], **options: Any) -> list[OpTrace]:
    """Run `body` inside a tracer, which is strict unless told otherwise, and return the records."""
    with Tracer(model, path, **{"strict": True, **options}) as tracer:
        body(tracer)
    return list(TraceReader(path))


def meta(path: Path) -> dict[str, Any]:
    return TraceReader(path).meta


class Seen:
    """Per call of a layer: what it got, its weight then, and the gradient at its output, as ordinary hooks see them."""

    def __init__(self, name: str, module: nn.Module, inputs: torch.Tensor) -> None:
        self.name = name
        self.input = inputs.detach().clone()
        self.weight = module.weight.detach().clone()
        self.grad_output: torch.Tensor | None = None

    def keep_gradient(self, gradient: torch.Tensor) -> None:
        self.grad_output = gradient.detach().clone()


@contextmanager
def watched(*models: tuple[str, nn.Module]) -> Iterator[list[Seen]]:
    """Watch every layer with a weight of several dimensions."""
    seen: list[Seen] = []
    handles = []

    def watch(name: str, module: nn.Module) -> None:
        def hook(module: nn.Module, inputs: tuple[torch.Tensor, ...], output: torch.Tensor) -> None:
            call = Seen(name, module, inputs[0])
            seen.append(call)
            if output.requires_grad:
                output.register_hook(call.keep_gradient)

        handles.append(module.register_forward_hook(hook))

    for prefix, model in models:
        for name, module in model.named_modules(prefix=prefix):
            if isinstance(getattr(module, "weight", None), torch.Tensor) and module.weight.dim() > 1:
                watch(name, module)
    try:
        yield seen
    finally:
        for handle in handles:
            handle.remove()
