"""The shape of a layer, without a framework and without values."""

from __future__ import annotations

from dataclasses import dataclass, fields
from math import prod

from accelsim.errors import AccelsimError

Pair = tuple[int, int]
Shape = tuple[int, int, int, int]


@dataclass(frozen=True, kw_only=True)
class Layer:
    """A convolution; a linear layer is a 1x1 convolution on 1x1 images.

    Attributes:
        kernel, stride, padding, image: height and width; `image` is the input's, without padding.
        groups: of channels, see `OpTrace`.
        tokens: how many rows an image makes of a linear layer's input.
        reads_data: its input is the data: nobody needs its gradient, and a density for all layers leaves it dense.
        after_relu: its input comes out of a ReLU, directly or through pooling.
        weight_pattern: pattern that its weights are known to follow, "" where that is open.

    Raises:
        AccelsimError: an extent below 1 (padding: below 0), channels that the groups do not divide, a kernel larger
            than the padded image.
    """

    name: str
    c_in: int
    c_out: int
    kernel: Pair = (1, 1)
    stride: Pair = (1, 1)
    padding: Pair = (0, 0)
    image: Pair = (1, 1)
    groups: int = 1
    tokens: int = 1
    reads_data: bool = False
    after_relu: bool = False
    weight_pattern: str = ""

    def __post_init__(self) -> None:
        for field in fields(self):
            value = getattr(self, field.name)
            extents = value if isinstance(value, tuple) else (value,)
            least = 0 if field.name == "padding" else 1
            if field.name not in _NO_EXTENTS and min(extents) < least:
                raise AccelsimError(f"layer {self.name}: {field.name} is {value}, expected at least {least}")
        if self.c_in % self.groups or self.c_out % self.groups:
            raise AccelsimError(
                f"layer {self.name}: {self.groups} groups do not divide {self.c_in} input and {self.c_out} output"
                f" channels"
            )
        if min(self.output) < 1:
            raise AccelsimError(
                f"layer {self.name}: a kernel of {self.kernel[0]}x{self.kernel[1]} is larger than its input of"
                f" {self.image[0] + 2 * self.padding[0]}x{self.image[1] + 2 * self.padding[1]}"
            )

    @property
    def output(self) -> Pair:
        """Height and width of the output."""
        height, width = (
            (extent + 2 * pad - kernel) // stride + 1
            for extent, pad, kernel, stride in zip(self.image, self.padding, self.kernel, self.stride, strict=True)
        )
        return height, width

    @property
    def weight_shape(self) -> Shape:
        """[C_out, C_in / groups, R, S]."""
        return self.c_out, self.c_in // self.groups, *self.kernel

    def input_shape(self, batch: int) -> Shape:
        """[N, C_in, H, W]; N is batch x tokens."""
        return batch * self.tokens, self.c_in, *self.image

    def output_shape(self, batch: int) -> Shape:
        """[N, C_out, P, Q]."""
        return batch * self.tokens, self.c_out, *self.output

    @property
    def macs(self) -> int:
        """Multiply-accumulates of the dense forward pass of one image."""
        return prod(self.output_shape(1)) * prod(self.weight_shape[1:])


_NO_EXTENTS = {"name", "reads_data", "after_relu", "weight_pattern"}
