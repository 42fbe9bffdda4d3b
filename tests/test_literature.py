"""Counts of published networks, from their layers' geometry: ResNet-50 dense and at 80 and 90 % sparsity."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import pytest

from accelsim import OpTrace
from accelsim.lowering import lower

pytestmark = pytest.mark.closed_form


class Layer(NamedTuple):
    """A convolution with square kernel and image, padding kernel // 2."""

    c_in: int
    c_out: int
    kernel: int
    stride: int
    image: int

    @property
    def output(self) -> int:
        return -(-self.image // self.stride)

    @property
    def weights(self) -> int:
        return self.c_in * self.c_out * self.kernel**2

    @property
    def macs(self) -> int:
        return self.weights * self.output**2


def resnet50() -> list[Layer]:
    """He et al. 2016, with the stride in the 3x3 convolution as all frameworks have it, for 224 x 224 images."""
    layers = [Layer(3, 64, 7, 2, 224)]
    channels, image = 64, 56  # behind the max pooling
    for width, blocks, first_stride in ((64, 3, 1), (128, 4, 2), (256, 6, 2), (512, 3, 2)):
        for block in range(blocks):
            stride = first_stride if block == 0 else 1
            layers.append(Layer(channels, width, 1, 1, image))
            layers.append(Layer(width, width, 3, stride, image))
            if block == 0:
                layers.append(Layer(channels, 4 * width, 1, stride, image))
            image //= stride
            layers.append(Layer(width, 4 * width, 1, 1, image))
            channels = 4 * width
    return [*layers, Layer(2048, 1000, 1, 1, 1)]


def erk(layers: list[Layer], density: float) -> list[float]:
    """Densities in proportion to (n_in + n_out + kw + kh) / (n_in · n_out · kw · kh); those above 1 become dense."""
    dense: set[int] = set()
    while True:
        budget = density * sum(layer.weights for layer in layers) - sum(layers[index].weights for index in dense)
        sizes = [layer.c_in + layer.c_out + 2 * layer.kernel for layer in layers]
        scale = budget / sum(size for index, size in enumerate(sizes) if index not in dense)
        densities = [
            1.0 if index in dense else scale * sizes[index] / layer.weights for index, layer in enumerate(layers)
        ]
        above = {index for index, share in enumerate(densities) if share > 1}
        if not above:
            return densities
        dense |= above


def uniform(layers: list[Layer], density: float) -> list[float]:
    """All layers alike, but for a dense first one."""
    return [1.0] + [density] * (len(layers) - 1)


def test_resnet50_dense() -> None:
    """54 weight tensors; 4.09 G multiply-accumulates and 25.5 M weights, biases and batch norms aside."""
    layers = resnet50()
    assert len(layers) == 54
    assert sum(layer.macs for layer in layers) == 4_089_184_256
    assert sum(layer.weights for layer in layers) == 25_502_912


@pytest.mark.parametrize(
    ("densities", "published"),
    [(erk, 0.42), (uniform, 0.23)],
    ids=["erk", "uniform"],
)
def test_resnet50_at_80_percent(densities, published: float) -> None:
    """FLOPs over dense in RigL's table of ResNet-50 (Evci et al. 2020), which does not say what else it counted.

    By formula, and by counting pairs of non-zeros in lowered random masks of those densities, on images that come with
    a border of ones, as padding would be zeros and no pairs.
    """
    layers, rng = resnet50(), np.random.default_rng(0)
    shares = densities(layers, 0.2)
    every = sum(layer.macs for layer in layers)
    by_formula = sum(s * layer.macs for s, layer in zip(shares, layers, strict=True))
    assert by_formula / every == pytest.approx(published, abs=0.01)

    counted = 0
    for share, layer in zip(shares, layers, strict=True):
        bordered = layer.image + 2 * (layer.kernel // 2)
        op = OpTrace(
            name="layer",
            step=0,
            weight=rng.random((layer.c_out, layer.c_in, layer.kernel, layer.kernel)) < share,
            input=np.ones((1, layer.c_in, bordered, bordered), bool),
            stride=(layer.stride, layer.stride),
        )
        (gemm,) = lower(op, "forward")
        assert gemm.macs == layer.macs
        counted += gemm.effectual_macs
    assert counted == pytest.approx(by_formula, rel=0.002)


def test_erk_spends_the_whole_budget() -> None:
    layers = resnet50()
    for density in (0.1, 0.2, 0.5):
        shares = erk(layers, density)
        assert max(shares) <= 1
        kept = sum(share * layer.weights for share, layer in zip(shares, layers, strict=True))
        assert kept == pytest.approx(density * sum(layer.weights for layer in layers))
