"""One operation of a training step: its geometry and which elements of its tensors are non-zero."""

from __future__ import annotations

from dataclasses import dataclass, field, fields
from typing import Any, Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from accelsim.errors import TraceError
from accelsim.trace.bitmask import BitMask
from accelsim.trace.fields import (
    COUNT,
    COUNT_OR_NONE,
    EXTENTS_FROM_0,
    EXTENTS_FROM_1,
    FLAG,
    KIND,
    NUMBER,
    PADDING,
    TEXT,
    Kind,
    Padding,
    Pair,
    told,
)

MaskLike = BitMask | ArrayLike


@dataclass(kw_only=True, eq=False)
class Facts:
    """What a record says of an operation beside its masks, in the order of the file.

    Operations, headers, the file and its documentation have the fields of this list; a new one is a line here.
    """

    name: str = field(
        metadata=told(
            TEXT,
            "the module's name in `model.named_modules()`: `layer1.0.conv1`. A module outside `model` (a momentum"
            " encoder that is not registered in it): its class's name, then the path, `ResNet.layer1.0.conv1`; a second"
            " one of the class is `ResNet-2`. A weight that is not the module's `weight`: that parameter's name,"
            " `attn.in_proj_weight`",
        )
    )
    step: int = field(metadata=told(COUNT, "the training step, from 0"))
    call: int = field(
        default=0, metadata=told(COUNT, "how often this layer ran before in the same step (two views: 0 and 1)")
    )
    order: int | None = field(
        default=None,
        metadata=told(COUNT_OR_NONE, "place of the call in the step's forward order; else that of writing"),
    )
    kind: Kind = field(
        default="conv",
        metadata=told(KIND, "`conv` (a linear layer, too), `conv_transpose`, or `matmul` of two activations"),
    )
    stride: Pair = field(default=(1, 1), metadata=told(EXTENTS_FROM_1, "(rows, columns)"))
    padding: Padding = field(
        default=(0, 0),
        metadata=told(
            PADDING,
            "zeros around the image: (rows, columns) on both sides, or (top, left, bottom, right) where they differ",
        ),
    )
    dilation: Pair = field(default=(1, 1), metadata=told(EXTENTS_FROM_1, "(rows, columns)"))
    output_padding: Pair = field(
        default=(0, 0), metadata=told(EXTENTS_FROM_0, "(rows, columns), of a transposed convolution")
    )
    groups: int = field(
        default=1, metadata=told(NUMBER, "of a grouped convolution; of a `matmul`, products in the batch")
    )
    needs_input_grad: bool = field(
        default=True, metadata=told(FLAG, "whether the backward really computed the input's gradient")
    )
    needs_weight_grad: bool = field(
        default=True, metadata=told(FLAG, "whether the backward really computed the weight's gradient")
    )
    recomputed: bool = field(
        default=False,
        metadata=told(
            FLAG,
            "a forward that activation checkpointing ran again. A reentrant checkpoint's gradient is on this record, a"
            " non-reentrant one's on the original; each gradient is recorded once",
        ),
    )
    dtype: str = field(default="", metadata=told(TEXT, "number type that the tensors had, for information"))

    def facts(self) -> dict[str, Any]:
        """Return the fields of this list by name."""
        return {part.name: getattr(self, part.name) for part in fields(Facts)}


class _Mask:
    """A mask of an operation: given as an array or `BitMask`, kept packed, and unpacked at each read.

    Attributes:
        name: of the operation's attribute.
        like: the tensor whose shape it has.
        title: what tables call it.
        means: what it says, in the documentation.
    """

    name: str

    def __init__(self, like: Literal["weight", "input", "output"], title: str, means: str) -> None:
        self.like, self.title, self.means = like, title, means

    def __set_name__(self, owner: type, name: str) -> None:
        self.name = name

    def _pack(self, op: OpTrace, mask: MaskLike) -> None:
        op.masks[self.name] = _four_dimensional(op.name, self.name, mask)


class _GivenMask(_Mask):
    """A mask that every operation has."""

    def __get__(self, op: OpTrace | None, owner: type) -> NDArray[np.bool_]:
        if op is None:
            raise AttributeError(self.name)  # a dataclass takes this for a field without a default
        return op.masks[self.name].to_array()

    def __set__(self, op: OpTrace, mask: MaskLike) -> None:
        self._pack(op, mask)


