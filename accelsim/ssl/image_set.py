"""Small labelled image sets in memory."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor


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
