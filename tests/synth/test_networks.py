"""The built-in networks have their published sizes."""

from __future__ import annotations

from math import prod

import pytest

from accelsim.synth import NETWORKS

# Layers, multiply-accumulates of one image, and weights, which are a model's published parameters less those of norms
# and biases (and, for the ViT, of class token and positions).
PUBLISHED = {
    # 555 M for 32x32 images; 11,173,962 parameters, 9,600 of batch norm and 10 biases
    "resnet18-cifar": (21, 555_422_720, 11_173_962 - 9_600 - 10),
    # torchvision's documentation: 1.81 GFLOPS, 11,689,512 parameters
    "resnet18": (21, 1_814_073_344, 11_689_512 - 9_600 - 1_000),
    # torchvision's documentation: 4.09 GFLOPS, 25,557,032 parameters
    "resnet50": (54, 4_089_184_256, 25_557_032 - 53_120 - 1_000),
    # torchvision's documentation: 15.47 GFLOPS, 138,357,544 parameters
    "vgg16": (16, 15_470_264_320, 138_357_544 - 4_224 - 9_192),
    # torchvision's documentation: 0.3 GFLOPS, 3,504,872 parameters
    "mobilenet-v2": (53, 300_774_272, 3_504_872 - 2 * 17_056 - 1_000),
    # Touvron et al. 2021: 4.6 GFLOPs with attention's products, 22 M parameters
    "vit-s16": (50, 4_241_218_560, 22_050_664 - 384 - 197 * 384 - 25 * 768 - 12 * (1152 + 384 + 1536 + 384) - 1_384),
}


@pytest.mark.parametrize("name", NETWORKS)
def test_published_sizes(name: str) -> None:
    layers = NETWORKS[name]()
    weights = sum(prod(layer.weight_shape) for layer in layers)
    assert (len(layers), sum(layer.macs for layer in layers), weights) == PUBLISHED[name]
    assert len({layer.name for layer in layers}) == len(layers)
    assert [layer.reads_data for layer in layers] == [True] + [False] * (len(layers) - 1)


def test_the_vit_with_attention_has_its_published_total() -> None:
    attention = 12 * 2 * 197 * 197 * 384
    assert (PUBLISHED["vit-s16"][1] + attention) / 1e9 == pytest.approx(4.6, abs=0.05)


@pytest.mark.parametrize(
    ("name", "arch", "stem"), [("resnet18-cifar", "resnet18", "cifar"), ("resnet50", "resnet50", "imagenet")]
)
def test_layers_equal_those_of_the_encoder_that_trains_here(name: str, arch: str, stem: str) -> None:
    from torch import nn

    from accelsim.ssl.encoders import build_encoder

    encoder = build_encoder(arch, 64, stem)
    theirs = {
        module_name: (tuple(module.weight.shape), module.stride, module.padding)
        for module_name, module in encoder.named_modules()
        if isinstance(module, nn.Conv2d)
    }
    ours = {layer.name: (layer.weight_shape, layer.stride, layer.padding) for layer in NETWORKS[name]()}
    ours.pop("fc")
    assert ours == theirs
