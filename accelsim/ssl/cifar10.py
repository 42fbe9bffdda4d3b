"""CIFAR-10 in its standard binary layout: records of a label byte and 3072 bytes (planes of 32x32, row-major)."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from accelsim.errors import TrainingError
from accelsim.ssl.image_set import ImageSet

CLASSES = ("airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck")
RECORD_BYTES = 1 + 3 * 32 * 32


def load(directory: str | Path) -> ImageSet:
    """Read every `data_batch_*.bin` for training and `test_batch.bin` to hold out.

    Raises:
        TrainingError: a missing directory or file, a file that is no whole number of records, a label above 9.
    """
    root = Path(directory)
    batches = sorted(root.glob("data_batch_*.bin"))
    test = root / "test_batch.bin"
    if not batches or not test.is_file():
        raise TrainingError(
            f"{root} is not CIFAR-10 in binary layout: expected data_batch_1.bin (and more) and test_batch.bin"
        )
    images, labels = zip(*(_read(path) for path in batches), strict=True)
    return ImageSet(f"cifar10:{directory}", torch.cat(images), torch.cat(labels), *_read(test), CLASSES)


def _read(path: Path) -> tuple[Tensor, Tensor]:
    try:
        raw = np.fromfile(path, np.uint8)
    except OSError as error:
        raise TrainingError(f"{path}: cannot be read: {error.strerror}") from None
    if not raw.size or raw.size % RECORD_BYTES:
        raise TrainingError(f"{path} has {raw.size} bytes, expected a multiple of {RECORD_BYTES} above 0")
    records = raw.reshape(-1, RECORD_BYTES)
    if (worst := int(records[:, 0].max())) >= len(CLASSES):
        where = int(records[:, 0].argmax())
        raise TrainingError(f"{path}: record {where} has label {worst}, expected 0 to {len(CLASSES) - 1}")
    images = torch.from_numpy(records[:, 1:].reshape(-1, 3, 32, 32).copy())
    return images, torch.from_numpy(records[:, 0].astype(np.int64))
