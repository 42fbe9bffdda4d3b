"""The lowering on packed bits equals the plain loops, and both equal the arithmetic of real convolutions."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from accelsim.lowering import PASSES, lower
from accelsim.lowering.reference import plain_lower
from accelsim.trace.record import OpTrace
from tests.strategies import operations


def unpack(words: np.ndarray, bits: int) -> np.ndarray:
    """Words [rows, words] to booleans [rows, bits]; spare bits must be zero."""
    flat = np.unpackbits(np.ascontiguousarray(words).view(np.uint8), axis=1, bitorder="little").astype(bool)
    assert not flat[:, bits:].any()
    return flat[:, :bits]


@pytest.mark.reference
@given(operations(), st.sampled_from(PASSES))
def test_equals_plain_loops(op: OpTrace, which: str) -> None:
    plain = list(plain_lower(op, which))
    packed = list(lower(op, which))
    assert len(plain) == len(packed)
    for expected, gemm in zip(plain, packed, strict=True):
        assert (gemm.m, gemm.k) == expected.a.shape
        assert gemm.n == expected.b.shape[1]
        np.testing.assert_array_equal(unpack(gemm.a, gemm.k), expected.a)
        np.testing.assert_array_equal(unpack(gemm.b, gemm.k).T, expected.b)
        needed = np.ones((gemm.m, gemm.n), bool) if gemm.needed is None else unpack(gemm.needed, gemm.n)
        np.testing.assert_array_equal(needed, expected.needed)
        assert (gemm.a_kind, gemm.b_kind) == (expected.a_kind, expected.b_kind)
        assert gemm.effectual_macs == (expected.a.astype(int) @ expected.b.astype(int)).sum()


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
        output = torch.nn.functional.conv2d(image, weight, None, op.stride, op.padding, op.dilation, op.groups)
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
