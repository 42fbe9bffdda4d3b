"""Published networks, layer by layer; names are those that torchvision's and timm's modules have."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from accelsim.synth.topology import Layer

Network = tuple[Layer, ...]


def resnet18_cifar() -> Network:
    """ResNet-18 (He et al. 2016) with the CIFAR stem, 32x32 images, 10 classes: 0.555 G multiply-accumulates."""
    stem = Layer(name="conv1", c_in=3, c_out=64, kernel=(3, 3), padding=(1, 1), image=(32, 32))
    return _resnet(stem, 32, (2, 2, 2, 2), bottleneck=False, classes=10)


def resnet18() -> Network:
    """ResNet-18 (He et al. 2016), 224x224 images, 1000 classes: 1.81 G multiply-accumulates."""
    return _resnet(_IMAGENET_STEM, 56, (2, 2, 2, 2), bottleneck=False, classes=1000)


def resnet50() -> Network:
    """ResNet-50 (He et al. 2016), 224x224 images, 1000 classes: 4.09 G multiply-accumulates.

    As torchvision and most frameworks build it (v1.5): a strided block strides in its 3x3 convolution.
    """
    return _resnet(_IMAGENET_STEM, 56, (3, 4, 6, 3), bottleneck=True, classes=1000)


def vgg16() -> Network:
    """VGG-16 (Simonyan and Zisserman 2015), 224x224 images, 1000 classes: 15.47 G multiply-accumulates."""
    layers: list[Layer] = []
    channels, image, position = 3, 224, 0
    for width, repeats in ((64, 2), (128, 2), (256, 3), (512, 3), (512, 3)):
        for _ in range(repeats):
            layers.append(_conv(f"features.{position}", channels, width, 3, 1, image))
            channels, position = width, position + 2  # a ReLU between two convolutions
        image, position = image // 2, position + 1  # and a pooling after each group
    for index, (c_in, c_out) in ((0, (channels * 7 * 7, 4096)), (3, (4096, 4096)), (6, (4096, 1000))):
        layers.append(_linear(f"classifier.{index}", c_in, c_out, after_relu=True))
    return _from_data(layers)


def vit_s16() -> Network:
    """ViT-S/16 (Touvron et al. 2021), 224x224 images, 1000 classes: 4.24 G multiply-accumulates.

    The patch embedding, the blocks' linear layers on 197 tokens, and the head. Attention's own two products, 0.36 G
    more, multiply no weights and are left out.
    """
    width, tokens = 384, 197
    layers = [Layer(name="patch_embed.proj", c_in=3, c_out=width, kernel=(16, 16), stride=(16, 16), image=(224, 224))]
    for block in range(12):
        for name, c_in, c_out in (
            ("attn.qkv", width, 3 * width),
            ("attn.proj", width, width),
            ("mlp.fc1", width, 4 * width),
            ("mlp.fc2", 4 * width, width),
        ):
            layers.append(_linear(f"blocks.{block}.{name}", c_in, c_out, tokens=tokens))
    layers.append(_linear("head", width, 1000))
    return _from_data(layers)


def mobilenet_v2() -> Network:
    """MobileNetV2 (Sandler et al. 2018), 224x224 images, 1000 classes: 0.301 G multiply-accumulates.

    Inverted residual blocks: widen, filter each channel by itself, narrow. No ReLU follows what narrows.
    """
    stem = Layer(name="features.0.0", c_in=3, c_out=32, kernel=(3, 3), stride=(2, 2), padding=(1, 1), image=(224, 224))
    layers, channels, image, block = [stem], 32, 112, 1
    for widening, width, repeats, stride in _INVERTED_RESIDUALS:
        for repeat in range(repeats):
            name, wide, step = f"features.{block}.conv", channels * widening, stride if repeat == 0 else 1
            position = 0
            if widening > 1:
                layers.append(replace(_conv(f"{name}.0.0", channels, wide, 1, 1, image), after_relu=False))
                position = 1
            layers.append(replace(_conv(f"{name}.{position}.0", wide, wide, 3, step, image), groups=wide))
            image //= step
            layers.append(_conv(f"{name}.{position + 1}", wide, width, 1, 1, image))
            channels, block = width, block + 1
    layers.append(replace(_conv(f"features.{block}.0", channels, 1280, 1, 1, image), after_relu=False))
    layers.append(_linear("classifier.1", 1280, 1000, after_relu=True))
    return _from_data(layers)


NETWORKS: dict[str, Callable[[], Network]] = {
    "resnet18-cifar": resnet18_cifar,
    "resnet18": resnet18,
    "resnet50": resnet50,
    "vgg16": vgg16,
    "mobilenet-v2": mobilenet_v2,
    "vit-s16": vit_s16,
}
"""The built-in networks by the names that the command line knows."""

# Expansion, output channels, blocks, stride of the first one: table 2 of the paper.
_INVERTED_RESIDUALS = (
    (1, 16, 1, 1),
    (6, 24, 2, 2),
    (6, 32, 3, 2),
    (6, 64, 4, 2),
    (6, 96, 3, 1),
    (6, 160, 3, 2),
    (6, 320, 1, 1),
)
_IMAGENET_STEM = Layer(name="conv1", c_in=3, c_out=64, kernel=(7, 7), stride=(2, 2), padding=(3, 3), image=(224, 224))


def _resnet(stem: Layer, image: int, blocks: tuple[int, ...], *, bottleneck: bool, classes: int) -> Network:
    """Return stem, four stages and the last linear layer; `image` is what the first stage sees."""
    layers = [stem]
    channels, expansion = stem.c_out, 4 if bottleneck else 1
    for stage, repeats in enumerate(blocks, start=1):
        width = 64 << stage - 1
        for block in range(repeats):
            name, stride = f"layer{stage}.{block}", 2 if stage > 1 and block == 0 else 1
            smaller = image // stride
            if bottleneck:
                layers.append(_conv(f"{name}.conv1", channels, width, 1, 1, image))
                layers.append(_conv(f"{name}.conv2", width, width, 3, stride, image))
                layers.append(_conv(f"{name}.conv3", width, width * expansion, 1, 1, smaller))
            else:
                layers.append(_conv(f"{name}.conv1", channels, width, 3, stride, image))
                layers.append(_conv(f"{name}.conv2", width, width, 3, 1, smaller))
            if stride > 1 or channels != width * expansion:
                layers.append(_conv(f"{name}.downsample.0", channels, width * expansion, 1, stride, image))
            channels, image = width * expansion, smaller
    layers.append(_linear("fc", channels, classes, after_relu=True))
    return _from_data(layers)


def _conv(name: str, c_in: int, c_out: int, kernel: int, stride: int, image: int) -> Layer:
    """Return a square convolution after a ReLU, padded by half its kernel."""
    return Layer(
        name=name,
        c_in=c_in,
        c_out=c_out,
        kernel=(kernel, kernel),
        stride=(stride, stride),
        padding=(kernel // 2, kernel // 2),
        image=(image, image),
        after_relu=True,
    )


def _linear(name: str, c_in: int, c_out: int, *, tokens: int = 1, after_relu: bool = False) -> Layer:
    return Layer(name=name, c_in=c_in, c_out=c_out, tokens=tokens, after_relu=after_relu)


def _from_data(layers: list[Layer]) -> Network:
    """Return the layers, the first of which reads the data."""
    return replace(layers[0], reads_data=True, after_relu=False), *layers[1:]
