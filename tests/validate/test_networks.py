"""A layer's GEMMs by its geometry equal what the lowering makes of its operation."""

from __future__ import annotations

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from accelsim.lowering import lower
from accelsim.synth import Layer
from accelsim.synth.networks import resnet18_cifar
from accelsim.validate.networks import PASS_NAMES, dense_operation, gemms

pairs = st.tuples(st.integers(1, 4), st.integers(1, 4))


@given(
    pairs,
    st.integers(1, 3),
    pairs,
    pairs,
    st.tuples(st.integers(0, 2), st.integers(0, 2)),
    st.tuples(st.integers(1, 9), st.integers(1, 9)),
)
def test_gemms_equal_the_lowering(channels, groups, kernel, stride, padding, image) -> None:
    assume(all(image[axis] + 2 * padding[axis] >= kernel[axis] for axis in (0, 1)))
    c_in, c_out = (groups * count for count in channels)
    layer = Layer(
        name="l", c_in=c_in, c_out=c_out, kernel=kernel, stride=stride, padding=padding, image=image, groups=groups
    )
    for which in PASS_NAMES:
        lowered = [(gemm.m, gemm.n, gemm.k) for gemm in lower(dense_operation(layer), which)]
        assert [tuple(gemm) for gemm in gemms(layer, which)] * groups == lowered


@pytest.mark.parametrize("which", ["forward", "weight_grad"])
def test_resnet18_has_its_published_size(which: str) -> None:
    # 555.4 M multiply-accumulates for 32x32 images, as counted for the CIFAR stem
    assert sum(m * n * k for layer in resnet18_cifar() for m, n, k in gemms(layer, which)) == 555_422_720
