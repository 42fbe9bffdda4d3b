"""The lowering on packed bits equals the plain loops, and both equal the arithmetic of real convolutions."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from accelsim.lowering import PASSES, Lowering, MaskedGemm, lower, passes_of
from accelsim.trace.record import OpTrace
from tests.lowering.packing import unpack
from tests.oracle.lowering import plain_lower
from tests.strategies import operations


@pytest.mark.reference
@given(operations(), st.sampled_from(PASSES))
def test_equals_plain_loops(op: OpTrace, which: str) -> None:
    assert_equals_plain_loops(op, which, list(lower(op, which)))


def assert_equals_plain_loops(op: OpTrace, which: str, packed: list[MaskedGemm]) -> None:
    plain = list(plain_lower(op, which))
    assert len(plain) == len(packed)
    for expected, gemm in zip(plain, packed, strict=True):
        assert (gemm.m, gemm.k) == expected.a.shape
        assert gemm.n == expected.b.shape[1]
        np.testing.assert_array_equal(unpack(gemm.a, gemm.k), expected.a)
        np.testing.assert_array_equal(unpack(gemm.columns, gemm.k).T, expected.b)
        needed = np.ones((gemm.m, gemm.n), bool) if gemm.needed is None else unpack(gemm.needed, gemm.n)
        np.testing.assert_array_equal(needed, expected.needed)
        assert (gemm.a_kind, gemm.b_kind) == (expected.a_kind, expected.b_kind)
        assert gemm.effectual_macs == (expected.a.astype(int) @ expected.b.astype(int)).sum()


# Weight [Cout, Cin / groups, R, S], input [N, Cin, H, W], and what differs from stride 1, one group, no padding.
LAYERS = {
    "lines that cross words": ((2, 3, 3, 3), (2, 3, 13, 28), {"padding": (1, 1)}),
    "lines as long as a word": ((2, 1, 3, 3), (2, 1, 5, 64), {"padding": (1, 1)}),
    "lines longer than a word": ((2, 2, 3, 3), (1, 2, 4, 112), {"padding": (1, 1), "stride": (1, 2)}),
    "56 x 56": ((1, 2, 3, 3), (2, 2, 56, 56), {"padding": (1, 1)}),
    "7 x 7": ((3, 2, 3, 3), (5, 2, 7, 7), {"padding": (1, 1)}),
    "7 x 7, stride 2": ((3, 2, 3, 3), (5, 2, 7, 7), {"padding": (1, 1), "stride": (2, 2)}),
    "stride 2, even": ((3, 2, 3, 3), (3, 2, 16, 16), {"padding": (1, 1), "stride": (2, 2)}),
    "stride 2, 1 x 1": ((3, 2, 1, 1), (3, 2, 8, 14), {"stride": (2, 2)}),
    "stem": ((2, 3, 7, 7), (1, 3, 20, 24), {"padding": (3, 3), "stride": (2, 2)}),
    "patches": ((3, 3, 4, 4), (2, 3, 12, 16), {"stride": (4, 4)}),
    "stride 3": ((2, 2, 3, 3), (2, 2, 9, 10), {"padding": (1, 1), "stride": (3, 3)}),
    "stride 6, of which half are even": ((2, 2, 5, 5), (2, 2, 12, 12), {"padding": (1, 1), "stride": (6, 6)}),
    "no padding": ((2, 2, 3, 3), (3, 2, 6, 9), {}),
    "more padding than kernel": ((2, 2, 2, 2), (2, 2, 3, 4), {"padding": (4, 5)}),
    "dilation": ((2, 2, 3, 3), (3, 2, 9, 9), {"padding": (2, 2), "dilation": (2, 2)}),
    "whole words of channels": ((64, 128, 3, 3), (2, 128, 4, 4), {"padding": (1, 1)}),
    "whole words, stride 2": ((64, 64, 3, 3), (3, 64, 6, 5), {"padding": (1, 1), "stride": (2, 2)}),
    "whole words, dilation": ((64, 64, 3, 3), (1, 64, 6, 5), {"padding": (3, 2), "dilation": (3, 2)}),
    "groups of whole words": ((128, 64, 2, 1), (2, 128, 3, 4), {"groups": 2}),
    "1 x 1": ((70, 64, 1, 1), (3, 64, 3, 5), {}),
    "linear, any channels": ((70, 33, 1, 1), (66, 33, 1, 1), {}),
    "channels above a word": ((66, 65, 3, 3), (2, 65, 3, 3), {"padding": (1, 1)}),
    "depthwise": ((6, 1, 3, 3), (3, 6, 8, 8), {"padding": (1, 1), "groups": 6}),
    "depthwise, stride 2": ((6, 1, 3, 3), (3, 6, 14, 14), {"padding": (1, 1), "stride": (2, 2), "groups": 6}),
}


@pytest.mark.reference
@pytest.mark.parametrize("dense", [(), ("weight",), ("input",), ("grad_output",), ("weight", "input", "grad_output")])
@pytest.mark.parametrize("layer", LAYERS)
def test_layers_equal_plain_loops(layer: str, dense: tuple[str, ...]) -> None:
    """Layers of real networks and awkward ones, their tensors sparse or dense, all passes by one `Lowering`."""
    weight_shape, input_shape, rest = LAYERS[layer]
    rng = np.random.default_rng(len(layer))

    def mask(name: str, shape: tuple[int, ...]) -> np.ndarray:
        return np.ones(shape, bool) if name in dense else rng.random(shape) < 0.5

    weight, image = mask("weight", weight_shape), mask("input", input_shape)
    output_shape = OpTrace(name="l", step=0, weight=weight, input=image, **rest).output_shape
    for own in (True, False):  # what must be computed: the tensor's own non-zeros, or something else
        op = OpTrace(
            name=layer,
            step=0,
            weight=weight,
            input=image,
            grad_output=mask("grad_output", output_shape),
            input_grad_needed=image if own else rng.random(input_shape) < 0.5,
            weight_grad_needed=weight if own else rng.random(weight_shape) < 0.5,
            output_needed=None if own else rng.random(output_shape) < 0.5,
            **rest,
        )
        lowering = Lowering(op)
        for which in passes_of(op):
            assert_equals_plain_loops(op, which, list(lowering.gemms(which)))


@pytest.mark.reference
@pytest.mark.parametrize("which", ["forward", "input_grad", "weight_grad"])
def test_of_a_dense_operand_only_the_columns_that_differ_are_kept(which: str) -> None:
    ones = np.ones((2, 5, 8, 8), bool)
    op = OpTrace(name="l", step=0, weight=np.ones((5, 5, 3, 3)), input=ones, grad_output=ones, padding=(1, 1))
    (gemm,) = lower(op, which)
    assert gemm.b_of is not None
    assert len(gemm.b) == len(np.unique(gemm.b, axis=0)) == 9  # a 3 x 3 kernel: corners, edges, inside; or its taps
    assert gemm.columns.shape == (gemm.n, gemm.b.shape[1])


@pytest.mark.reference
def test_an_operand_with_one_zero_keeps_all_its_columns() -> None:
    image = np.ones((2, 5, 8, 8), bool)
    image[1, 4, 7, 7] = False
    (gemm,) = lower(OpTrace(name="l", step=0, weight=np.ones((5, 5, 3, 3)), input=image, padding=(1, 1)), "forward")
    assert gemm.b_of is None
    assert gemm.columns is gemm.b


@pytest.mark.reference
def test_footprint_names_the_lines_that_b_reads() -> None:
    rng = np.random.default_rng(0)
    x = rng.random((2, 3, 6, 5)) < 0.5
    op = OpTrace(name="l", step=0, weight=np.ones((4, 3, 3, 3)), input=x, padding=(1, 1), stride=(2, 1))
    (gemm,) = lower(op, "forward")
    lines = gemm.footprint
    assert (lines.lines, lines.line_elements, lines.grid_lines, lines.grid_width) == (12, 15, 6, 5)
    np.testing.assert_array_equal(lines.first, [0, 1, 3, 6, 7, 9])
    np.testing.assert_array_equal(lines.last, [2, 4, 6, 8, 10, 12])
    np.testing.assert_array_equal(lines.line_nonzeros, x.transpose(0, 2, 1, 3).sum((2, 3)).ravel())


def test_a_pass_that_did_not_run_is_refused() -> None:
    op = OpTrace(name="l", step=0, weight=np.ones((4, 3)), input=np.ones((2, 3)))
    with pytest.raises(ValueError, match="did not run input_grad"):
        lower(op, "input_grad")


@pytest.mark.reference
@given(operations(kinds=("conv", "conv_transpose")))
def test_gemms_multiply_out_to_torch(op: OpTrace) -> None:
    """Filled with ones where a bit is set, the GEMMs' sums are those of torch's own convolution and its gradients."""
    torch = pytest.importorskip("torch")
    torch.set_num_threads(1)
    weight = torch.tensor(op.weight, dtype=torch.float64, requires_grad=True)
    image = torch.tensor(op.input, dtype=torch.float64, requires_grad=True)
    if op.kind == "conv":
        top, left, bottom, right = op.padding if len(op.padding) == 4 else op.padding * 2
        padded = torch.nn.functional.pad(image, (left, right, top, bottom))
        output = torch.nn.functional.conv2d(padded, weight, None, op.stride, 0, op.dilation, op.groups)
    else:
        output = torch.nn.functional.conv_transpose2d(
            image, weight, None, op.stride, op.padding, op.output_padding, op.groups, op.dilation
        )
    output.backward(torch.tensor(op.grad_output, dtype=torch.float64))
    for which, tensor in (("forward", output), ("input_grad", image.grad), ("weight_grad", weight.grad)):
        total = sum(
            int(np.dot(gemm.a.sum(0).astype(int), gemm.b.sum(1).astype(int))) for gemm in plain_lower(op, which)
        )
        assert total == int(tensor.sum().item())
        assert total == sum(gemm.effectual_macs for gemm in lower(op, which))
