"""Hypothesis strategies that several rooms' tests draw from: random operations."""

from __future__ import annotations

import numpy as np
from hypothesis import strategies as st

from accelsim.hardware.model import Hardware
from accelsim.trace.record import OpTrace


@st.composite
def operations(draw, largest: int = 6, kinds: tuple[str, ...] = ("conv", "conv_transpose", "matmul")) -> OpTrace:
    """A random small operation: any geometry, groups, densities and needed-masks."""
    kind = draw(st.sampled_from(kinds))
    groups = draw(st.sampled_from((1, 1, 1, 2, 3)))
    first, second = draw(st.integers(1, 4)), draw(st.integers(1, 4))
    r, s = (1, 1) if kind == "matmul" else (draw(st.integers(1, 3)), draw(st.integers(1, 3)))
    stride = (1, 1) if kind == "matmul" else (draw(st.integers(1, 3)), draw(st.integers(1, 3)))
    dilation = (1, 1) if kind == "matmul" else (draw(st.integers(1, 2)), draw(st.integers(1, 2)))
    padding = (0, 0) if kind == "matmul" else (draw(st.integers(0, 2)), draw(st.integers(0, 2)))
    batch = draw(st.integers(1, 3))
    reach = (dilation[0] * (r - 1) + 1, dilation[1] * (s - 1) + 1)
    height, width = (
        1 if kind == "matmul" else draw(st.integers(max(1, reach[i] - 2 * padding[i]), largest)) for i in range(2)
    )
    output_padding = (0, 0)
    if kind == "conv_transpose":
        output_padding = tuple(draw(st.integers(0, max(stride[i], dilation[i]) - 1)) for i in range(2))
        height, width = max(height, 2 * padding[0] + 1), max(width, 2 * padding[1] + 1)
    if kind == "conv" and draw(st.booleans()):  # sides that differ
        padding = tuple(pad + draw(st.integers(0, 1)) for pad in (*padding, *padding))
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))

    def mask(*shape: int) -> np.ndarray:
        return rng.random(shape) < draw(st.sampled_from((0.0, 0.1, 0.5, 0.9, 1.0)))

    weight = mask(groups * first, second, r, s)
    channels = groups * (first if kind == "conv_transpose" else second)
    image = mask(batch, channels, height, width)
    shape = {
        "name": "layer",
        "step": 0,
        "kind": kind,
        "stride": stride,
        "padding": padding,
        "dilation": dilation,
        "groups": groups,
        "output_padding": output_padding,
    }
    output = OpTrace(**shape, weight=weight, input=image).output_shape

    def needed(*extents: int) -> np.ndarray | None:
        return draw(st.sampled_from((None, mask(*extents))))

    return OpTrace(
        **shape,
        weight=weight,
        input=image,
        grad_output=mask(*output),
        output_needed=needed(*output),
        input_grad_needed=needed(*image.shape),
        weight_grad_needed=needed(*weight.shape),
    )


@st.composite
def machines(draw) -> Hardware:
    """A random small machine with ideal memory: any array, lanes, scan width, depth, sync group and skipping."""
    tensors = st.lists(st.sampled_from(("weight", "activation", "gradient")), unique=True)
    extents = st.one_of(st.integers(1, 4), st.integers(1, 4), st.sampled_from((9, 17, 40, 70)))
    width = draw(st.one_of(st.integers(1, 9), st.sampled_from((16, 20, 33, 64, 70))))
    return Hardware.model_validate(
        {
            "name": "random",
            "array": {
                "rows": draw(extents),
                "cols": draw(extents),
                "lanes": draw(st.integers(1, 4)),
                "drain": draw(st.sampled_from(("overlapped", "exposed", "free"))),
            },
            "mapping": {"row_order": draw(st.sampled_from(("natural", "density", "packed")))},
            "memory": {
                "buffers": {
                    "weight_words_per_cycle": draw(st.sampled_from(("window", "unlimited", 1, 3, 8, 20, 50))),
                    "input_words_per_cycle": draw(st.sampled_from(("window", "unlimited", 1, 3, 8, 20, 50))),
                }
            },
            "skipping": {
                "tensors": draw(tensors),
                "scan_width": width,
                "fifo_depth": width + draw(st.integers(0, 8)),
                "sync": draw(st.sampled_from(("pe", "row", "column", "array"))),
                "blocks": draw(tensors),
                "outputs": draw(st.booleans()),
            },
        }
    )


@st.composite
def small_machines(draw) -> Hardware:
    """Machines with several arrays, compression, and buffers that hold little more than one tile."""
    hw = draw(machines())
    array = {"rows": draw(st.integers(1, 5)), "cols": draw(st.integers(1, 5)), "count": draw(st.integers(1, 3))}
    memory = {
        "buffers": {"weight_kib": 4, "input_kib": 16, "output_kib": 1},
        "compression": ("weight", "activation", "gradient"),
    }
    return Hardware.model_validate(hw.model_dump() | {"array": hw.array.model_dump() | array, "memory": memory})


@st.composite
def cramped_machines(draw) -> Hardware:
    """Machines whose arrays are too large for their buffers."""
    hw = draw(machines())
    array = {"rows": draw(st.integers(1, 40)), "cols": draw(st.integers(1, 40)), "count": draw(st.integers(1, 2))}
    sizes = st.sampled_from((1, 1, 2, 128))
    buffers = {name: draw(sizes) for name in ("weight_kib", "input_kib", "output_kib")}
    memory = {"buffers": buffers, "compression": draw(st.sampled_from(((), ("weight", "activation"))))}
    return Hardware.model_validate(hw.model_dump() | {"array": hw.array.model_dump() | array, "memory": memory})
