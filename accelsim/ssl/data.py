"""Small labelled image sets in memory."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor

from accelsim.errors import TrainingError


@dataclass(frozen=True)
class ImageSet:
    """Images to train on and images held out; labels serve evaluation only.

    Attributes:
        name: what `--data` said.
        train, test: uint8 [N, 3, 32, 32].
        train_labels, test_labels: int64 [N], 0 to len(classes) - 1.
        classes: the labels' names.
    """

    name: str
    train: Tensor
    train_labels: Tensor
    test: Tensor
    test_labels: Tensor
    classes: tuple[str, ...]


def load_data(name: str) -> ImageSet:
    """Load "photos", or "cifar10:DIR" from a directory in CIFAR-10's binary layout.

    Raises:
        TrainingError: an unknown name, or data that cannot be read.
    """
    # Imported here so that CIFAR-10 needs no scikit-image.
    from accelsim.ssl import cifar10, photos

    kind, _, where = name.partition(":")
    if name == "photos":
        return photos.load()
    if kind == "cifar10" and where:
        return cifar10.load(where)
    raise TrainingError(f"unknown data {name!r}, expected photos or cifar10:DIR")
