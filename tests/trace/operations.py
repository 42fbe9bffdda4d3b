"""Operations of every kind and odd shapes, for the tests of the trace file."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
from hypothesis import strategies as st

from accelsim.trace import MASK_NAMES, OpTrace, TraceWriter

FIELDS = (
    *("name", "step", "call", "kind", "stride", "padding", "dilation", "output_padding", "groups"),
    *("needs_input_grad", "needs_weight_grad", "recomputed", "dtype", "macs"),
)


def content(op: OpTrace) -> tuple[object, ...]:
    """Everything an operation says, but for its order."""
    masks = tuple((name, getattr(op, name).tobytes(), getattr(op, name).shape) for name in op.masks)
    return (*(getattr(op, field) for field in FIELDS), masks)


def write_trace(path: Path, ops: list[OpTrace], meta: dict[str, Any] | None = None) -> None:
    with TraceWriter(path, meta) as writer:
        for op in ops:
            writer.write(op)


def small_op(name: str = "conv1", step: int = 0, seed: int = 0, **changes: Any) -> OpTrace:
    draw = np.random.default_rng(seed)
    fields: dict[str, Any] = {
        "weight": draw.random((2, 3, 3, 3)) < 0.5,
        "input": draw.random((1, 3, 6, 5)) < 0.5,
        "grad_output": draw.random((1, 2, 4, 3)) < 0.5,
    }
    return OpTrace(name=name, step=step, **{**fields, **changes})


@st.composite
def ops(draw: st.DrawFn) -> OpTrace:
    """Any operation; masks are random, all ones, all zeros, or equal to another of the same shape."""
    kind = draw(st.sampled_from(["conv", "conv_transpose", "matmul"]))
    pointwise = kind == "matmul"
    pair = st.tuples(st.integers(1, 2), st.integers(1, 3))
    sides = st.tuples(st.integers(0, 2), st.integers(0, 1))
    padding = (0, 0) if pointwise else draw(sides)
    if kind == "conv" and not pointwise:
        padding += draw(st.sampled_from([(), (2, 1)]))
    stride, dilation, kernel = ((1, 1),) * 3 if pointwise else (draw(pair), draw(pair), draw(pair))
    groups, n, c_in, c_out = (draw(st.integers(1, 3)) for _ in range(4))
    image = (1, 1) if pointwise else draw(st.tuples(st.integers(8, 11), st.integers(8, 11)))
    transposed = kind == "conv_transpose"
    weight_shape = (c_in * groups, c_out, *kernel) if transposed else (c_out * groups, c_in, *kernel)
    input_shape = (n, c_in * groups, *image)
    density = st.sampled_from([0.0, 0.02, 0.5, 0.98, 1.0])
    seed = draw(st.integers(0, 2**32 - 1))
    random = np.random.default_rng(seed)

    def mask(shape: tuple[int, ...]) -> np.ndarray[Any, np.dtype[np.bool_]]:
        return random.random(shape) < draw(density)

    geometry: dict[str, Any] = {
        "kind": kind,
        "stride": stride,
        "padding": padding,
        "dilation": dilation,
        "groups": groups,
        "output_padding": draw(st.sampled_from([(0, 0), (1, 0)])) if transposed else (0, 0),
    }
    masks = {"weight": mask(weight_shape), "input": mask(input_shape)}
    output_shape = OpTrace(name="shape", step=0, **geometry, **masks).output_shape
    shapes = dict(
        zip(MASK_NAMES[2:], (output_shape, output_shape, input_shape, weight_shape), strict=True),
    )
    for name, shape in shapes.items():
        choice = draw(st.sampled_from(["absent", "new", "same"]))
        twins = [array for array in masks.values() if array.shape == shape]
        if choice == "new" or (choice == "same" and not twins):
            masks[name] = mask(shape)
        elif choice == "same":
            masks[name] = twins[0]
    assert all(math.prod(array.shape) for array in masks.values())
    return OpTrace(
        name=draw(st.text(max_size=12)),
        step=draw(st.integers(0, 3)),
        call=draw(st.integers(0, 2)),
        needs_input_grad=draw(st.booleans()),
        needs_weight_grad=draw(st.booleans()),
        recomputed=draw(st.booleans()),
        dtype=draw(st.sampled_from(["", "float32"])),
        order=draw(st.none() | st.integers(0, 9)),
        **geometry,
        **masks,
    )