class _OptionalMask(_Mask):
    """A mask that an operation may have, None otherwise."""

    def __get__(self, op: OpTrace | None, owner: type) -> NDArray[np.bool_] | None:
        mask = None if op is None else op.masks.get(self.name)  # without an operation, it is the field's default
        return None if mask is None else mask.to_array()

    def __set__(self, op: OpTrace, mask: MaskLike | None) -> None:
        if mask is not None:
            self._pack(op, mask)


@dataclass(kw_only=True, eq=False, repr=False)
class OpTrace(Facts):
    """One call of one layer: masks are True where an element is non-zero (or, for `*_needed`, must be computed).

    Masks may be given as arrays or as `BitMask`; they are kept packed and unpacked at each read. Shapes, for `conv`
    (a linear layer is a 1x1 convolution on 1x1 images and may be given in 2-D, a 1-D convolution in 3-D):

        weight, weight_grad_needed         [Cout, Cin / groups, R, S]
        input, input_grad_needed           [N, Cin, H, W]
        grad_output, output_needed         [N, Cout, P, Q]

    For `conv_transpose` the weight is [Cin, Cout / groups, R, S]. A `matmul` is a batch of products of two activations
    (attention without a fused kernel): it is given as a grouped 1x1 convolution, one group a batch entry, whose
    `weight` holds the second operand.

    The arguments, all by name, are the fields of `Facts` and the masks: `name`, `step`, `weight` and `input` must be
    given. `padding` is kept as two numbers if the sides agree. docs/tracing.md says what each means.

    Attributes:
        masks: those that there are, packed, by name.

    Raises:
        TraceError: a value that cannot be, or shapes that do not belong together; names operation, field or tensor, and
            what would fit.
    """

    masks: dict[str, BitMask] = field(init=False, default_factory=dict)
    weight: _GivenMask = _GivenMask("weight", "weight", "non-zero weights, as `zero_as` counts them")
    input: _GivenMask = _GivenMask("input", "activation", "non-zero inputs")
    grad_output: _OptionalMask = _OptionalMask(
        "output",
        "gradient",
        "non-zero gradients at the output. None: this call had no backward (a momentum encoder, a frozen stem)",
    )
    output_needed: _OptionalMask = _OptionalMask(
        "output",
        "output\nneeded",
        "only where a module has said so (`accelsim.tracing.annotations`): the outputs that a gate left open; see"
        " [sparsity](sparsity.md)",
    )
    input_grad_needed: _OptionalMask = _OptionalMask(
        "input",
        "in. grad\nneeded",
        "only if the input came out of a ReLU (also ReLU6, `threshold`, `clamp(min=0)`) directly or through views,"
        " pooling, dropout, padding, concatenation, fixed masks, casts: the input's exact non-zeros. Elsewhere ReLU's"
        " backward zeroes the gradient anyway",
    )
    weight_grad_needed: _OptionalMask = _OptionalMask(
        "weight",
        "w. grad\nneeded",
        "only where a module has said so: the weights that are not pruned or may grow in this step",
    )

    def __post_init__(self) -> None:
        for part in fields(Facts):
            value = part.metadata["kind"].keep(self.name, part.name, getattr(self, part.name))
            setattr(self, part.name, value)
        self._check()

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

    def _check(self) -> None:
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
        shapes = {name: self.masks[name].shape for name in ("weight", "input")} | {"output": output_shape}
        for mask_name, mask in self.masks.items():
            expected = shapes[MASKS[mask_name].like]
            if mask.shape != expected:
                raise TraceError(
                    f"{self.name}: {mask_name} has shape {mask.shape}, expected {expected} from weight and input"
                )

    def __repr__(self) -> str:
        shapes = ", ".join(f"{mask_name}={mask.shape}" for mask_name, mask in self.masks.items())
        return f"OpTrace({self.name!r}, step={self.step}, call={self.call}, kind={self.kind!r}, {shapes})"


MASKS: dict[str, _Mask] = {name: part for name, part in vars(OpTrace).items() if isinstance(part, _Mask)}
MASK_NAMES = tuple(MASKS)


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
