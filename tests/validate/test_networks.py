"""The network's geometry equals what the lowering makes of its layers, and its published size."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from accelsim.lowering import lower
from accelsim.validate.networks import PASS_NAMES, Layer, resnet18_cifar

layers = st.builds(
    Layer,
    name=st.just("l"),
    c_in=st.integers(1, 4),
    c_out=st.integers(1, 4),
    kernel=st.sampled_from((1, 3, 5)),
    stride=st.integers(1, 4),
    image=st.integers(1, 9),
)


@given(layers)
def test_gemms_equal_the_lowering(layer: Layer) -> None:
    for which in PASS_NAMES:
        lowered = [(gemm.m, gemm.n, gemm.k) for gemm in lower(layer.operation(), which)]
        assert [tuple(gemm) for gemm in layer.gemms(which)] == lowered


@pytest.mark.parametrize("which", ["forward", "weight_grad"])
def test_resnet18_has_its_published_size(which: str) -> None:
    network = resnet18_cifar()
    assert len(network) == 21
    # 555.4 M multiply-accumulates for 32x32 images, as counted for the CIFAR stem
    assert sum(m * n * k for layer in network for m, n, k in layer.gemms(which)) == 555_422_720
    # convolutions and the linear layer's weights: 11,173,962 parameters less batch norm's 9,600 and 10 biases
    assert sum(layer.c_in * layer.c_out * layer.kernel**2 for layer in network) == 11_173_962 - 9_600 - 10
