"""Contrastive dual gating (Meng et al. 2022): a cheap partial sum decides which outputs deserve the rest.

The gate follows its ancestor, channel gating (Hua et al. 2019), with thresholds for each contrastive branch.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, cast

import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable
from torch.nn.utils import parametrize

from accelsim.errors import TrainingError
from accelsim.sparsity.branch import distinguished_branch
from accelsim.sparsity.masks import sparse_layers
from accelsim.tracing.annotations import needed_outputs

_OPEN = 0.5
"""A gate is open where its sigmoid is above this."""


class GatedConv2d(nn.Module):
    """A convolution whose outputs are completed only where a gate opens; [N, C_in, H, W] to [N, C_out, P, Q].

        base = convolution of the first C_in / partitions input channels (bias included)
        gate = 1[sigmoid(alpha * (norm(base) - threshold)) > 1/2]
        output = base + gate * convolution of the other channels

    The gate's backward is that of the sigmoid (straight through). A closed output's rest takes no part in anything, its
    gate's gradient included, so that a machine may leave it out in forward, input_grad and weight_grad alike; a tracer
    records it as not needed. In a trace the two convolutions are `NAME.base` and `NAME.gated`.

    Args:
        convolution: what to gate; its weights are taken over.
        partitions: p, a divisor of C_in above 1.
        thresholds: where the output channels' thresholds start, in branch 0 and branch 1, in standard deviations of the
            base path; they learn (freeze `threshold` to keep them).
        alpha: steepness of the gate's backward.
        channels: output channels that share a gate, a divisor of C_out: 1 is unstructured, 8 or 16 fit an array's rows.
            The slice opens where its mean sigmoid is above 1/2.

    Attributes:
        threshold: [2, C_out], a row a branch.
        open_share: share of outputs whose gate was open in the last forward of each branch; NaN before it.

    Raises:
        TrainingError: a grouped or masked convolution, or numbers that do not divide its channels.
    """

    def __init__(
        self,
        convolution: nn.Conv2d,
        partitions: int = 4,
        thresholds: tuple[float, float] = (0.0, 0.0),
        alpha: float = 2.0,
        channels: int = 1,
    ) -> None:
        super().__init__()
        c_in, c_out = convolution.in_channels, convolution.out_channels
        if reason := _obstacle(convolution, partitions):
            raise TrainingError(f"this convolution cannot be gated: {reason}")
        if channels < 1 or c_out % channels:
            raise TrainingError(f"{c_out} output channels cannot be gated in slices of {channels}, expected a divisor")
        if not alpha > 0:
            raise TrainingError(f"the gate's alpha is {alpha}, expected a number above 0")
        self.split, self.alpha, self.channels = c_in // partitions, alpha, channels
        self.base = _part(convolution, slice(0, self.split), bias=convolution.bias is not None)
        self.gated = _part(convolution, slice(self.split, c_in), bias=False)
        self.norm = nn.BatchNorm2d(c_out, affine=False)
        self.threshold = nn.Parameter(
            torch.tensor(thresholds).to(convolution.weight)[:, None].expand(2, c_out).contiguous()
        )
        self.norm.to(convolution.weight.device)
        self.open_share = [float("nan"), float("nan")]

    def forward(self, x: Tensor) -> Tensor:
        """Return base sums where the gate is closed, full sums where it is open.

        Raises:
            TrainingError: see `distinguished_branch`.
        """
        first, others = x.split([self.split, x.shape[1] - self.split], 1)
        base: Tensor = self.base(first)
        branch = distinguished_branch()
        # in place, and less by adding: neither passes over a whole tensor more than it must
        score: Tensor = (self.norm(base) + -self.threshold[branch][:, None, None]).mul_(self.alpha).sigmoid_()
        if self.channels > 1:
            slices = score.unflatten(1, (-1, self.channels))
            score = slices.mean(2, keepdim=True).expand_as(slices).flatten(1, 2)
        opened = score.detach() > _OPEN
        with needed_outputs(opened):
            rest: Tensor = self.gated(others)
        self.open_share[branch] = int(opened.count_nonzero()) / opened.numel()
        return cast(Tensor, _Complete.apply(base, rest, score))  # type: ignore[no-untyped-call]


def gate_penalty(model: nn.Module, target: float) -> Tensor:
    """Return the sum over all gates of (threshold - target)^2, of both branches; a scalar, 0 without gates.

    Times a small factor (channel gating's code: 1e-4) and added to the loss it draws every threshold towards the
    target, which the loss alone does not raise: above 0 fewer gates open (Hua et al. 2019). Its gradient at a threshold
    is 2 (threshold - target).
    """
    gates = [module.threshold for module in model.modules() if isinstance(module, GatedConv2d)]
    return torch.stack([(threshold - target).square().sum() for threshold in gates]).sum() if gates else torch.zeros(())


class _Complete(torch.autograd.Function):
    """base + rest where score > 1/2; the score's gradient is that of base + rest * score, but 0 where it is closed."""

    @staticmethod
    def forward(ctx: Any, base: Tensor, rest: Tensor, score: Tensor) -> Tensor:
        owed = _where_open(rest, score)
        ctx.save_for_backward(owed, score)
        return base + owed

    @staticmethod
    @once_differentiable  # type: ignore[misc]
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        (gradient,) = gradients
        owed, score = ctx.saved_tensors
        return gradient, _where_open(gradient, score), gradient * owed


def _where_open(values: Tensor, score: Tensor) -> Tensor:
    """Values where the gate is open, else 0.

    It selects and does not multiply, so nothing of a closed output gets through, as with `torch.where`, which is 20
    times as slow on masks as irregular as a gate's.
    """
    return cast(Tensor, torch.ops.aten.threshold_backward(values, score, _OPEN))


def apply_gates(
    model: nn.Module,
    dense: Iterable[str] = (),
    *,
    partitions: int = 4,
    thresholds: tuple[float, float] = (0.0, 0.0),
    alpha: float = 2.0,
    channels: int = 1,
) -> dict[str, GatedConv2d]:
    """Gate the convolutions of a model in place: all but the first one, those in `dense`, and those that cannot be.

    A grouped convolution, or one whose input channels `partitions` does not divide, stays as it is. Masks and the
    optimiser come after gates: these have parameters of their own, and `sparse_layers` finds both parts of each gated
    convolution.

    Args:
        model: an encoder.
        dense: see `sparse_layers`.
        partitions, thresholds, alpha, channels: see `GatedConv2d`.

    Returns:
        Dotted name to the gated convolution.

    Raises:
        TrainingError: nothing to gate; what `GatedConv2d` refuses.
    """
    gated: dict[str, GatedConv2d] = {}
    for name, layer in sparse_layers(model, dense).items():
        if not isinstance(layer, nn.Conv2d):
            continue
        if parametrize.is_parametrized(layer):
            raise TrainingError(f"{name} has a mask already: apply gates first, masks after")
        if _obstacle(layer, partitions):
            continue
        gated[name] = GatedConv2d(layer, partitions, thresholds, alpha, channels)
        parent, _, child = name.rpartition(".")
        setattr(model.get_submodule(parent), child, gated[name])
    if not gated:
        raise TrainingError(
            f"{type(model).__name__} has no convolution to gate after its first one whose input channels"
            f" {partitions} divides"
        )
    return gated


def _obstacle(convolution: nn.Conv2d, partitions: int) -> str:
    if parametrize.is_parametrized(convolution):
        return "its weight is parametrised: apply gates first, masks after"
    if convolution.groups != 1:
        return f"it has {convolution.groups} groups, expected 1"
    if partitions < 2 or convolution.in_channels % partitions:
        return f"{convolution.in_channels} input channels do not split into {partitions} parts, expected 2 or more"
    return ""


def _part(convolution: nn.Conv2d, channels: slice, bias: bool) -> nn.Conv2d:
    weight = convolution.weight.detach()[:, channels]
    part = nn.Conv2d(
        weight.shape[1],
        convolution.out_channels,
        cast(tuple[int, int], convolution.kernel_size),
        cast(tuple[int, int], convolution.stride),
        cast("str | tuple[int, int]", convolution.padding),
        cast(tuple[int, int], convolution.dilation),
        bias=bias,
        padding_mode=convolution.padding_mode,
        device=weight.device,
        dtype=weight.dtype,
    )
    with torch.no_grad():
        part.weight.copy_(weight)
        if part.bias is not None and convolution.bias is not None:
            part.bias.copy_(convolution.bias)
    return part
