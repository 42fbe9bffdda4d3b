"""Cycles that a person can redo with pencil and paper, for arrays of every size and for awkward layers."""

from __future__ import annotations

from math import ceil

import numpy as np
import pytest

from accelsim import Hardware, OpTrace, simulate
from accelsim.array import time_gemm
from accelsim.lowering import lower

pytestmark = pytest.mark.closed_form
ALL = ["weight", "activation", "gradient"]
UNLIMITED = {"weight_words_per_cycle": "unlimited", "input_words_per_cycle": "unlimited"}


def machine(rows: int = 4, cols: int = 4, lanes: int = 1, *, count: int = 1, **parts: object) -> Hardware:
    """PEs alone: operands come as they are asked for, and results leave in no time."""
    array = {"rows": rows, "cols": cols, "lanes": lanes, "count": count, "drain": "free"}
    return Hardware.model_validate({"name": "m", "array": array, "memory": {"buffers": UNLIMITED}, **parts})


def linear(weight: np.ndarray, activation: np.ndarray) -> OpTrace:
    """A [M, K] and B [N, K] as the forward pass of a linear layer."""
    return OpTrace(name="fc", step=0, weight=weight, input=activation)


def full(m: int, n: int, k: int) -> OpTrace:
    return linear(np.ones((m, k), bool), np.ones((n, k), bool))


def array_cycles(hw: Hardware, op: OpTrace, which: str = "forward") -> int:
    layers = simulate(hw, [op], passes=[which], workers=1).layers
    return int(layers["array_cycles"].iloc[0])


@pytest.mark.parametrize(("m", "n", "k"), [(1, 1, 1), (3, 5, 7), (16, 16, 16), (17, 33, 100), (4, 1, 1000)])
@pytest.mark.parametrize(("rows", "cols", "lanes"), [(1, 1, 1), (4, 4, 1), (8, 2, 4), (16, 16, 16)])
def test_dense(m: int, n: int, k: int, rows: int, cols: int, lanes: int) -> None:
    assert array_cycles(machine(rows, cols, lanes), full(m, n, k)) == ceil(m / rows) * ceil(n / cols) * ceil(k / lanes)


@pytest.mark.parametrize("width", [1, 4, 16])
@pytest.mark.parametrize("sync", ["pe", "row", "column", "array"])
def test_a_scanner_as_wide_as_the_lanes_is_the_dense_pe(width: int, sync: str) -> None:
    """S = D = L: every window is consumed in the cycle in which it is pushed, whatever the masks."""
    rng = np.random.default_rng(width)
    skipping = {"scan_width": width, "fifo_depth": width, "sync": sync}
    scanning = machine(lanes=width, skipping={"tensors": ALL, **skipping})
    for density in (1.0, 0.4):
        op = linear(rng.random((9, 50)) < density, rng.random((7, 50)) < density)
        (gemm,) = lower(op, "forward")
        dense, scanned = time_gemm(scanning.dense(), gemm), time_gemm(scanning, gemm)
        assert scanned.tile_cycles.tolist() == dense.tile_cycles.tolist()
        if density == 1:
            assert scanned.slots == dense.slots


@pytest.mark.parametrize("count", [1, 2, 3, 5, 100])
def test_several_arrays_share_the_tiles_in_turn(count: int) -> None:
    hw, op = machine(4, 4, count=count), full(12, 20, 30)  # 3 · 5 tiles of 30 cycles
    layers = simulate(hw, [op], workers=1).layers.iloc[0]
    longest = ceil(15 / count) * 30
    assert layers["array_cycles"] == longest
    assert layers["slots_barrier"] == 16 * (longest * count - 15 * 30)


@pytest.mark.parametrize(("a_words", "b_words"), [(None, 1), (1, None), (3, 8), (16, 16), (4, 2)])
def test_ports_stretch_a_tile_to_the_time_its_words_take(a_words: int | None, b_words: int | None) -> None:
    """Tiles of 4 x 4 outputs and, at the edges, 4 x 2, 1 x 4 and 1 x 2, over K = 25 with two lanes: 13 cycles dense."""
    buffers = {"weight_words_per_cycle": a_words, "input_words_per_cycle": b_words}
    hw = machine(4, 4, 2, memory={"buffers": buffers})

    def tile(rows: int, cols: int) -> int:
        return max(13, ceil(rows * 25 / (a_words or 10**9)), ceil(cols * 25 / (b_words or 10**9)))

    assert array_cycles(hw, full(5, 10, 25)) == 2 * tile(4, 4) + tile(4, 2) + 2 * tile(1, 4) + tile(1, 2)


