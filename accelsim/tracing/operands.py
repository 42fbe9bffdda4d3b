"""A convolution or matrix product as a record will show it: which tensor is what, in which layout and geometry."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import torch
from torch import nn

from accelsim.trace.fields import Kind, Padding, Pair
from accelsim.tracing.products import Product
from accelsim.tracing.provenance import NO_RIM, Provenance, Rim
from accelsim.tracing.storages import is_dense, storage_address

aten = torch.ops.aten

CONVOLUTIONS = (aten.convolution, aten._convolution, aten.convolution_overrideable)
CONVOLUTION_BACKWARDS = (aten.convolution_backward, aten.convolution_backward_overrideable)
PRODUCTS = (aten.mm, aten.bmm)
ADDED_PRODUCTS = (aten.addmm, aten.addmm_, aten._addmm_activation, aten.baddbmm, aten.baddbmm_)
WITH_PARTS = (aten.linear, aten.matmul)
ALL = {*CONVOLUTIONS, *CONVOLUTION_BACKWARDS, *PRODUCTS, *ADDED_PRODUCTS, *WITH_PARTS}

Layout = Literal["image", "rows", "columns", "batched rows", "batched columns"]
WEIGHT_FIRST: tuple[Layout, ...] = ("columns", "batched columns")


@dataclass(frozen=True)
class Geometry:
    """The parameters of a record's convolution."""

    kind: Kind = "conv"
    stride: Pair = (1, 1)
    padding: Padding = (0, 0)
    dilation: Pair = (1, 1)
    output_padding: Pair = (0, 0)
    groups: int = 1


@dataclass(frozen=True)
class Operands:
    """A forward operation's tensors.

    Attributes:
        weight, input: what the record calls so (a product of activations: its second and first operand).
        layout: how tensors lie in the record. `image`: as they are. For a product [B,] M x K times K x N: `rows`,
            weight is the second operand; `columns`, weight is the first; the same `batched`, one group per batch entry.
        geometry: the record's parameters.
        product: recognises the backward's products; None for a convolution.
        rim: zeros around the input that belong to the record's padding, not to its input.
    """

    weight: torch.Tensor
    input: torch.Tensor
    layout: Layout
    geometry: Geometry
    product: Product | None
    rim: Rim = NO_RIM

    def weight_view(self) -> tuple[torch.Tensor, tuple[int, ...]]:
        """The weight in the record's order of elements, and the record's shape."""
        match self.layout:
            case "rows":
                matrix = self.weight[0] if self.weight.dim() == 3 else self.weight
                return matrix.t(), (matrix.shape[1], matrix.shape[0])
            case "columns":
                matrix = self.weight[0] if self.weight.dim() == 3 else self.weight
                return matrix, tuple(matrix.shape)
            case "batched rows":
                k, n = self.weight.shape[-2:]
                return self.weight.mT, (self.geometry.groups * n, k)
            case "batched columns":
                return self.weight, (self.weight.shape[:-1].numel(), self.weight.shape[-1])
            case "image":
                return self.weight, tuple(self.weight.shape)

    def input_view(self) -> tuple[torch.Tensor, tuple[int, ...]]:
        """The input in the record's order of elements, and the record's shape."""
        if self.rim == NO_RIM:
            return activation_view(self.input, self.layout)
        top, left, bottom, right = self.rim
        image = self.input[..., left : self.input.shape[-1] - right]
        if image.dim() == 4:
            image = image[:, :, top : image.shape[2] - bottom]
        return image, tuple(image.shape)


def activation_view(tensor: torch.Tensor, layout: Layout) -> tuple[torch.Tensor, tuple[int, ...]]:
    """An input or an output's gradient in the record's order of elements, and the record's shape."""
    match layout:
        case "rows":
            return tensor, (tensor.shape[:-1].numel(), tensor.shape[-1])
        case "columns":
            return tensor.mT, (tensor.shape[:-2].numel() * tensor.shape[-1], tensor.shape[-2])
        case "batched rows":
            batch = tensor if tensor.dim() == 3 else tensor.unsqueeze(0)
            b, m, features = batch.shape
            return batch.transpose(0, 1), (m, b * features)
        case "batched columns":
            b, features, n = tensor.shape
            return tensor.permute(2, 0, 1), (n, b * features)
        case "image":
            return tensor, tuple(tensor.shape)


