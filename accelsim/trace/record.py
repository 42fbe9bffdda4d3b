"""One operation of a training step: its geometry and which elements of its tensors are non-zero."""

from __future__ import annotations

import operator
from typing import Literal, get_args

import numpy as np
from numpy.typing import ArrayLike, NDArray

from accelsim.errors import TraceError
from accelsim.trace.bitmask import BitMask
from accelsim.trace.plain import is_unicode

Kind = Literal["conv", "conv_transpose", "matmul"]
Pair = tuple[int, int]
Padding = Pair | tuple[int, int, int, int]
MaskLike = BitMask | ArrayLike

MASK_NAMES = ("weight", "input", "grad_output", "output_needed", "input_grad_needed", "weight_grad_needed")


class OpTrace:
    """One call of one layer: masks are True where an element is non-zero (or, for `*_needed`, must be computed).

    Masks may be given as arrays or as `BitMask`; they are kept packed and unpacked at each read. Shapes, for `conv`
    (a linear layer is a 1x1 convolution on 1x1 images and may be given in 2-D, a 1-D convolution in 3-D):

        weight, weight_grad_needed         [Cout, Cin / groups, R, S]
        input, input_grad_needed           [N, Cin, H, W]
        grad_output, output_needed         [N, Cout, P, Q]

    For `conv_transpose` the weight is [Cin, Cout / groups, R, S]. A `matmul` is a batch of products of two activations
    (attention without a fused kernel): it is given as a grouped 1x1 convolution, one group a batch entry, whose
    `weight` holds the second operand.

    Args:
        name: dotted module name, e.g. "layer1.0.conv1".
        step: training step, from 0.
        call: how often this layer ran before in the same step.
        padding: zeros around the image, (rows, columns) on both sides, or (top, left, bottom, right)
            where the sides differ, in ONNX's order; kept as two numbers if the sides agree.
        grad_output: None if the operation ran forward only (a momentum encoder).
        output_needed, input_grad_needed, weight_grad_needed: what must be computed; None means everything.
        needs_input_grad, needs_weight_grad: which gradients the backward pass computed.
        recomputed: a forward that activation checkpointing ran again.
        dtype: number type the tensors had, for information.
        order: place of the call in the step's forward order; None means the order in which records are written.

    Raises:
        TraceError: shapes that do not belong together; names operation, tensor and the shape that would fit.
    """

    def __init__(
        self,
        *,
        name: str,
        step: int,
        weight: MaskLike,
        input: MaskLike,
        grad_output: MaskLike | None = None,
        call: int = 0,
        kind: Kind = "conv",
        stride: Pair = (1, 1),
        padding: Padding = (0, 0),
        dilation: Pair = (1, 1),
        output_padding: Pair = (0, 0),
        groups: int = 1,
        output_needed: MaskLike | None = None,
        input_grad_needed: MaskLike | None = None,
        weight_grad_needed: MaskLike | None = None,
        needs_input_grad: bool = True,
        needs_weight_grad: bool = True,
        recomputed: bool = False,
        dtype: str = "",
        order: int | None = None,
    ) -> None:
        for field, text in (("name", name), ("dtype", dtype)):
            if not isinstance(text, str) or not is_unicode(text):
                raise TraceError(f"{name!a}: {field} is {text!a}, expected a str of valid Unicode")
        self.name, self.kind, self.dtype = name, kind, dtype
        self.step, self.call = _integer(name, "step", step, 0), _integer(name, "call", call, 0)
        self.order = None if order is None else _integer(name, "order", order, 0)
        self.padding = _padding(name, padding)
        self.stride, self.dilation, self.output_padding = (
            _pair(name, "stride", stride, 1),
            _pair(name, "dilation", dilation, 1),
            _pair(name, "output_padding", output_padding, 0),
        )
        self.groups = _integer(name, "groups", groups, 1)
        self.needs_input_grad, self.needs_weight_grad = bool(needs_input_grad), bool(needs_weight_grad)
        self.recomputed = bool(recomputed)
        given = (weight, input, grad_output, output_needed, input_grad_needed, weight_grad_needed)
        self.masks: dict[str, BitMask] = {
            mask_name: _four_dimensional(name, mask_name, mask)
            for mask_name, mask in zip(MASK_NAMES, given, strict=True)
            if mask is not None
        }
        self._check()

    @property
    def weight(self) -> NDArray[np.bool_]:
        """Non-zero weights, [Cout, Cin / groups, R, S]."""
        return self.masks["weight"].to_array()

    @property
    def input(self) -> NDArray[np.bool_]:
        """Non-zero inputs, [N, Cin, H, W]."""
        return self.masks["input"].to_array()

    @property
    def grad_output(self) -> NDArray[np.bool_] | None:
        """Non-zero gradients at the output, [N, Cout, P, Q]; None if the operation ran forward only."""
        return self._optional("grad_output")

    @property
    def output_needed(self) -> NDArray[np.bool_] | None:
        """Outputs that forward must compute, [N, Cout, P, Q]; None means all."""
        return self._optional("output_needed")

    @property
    def input_grad_needed(self) -> NDArray[np.bool_] | None:
        """Input gradients that must be computed, [N, Cin, H, W]; None means all."""
        return self._optional("input_grad_needed")

    @property
    def weight_grad_needed(self) -> NDArray[np.bool_] | None:
        """Weight gradients that must be computed, in the weight's shape; None means all."""
        return self._optional("weight_grad_needed")

    @property
    def output_shape(self) -> tuple[int, int, int, int]:
        """[N, Cout, P, Q], from the other shapes."""
        n, _, *image = self.masks["input"].shape
        w0, w1, *kernel = self.masks["weight"].shape
        pads = [self.padding[axis] + self.padding[axis - 2] for axis in (0, 1)]  # before and after, of two or of four
        if self.kind == "conv_transpose":
            p, q = (
                (x - 1) * s - pad + d * (r - 1) + extra + 1
                for x, r, s, pad, d, extra in zip(
                    image, kernel, self.stride, pads, self.dilation, self.output_padding, strict=True
                )
            )
            return n, w1 * self.groups, p, q
        p, q = (
            (x + pad - d * (r - 1) - 1) // s + 1
            for x, r, s, pad, d in zip(image, kernel, self.stride, pads, self.dilation, strict=True)
        )
        return n, w0, p, q

    @property
    def macs(self) -> int:
        """Multiply-accumulates of the dense forward pass as computed directly: out elements x Cin / groups x R x S.

        For a transposed convolution: in elements x Cout / groups x R x S (no inserted zero is multiplied).
        """
        _, per_group, r, s = self.masks["weight"].shape
        n, c_out, p, q = self.output_shape
        positions = self.masks["input"].size if self.kind == "conv_transpose" else n * c_out * p * q
        return positions * per_group * r * s

    def _optional(self, mask_name: str) -> NDArray[np.bool_] | None:
        mask = self.masks.get(mask_name)
        return None if mask is None else mask.to_array()

    def _check(self) -> None:
        if self.kind not in get_args(Kind):
            raise TraceError(f"{self.name}: kind is {self.kind!r}, expected one of {', '.join(get_args(Kind))}")
        c_in = self.masks["input"].shape[1]
        w0, w1 = self.masks["weight"].shape[:2]
        transposed = self.kind == "conv_transpose"
        if self.groups < 1 or c_in != (w0 if transposed else w1 * self.groups) or w0 % self.groups:
            raise TraceError(
                f"{self.name}: weight {self.masks['weight'].shape} does not fit an input of {c_in} channels"
                f" in {self.groups} groups"
            )
        output_shape = self.output_shape
        if min(*output_shape[2:], *self.masks["input"].shape[1:], *self.masks["weight"].shape) < 1:
            raise TraceError(
                f"{self.name}: input {self.masks['input'].shape} is too small for the kernel of weight"
                f" {self.masks['weight'].shape}"
            )
        weight_shape, input_shape = self.masks["weight"].shape, self.masks["input"].shape
        expected = dict(
            zip(
                MASK_NAMES,
                (weight_shape, input_shape, output_shape, output_shape, input_shape, weight_shape),
                strict=True,
            )
        )
        for mask_name, mask in self.masks.items():
            if mask.shape != expected[mask_name]:
                raise TraceError(
                    f"{self.name}: {mask_name} has shape {mask.shape}, expected {expected[mask_name]}"
                    f" from weight and input"
                )

    def __repr__(self) -> str:
        shapes = ", ".join(f"{mask_name}={mask.shape}" for mask_name, mask in self.masks.items())
        return f"OpTrace({self.name!r}, step={self.step}, call={self.call}, kind={self.kind!r}, {shapes})"