def test_rows_of_like_density_in_one_tile_leave_no_barrier() -> None:
    """Rows with 32 and with no non-zeros take turns: 4 tiles of 32 cycles, or sorted 2 of 32 and 2 of one cycle."""
    weight = np.zeros((16, 32), bool)
    weight[::2] = True
    op = linear(weight, np.ones((4, 32), bool))
    skipping = {"tensors": ALL, "scan_width": 32, "fifo_depth": 32, "sync": "pe"}
    natural, ordered = (
        simulate(machine(skipping=skipping, mapping={"row_order": order}), [op], workers=1).layers.iloc[0]
        for order in ("natural", "density")
    )
    assert (natural["array_cycles"], ordered["array_cycles"]) == (4 * 32, 2 * 32 + 2)
    assert (natural["slots_barrier"], ordered["slots_barrier"]) == (4 * 8 * 31, 0)


@pytest.mark.parametrize("batch", [1, 2, 7, 64, 256])
@pytest.mark.parametrize("scanning", [False, True])
def test_depthwise_layers_of_any_batch(batch: int, scanning: bool) -> None:
    """A GEMM of one row a channel: M < rows, and K = 9 < scan_width in forward and input_grad."""
    channels, size, width = 6, 4, 16
    op = OpTrace(
        name="depthwise",
        step=0,
        weight=np.ones((channels, 1, 3, 3)),
        input=np.ones((batch, channels, size, size)),
        grad_output=np.ones((batch, channels, size, size)),
        padding=(1, 1),
        groups=channels,
    )
    skipping = {"tensors": ALL, "scan_width": width, "fifo_depth": width}
    hw = machine(8, 4, 4, skipping=skipping) if scanning else machine(8, 4, 4)
    pixels = batch * size**2
    dense = channels * ceil(pixels / 4) * ceil(9 / 4)
    for which in ("forward", "input_grad"):
        cycles = array_cycles(hw, op, which)
        if scanning:  # the four corners of an image reach 4 taps, its edges 6: less than 9 pairs
            assert channels * ceil(pixels / 4) <= cycles <= dense
        else:
            assert cycles == dense
    assert array_cycles(hw.dense(), op, "weight_grad") == channels * ceil(9 / 4) * ceil(pixels / 4)


@pytest.mark.parametrize("batch", [1, 3, 256])
def test_images_of_one_pixel(batch: int) -> None:
    """A linear layer: forward M, N, K = outputs, batch, inputs; the gradients permute them."""
    inputs, outputs = 10, 5
    op = OpTrace(
        name="fc",
        step=0,
        weight=np.ones((outputs, inputs)),
        input=np.ones((batch, inputs)),
        grad_output=np.ones((batch, outputs)),
    )
    skipping = {"tensors": ALL, "scan_width": 64, "fifo_depth": 64}
    for hw in (machine(4, 4), machine(4, 4, skipping=skipping)):
        assert array_cycles(hw, op, "forward") == ceil(outputs / 4) * ceil(batch / 4) * inputs
        assert array_cycles(hw, op, "input_grad") == ceil(inputs / 4) * ceil(batch / 4) * outputs
        assert array_cycles(hw, op, "weight_grad") == ceil(outputs / 4) * ceil(inputs / 4) * batch


@pytest.mark.parametrize("fewer_than_rows", [1, 3])
def test_fewer_rows_than_the_array(fewer_than_rows: int) -> None:
    layers = simulate(machine(8, 4), [full(fewer_than_rows, 8, 20)], workers=1).layers.iloc[0]
    assert layers["array_cycles"] == 2 * 20
    assert layers["slots_edge"] == 2 * 20 * 4 * (8 - fewer_than_rows)
