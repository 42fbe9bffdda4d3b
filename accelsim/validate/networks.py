"""A layer's GEMMs from its geometry alone, without the simulator's lowering."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Literal, NamedTuple

import numpy as np

from accelsim.synth.topology import Layer

if TYPE_CHECKING:
    from accelsim.trace.record import OpTrace

PassName = Literal["forward", "input_grad", "weight_grad"]
PASS_NAMES: tuple[PassName, ...] = ("forward", "input_grad", "weight_grad")


class Gemm(NamedTuple):
    """O[M, N] = A[M, K] · B[K, N], in accelsim's letters."""

    m: int
    n: int
    k: int


def gemms(layer: Layer, which: PassName) -> Iterator[Gemm]:
    """Yield the GEMMs of one group of a layer's pass, batch 1, independently of `accelsim.lowering`.

    input_grad has one per stride phase that has pixels and that any tap reaches, in the phases' order.
    """
    c_out, c_in = layer.c_out // layer.groups, layer.c_in // layer.groups
    pixels, taps = layer.tokens * layer.output[0] * layer.output[1], layer.kernel[0] * layer.kernel[1]
    match which:
        case "forward":
            yield Gemm(c_out, pixels, taps * c_in)
        case "weight_grad":
            yield Gemm(c_out, taps * c_in, pixels)
        case "input_grad":
            down, across = (list(_phases(layer, axis)) for axis in (0, 1))
            for reach_down, rows in down:
                for reach_across, columns in across:
                    if reach_down and reach_across and rows and columns:
                        yield Gemm(c_in, layer.tokens * rows * columns, reach_down * reach_across * c_out)


def _phases(layer: Layer, axis: int) -> Iterator[tuple[int, int]]:
    """Yield for each stride phase of an axis how many taps reach it and how many positions it has."""
    stride = layer.stride[axis]
    for phase in range(stride):
        reach = sum((phase + layer.padding[axis] - tap) % stride == 0 for tap in range(layer.kernel[axis]))
        yield reach, len(range(phase, layer.image[axis], stride))


def dense_operation(layer: Layer) -> OpTrace:
    """Return the layer as a recorded operation without a zero, batch 1."""
    from accelsim.trace.record import OpTrace

    return OpTrace(
        name=layer.name,
        step=0,
        weight=np.ones(layer.weight_shape, bool),
        input=np.ones(layer.input_shape(1), bool),
        grad_output=np.ones(layer.output_shape(1), bool),
        stride=layer.stride,
        padding=layer.padding,
        groups=layer.groups,
    )