def _integer(name: str, field: str, value: int, least: int) -> int:
    try:
        number = operator.index(value)
    except TypeError:
        raise TraceError(f"{name}: {field} is {value!r}, expected an integer") from None
    if number < least:
        raise TraceError(f"{name}: {field} is {value!r}, expected at least {least}")
    return number


def _pair(name: str, field: str, value: Pair, least: int) -> Pair:
    try:
        first, second = (operator.index(extent) for extent in value)
    except (TypeError, ValueError):
        raise TraceError(f"{name}: {field} is {value!r}, expected two integers") from None
    if min(first, second) < least:
        raise TraceError(f"{name}: {field} is {value!r}, expected two integers of at least {least}")
    return first, second


def _padding(name: str, value: Padding) -> Padding:
    try:
        sides = tuple(map(operator.index, value))
    except TypeError:
        sides = ()
    if len(sides) not in (2, 4) or min(sides) < 0:
        raise TraceError(
            f"{name}: padding is {value!r}, expected (rows, columns) or (top, left, bottom, right), integers from 0 on"
        )
    top, left, *after = sides
    return (top, left) if after in ([], [top, left]) else (top, left, after[0], after[1])


def _four_dimensional(name: str, mask_name: str, mask: MaskLike) -> BitMask:
    try:
        packed = mask if isinstance(mask, BitMask) else BitMask.from_array(mask)
    except TraceError as error:
        raise TraceError(f"{name}: {mask_name}: {error}") from None
    match packed.shape:
        case (_, _, _, _):
            return packed
        case (rows, columns):
            return packed.reshape((rows, columns, 1, 1))
        case (rows, columns, length):
            return packed.reshape((rows, columns, 1, length))
        case _:
            raise TraceError(f"{name}: {mask_name} has shape {packed.shape}, expected 2, 3 or 4 dimensions")
