"""ResNets (He et al. 2016) in torch alone, of any width, with the ImageNet or the CIFAR stem.

Names and shapes follow torchvision (`layer1.0.conv1`, `layer2.0.downsample.0`, stride on the bottleneck's 3x3
convolution), so parameters and multiply-accumulates equal the published counts.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, cast, get_args

from torch import Tensor, nn

from accelsim.errors import TrainingError

Stem = Literal["cifar", "imagenet"]


class BasicBlock(nn.Module):
    """Two 3x3 convolutions and a shortcut; [N, c_in, H, W] to [N, c, H / stride, W / stride]."""

    expansion = 1

    def __init__(self, c_in: int, c: int, stride: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(c_in, c, 3, stride, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(c)
        self.conv2 = nn.Conv2d(c, c, 3, 1, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(c)
        self.downsample = _shortcut(c_in, c, stride)
        self.relu = nn.ReLU()

    def forward(self, x: Tensor) -> Tensor:
        """Return the block's output."""
        y = self.relu(self.bn1(self.conv1(x)))
        y = self.bn2(self.conv2(y))
        shortcut: Tensor = self.downsample(x)
        out: Tensor = self.relu(y + shortcut)
        return out


class Bottleneck(nn.Module):
    """1x1, 3x3 and 1x1 convolutions and a shortcut; [N, c_in, H, W] to [N, 4 * c, H / stride, W / stride]."""

    expansion = 4

    def __init__(self, c_in: int, c: int, stride: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(c_in, c, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(c)
        self.conv2 = nn.Conv2d(c, c, 3, stride, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(c)
        self.conv3 = nn.Conv2d(c, c * self.expansion, 1, bias=False)
        self.bn3 = nn.BatchNorm2d(c * self.expansion)
        self.downsample = _shortcut(c_in, c * self.expansion, stride)
        self.relu = nn.ReLU()

    def forward(self, x: Tensor) -> Tensor:
        """Return the block's output."""
        y = self.relu(self.bn1(self.conv1(x)))
        y = self.relu(self.bn2(self.conv2(y)))
        y = self.bn3(self.conv3(y))
        shortcut: Tensor = self.downsample(x)
        out: Tensor = self.relu(y + shortcut)
        return out


class ResNet(nn.Module):
    """A residual network that ends in features, or in class scores.

    Args:
        block: `BasicBlock` or `Bottleneck`.
        depths: blocks in each of the four stages.
        width: channels of the first stage (64 as published); the others have 2, 4 and 8 times as many.
        stem: "imagenet" is a 7x7 convolution of stride 2 and a 3x3 max pooling of stride 2, "cifar" one 3x3
            convolution of stride 1, for images of about 32x32.
        classes: None ends in features; a number adds the linear layer `fc`.

    Attributes:
        feature_dim: length of the feature vector, 8 * width * expansion.
    """

    def __init__(
        self,
        block: type[BasicBlock] | type[Bottleneck],
        depths: tuple[int, int, int, int],
        width: int = 64,
        stem: Stem = "cifar",
        classes: int | None = None,
    ) -> None:
        super().__init__()
        imagenet = stem == "imagenet"
        self.conv1 = nn.Conv2d(3, width, 7 if imagenet else 3, 2 if imagenet else 1, 3 if imagenet else 1, bias=False)
        self.bn1 = nn.BatchNorm2d(width)
        self.relu = nn.ReLU()
        self.maxpool = nn.MaxPool2d(3, 2, 1) if imagenet else nn.Identity()
        channels = width
        stages: list[nn.Sequential] = []
        for index, depth in enumerate(depths):
            planes = width << index
            blocks: list[nn.Module] = []
            for position in range(depth):
                blocks.append(block(channels, planes, 2 if index and not position else 1))
                channels = planes * block.expansion
            stages.append(nn.Sequential(*blocks))
        self.layer1, self.layer2, self.layer3, self.layer4 = stages
        self.feature_dim = channels
        self.fc = nn.Identity() if classes is None else nn.Linear(channels, classes)
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")

    def forward(self, images: Tensor) -> Tensor:
        """Return features [N, feature_dim], or scores [N, classes], of images [N, 3, H, W]."""
        x = self.maxpool(self.relu(self.bn1(self.conv1(images))))
        x = self.layer4(self.layer3(self.layer2(self.layer1(x))))
        out: Tensor = self.fc(x.mean((2, 3)))
        return out


@dataclass(frozen=True)
class Architecture:
    """What tells one ResNet from another."""

    block: type[BasicBlock] | type[Bottleneck]
    depths: tuple[int, int, int, int]


ARCHITECTURES: dict[str, Architecture] = {
    "resnet18": Architecture(BasicBlock, (2, 2, 2, 2)),
    "resnet34": Architecture(BasicBlock, (3, 4, 6, 3)),
    "resnet50": Architecture(Bottleneck, (3, 4, 6, 3)),
}


def build_encoder(arch: str, width: int = 64, stem: str = "cifar", classes: int | None = None) -> ResNet:
    """Build a ResNet by name; see `ResNet` for the arguments.

    Raises:
        TrainingError: unknown architecture or stem, or a width below 1.
    """
    if arch not in ARCHITECTURES:
        raise TrainingError(f"unknown architecture {arch!r}, expected one of {', '.join(ARCHITECTURES)}")
    if stem not in get_args(Stem):
        raise TrainingError(f"unknown stem {stem!r}, expected one of {', '.join(get_args(Stem))}")
    if width < 1:
        raise TrainingError(f"width is {width}, expected the channels of the first stage, at least 1")
    found = ARCHITECTURES[arch]
    return ResNet(found.block, found.depths, width, cast(Stem, stem), classes)


def _shortcut(c_in: int, c_out: int, stride: int) -> nn.Module:
    if stride == 1 and c_in == c_out:
        return nn.Identity()
    return nn.Sequential(nn.Conv2d(c_in, c_out, 1, stride, bias=False), nn.BatchNorm2d(c_out))
