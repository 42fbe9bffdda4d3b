"""Which images `--data` names."""

from __future__ import annotations

from accelsim.errors import TrainingError
from accelsim.ssl.image_set import ImageSet


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
