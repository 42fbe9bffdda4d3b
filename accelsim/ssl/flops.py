"""How many operations a training step takes, counted as it runs: dense, and what masks and gates leave of them."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Self, cast

import torch
from torch import Tensor, nn

from accelsim.sparsity import GatedConv2d, current_branch
from accelsim.sparsity.masks import weight_mask

_COUNTED = (nn.Conv1d, nn.Conv2d, nn.Conv3d, nn.Linear)


@dataclass
class StepFlops:
    """Floating-point operations of convolutions and linear layers, two a multiply-accumulate.

    Attributes:
        dense: forward, input gradients (where the input has one) and weight gradients (where the weight does).
        masked: the same without what a zero of a masked weight takes part in: its products in forward and input
            gradient, and its own gradient where nobody needs that (a growth step does, and straight-through masks);
            of a gated convolution's rest, the outputs whose gate is open.
    """

    dense: int = 0
    masked: int = 0

    def __iadd__(self, other: StepFlops) -> Self:
        """Add another step's."""
        self.dense += other.dense
        self.masked += other.masked
        return self


@contextmanager
def count_flops(model: nn.Module) -> Iterator[StepFlops]:
    """Count what the layers of a model compute inside the block, the backward pass of each forward included.

    A momentum encoder, which runs without gradients, counts its forward only. Products outside convolutions and linear
    layers (in a loss) are not counted.
    """
    counted = StepFlops()

    gates: dict[nn.Module, GatedConv2d] = {
        gate.gated: gate for gate in model.modules() if isinstance(gate, GatedConv2d)
    }
    pending: dict[nn.Module, int] = {}  # what a gated convolution would do with all gates open

    def count(layer: nn.Module, inputs: tuple[Tensor, ...], output: Tensor) -> None:
        dense, masked = _operations(layer, inputs[0], output)
        counted.dense += dense
        if layer in gates:
            pending[gates[layer]] = masked
        else:
            counted.masked += masked

    def count_open(gate: GatedConv2d, inputs: tuple[Tensor, ...], output: Tensor) -> None:
        counted.masked += round(pending.pop(gate) * gate.open_share[current_branch()])

    handles = [layer.register_forward_hook(count) for layer in model.modules() if isinstance(layer, _COUNTED)]
    handles += [gate.register_forward_hook(count_open) for gate in gates.values()]
    try:
        yield counted
    finally:
        for handle in handles:
            handle.remove()


def _operations(layer: nn.Module, x: Tensor, output: Tensor) -> tuple[int, int]:
    """Operations of one call and its backward, dense and without those of pruned weights."""
    recorded = torch.is_grad_enabled()
    mask = weight_mask(layer)
    weight = cast(Tensor, cast(nn.ModuleDict, layer.parametrizations)["weight"].original if mask else layer.weight)
    kept = weight.numel() if mask is None else int(mask.of(current_branch()).sum())
    skips = mask is not None and mask.skips_gradients and not mask.dense_gradients
    multiplying = 1 + (recorded and x.requires_grad)
    learning = int(recorded and weight.requires_grad)
    channels = output.shape[-1] if isinstance(layer, nn.Linear) else weight.shape[0]
    uses = 2 * (output.numel() // channels)  # of each weight element in a pass
    dense = uses * (multiplying + learning) * weight.numel()
    return dense, uses * (multiplying * kept + learning * (kept if skips else weight.numel()))
