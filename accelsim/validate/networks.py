"""Geometry of a published network and the GEMMs of its training step, without PyTorch."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, NamedTuple

import numpy as np

if TYPE_CHECKING:
    from accelsim.trace.record import OpTrace

PassName = Literal["forward", "input_grad", "weight_grad"]
PASS_NAMES: tuple[PassName, ...] = ("forward", "input_grad", "weight_grad")


class Gemm(NamedTuple):
    """O[M, N] = A[M, K] · B[K, N], in accelsim's letters."""

    m: int
    n: int
    k: int


@dataclass(frozen=True)
class Layer:
    """A convolution on one square image (a linear layer is a 1x1 convolution on a 1x1 image).

    Attributes:
        kernel: R = S; the padding is kernel // 2.
        image: height = width of the input.
    """

    name: str
    c_in: int
    c_out: int
    kernel: int
    stride: int
    image: int

    @property
    def output(self) -> int:
        """Height = width of the output."""
        return (self.image + 2 * (self.kernel // 2) - self.kernel) // self.stride + 1

    def gemms(self, which: PassName) -> Iterator[Gemm]:
        """Yield the GEMMs of a pass from the geometry alone, independently of `accelsim.lowering`.

        input_grad has one per stride phase that has pixels and that any tap reaches, in the phases' order.
        """
        pixels, taps = self.output**2, self.kernel**2
        match which:
            case "forward":
                yield Gemm(self.c_out, pixels, taps * self.c_in)
            case "weight_grad":
                yield Gemm(self.c_out, taps * self.c_in, pixels)
            case "input_grad":
                offsets = [tap - self.kernel // 2 for tap in range(self.kernel)]
                reach = [sum((at - tap) % self.stride == 0 for tap in offsets) for at in range(self.stride)]
                extent = [len(range(at, self.image, self.stride)) for at in range(self.stride)]
                for row in range(self.stride):
                    for col in range(self.stride):
                        if reach[row] and reach[col] and extent[row] and extent[col]:
                            reduction = reach[row] * reach[col] * self.c_out
                            yield Gemm(self.c_in, extent[row] * extent[col], reduction)

    def operation(self) -> OpTrace:
        """Return the layer as a recorded operation without a zero, batch 1."""
        from accelsim.trace.record import OpTrace

        return OpTrace(
            name=self.name,
            step=0,
            weight=np.ones((self.c_out, self.c_in, self.kernel, self.kernel), bool),
            input=np.ones((1, self.c_in, self.image, self.image), bool),
            grad_output=np.ones((1, self.c_out, self.output, self.output), bool),
            stride=(self.stride, self.stride),
            padding=(self.kernel // 2, self.kernel // 2),
        )


def resnet18_cifar() -> tuple[Layer, ...]:
    """Return the 21 layers of ResNet-18 (He et al. 2016) with the CIFAR stem, for 32x32 images and 10 classes."""
    layers = [Layer("conv1", 3, 64, 3, 1, 32)]
    channels, image = 64, 32
    for stage, width in enumerate((64, 128, 256, 512), start=1):
        for block in range(2):
            name, stride = f"layer{stage}.{block}", 2 if stage > 1 and block == 0 else 1
            layers.append(Layer(f"{name}.conv1", channels, width, 3, stride, image))
            layers.append(Layer(f"{name}.conv2", width, width, 3, 1, image // stride))
            if stride > 1:
                layers.append(Layer(f"{name}.downsample.0", channels, width, 1, stride, image))
            channels, image = width, image // stride
    layers.append(Layer("fc", channels, 10, 1, 1, 1))
    return tuple(layers)