def convolution(args: Sequence[Any], rim: Callable[[torch.Tensor], Rim]) -> Operands | None:
    """Return a convolution's operands, None if it has more than two image dimensions.

    Zeros that the training put around the image before the convolution (`F.pad`, an uneven `padding="same"`) count as
    its padding: the gradient at them is nobody's, and no machine would compute it. `rim` says how many there are.
    """
    source, weight, _, stride, padding, dilation, transposed, output_padding, groups = args[:9]
    if not is_dense(source) or weight.dim() not in (3, 4) or source.dim() != weight.dim():
        return None
    (rows, columns), zeros = _pair(padding, weight, 0), NO_RIM if transposed else rim(source)
    top, left, bottom, right = zeros
    return Operands(
        weight=weight,
        input=source,
        layout="image",
        geometry=Geometry(
            kind="conv_transpose" if transposed else "conv",
            stride=_pair(stride, weight, 1),
            padding=(rows + top, columns + left, rows + bottom, columns + right),
            dilation=_pair(dilation, weight, 1),
            output_padding=_pair(output_padding, weight, 0),
            groups=int(groups),
        ),
        product=None,
        rim=zeros,
    )


def product(
    function: Any,
    args: Sequence[Any],
    shown: Sequence[Any],
    module: nn.Module,
    provenance: Provenance,
) -> Operands | None:
    """Return the operands of a product a x b as run by a module, None if one of them is not an ordinary dense tensor.

    The weight is the operand that is one of the module's parameters, of which a batch (one weight for each expert)
    makes groups; in a module with parameters of its own whose values are computed first (normalised), the second
    operand of two matrices, as in `torch.nn.Linear`; else the operand that is a parameter of another module, or a part
    of one (FSDP keeps the weights of all layers in one flat parameter). Otherwise both are activations. `shown` are the
    arguments as autograd knows them, the same as `args` but for tensor subclasses.
    """
    position = 0 if function.overloadpacket in PRODUCTS else 1
    a, b = args[position : position + 2]
    if not is_dense(a) or not is_dense(b):
        return None
    shown_a, shown_b = shown[position : position + 2]
    remembered = Product.of(function, shown_a, shown_b, position)
    shared = a.dim() == 2 or a.shape[0] == 1
    parameters = {storage_address(parameter) for parameter in module.parameters()} - {None}
    groups = a.shape[0] if a.dim() == 3 else 1
    weight = _weight(
        [provenance.origin(shown_a) in parameters, provenance.origin(shown_b) in parameters],
        [provenance.parameter(shown_a) is not None, provenance.parameter(shown_b) is not None],
        computed=a.dim() == 2 and bool(parameters),
    )
    if weight == 1:
        rows = shared or b.stride(0) == 0
        return Operands(b, a, "rows" if rows else "batched rows", Geometry(groups=1 if rows else groups), remembered)
    if weight == 0:
        columns = shared or a.stride(0) == 0
        layout: Layout = "columns" if columns else "batched columns"
        return Operands(a, b, layout, Geometry(groups=1 if columns else groups), remembered)
    return Operands(b, a, "batched rows", Geometry(kind="matmul", groups=groups), remembered)


def _weight(own: Sequence[bool], any_parameter: Sequence[bool], *, computed: bool) -> int | None:
    """Return which operand of a product is the weight: 0, 1 or None, given what is known of each.

    Args:
        own: whether it is a parameter of the module that multiplies.
        any_parameter: whether it is one of any module.
        computed: whether the second may be a weight that was computed from the module's parameters.
    """
    for told in (own, (False, computed), any_parameter):
        for operand in (1, 0):
            if told[operand]:
                return operand
    return None


def _pair(extents: Sequence[int], weight: torch.Tensor, missing: int) -> Pair:
    """Extents by row and column: a 1-D convolution is a 2-D one on images of one row."""
    values = [int(extent) for extent in extents] * (weight.dim() - 2 if len(extents) == 1 else 1)
    return (missing, values[0]) if weight.dim() == 3 else (values[0], values[1])
