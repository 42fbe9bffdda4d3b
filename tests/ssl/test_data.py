"""Photographs and CIFAR-10's binary layout."""

from pathlib import Path

import numpy as np
import pytest
import torch

from accelsim.errors import TrainingError
from accelsim.ssl import photos
from accelsim.ssl.data import load_data


def _cifar(directory: Path, train: list[int], test: int) -> list[np.ndarray]:
    rng = np.random.default_rng(0)
    written = []
    for name, count in [*((f"data_batch_{i + 1}.bin", n) for i, n in enumerate(train)), ("test_batch.bin", test)]:
        records = rng.integers(0, 256, (count, 3073), dtype=np.uint8)
        records[:, 0] = rng.integers(0, 10, count)
        records.tofile(directory / name)
        written.append(records)
    return written


def test_cifar10_is_read_plane_by_plane(tmp_path: Path) -> None:
    first, second, test = _cifar(tmp_path, [5, 3], 4)
    data = load_data(f"cifar10:{tmp_path}")
    assert data.train.shape == (8, 3, 32, 32)
    assert data.train[6, 1, 2, 3] == second[1, 1 + 1024 + 2 * 32 + 3]
    assert data.train_labels.tolist() == [*first[:, 0], *second[:, 0]]
    assert data.test[3, 2, 31, 31] == test[3, 3072]
    assert len(data.classes) == 10


def _truncate(directory: Path) -> None:
    path = directory / "data_batch_2.bin"
    path.write_bytes(path.read_bytes()[:-1])


def _mislabel(directory: Path) -> None:
    path = directory / "test_batch.bin"
    raw = bytearray(path.read_bytes())
    raw[3073] = 17
    path.write_bytes(raw)


@pytest.mark.parametrize(
    ("damage", "said"),
    [
        (_truncate, "data_batch_2.bin has 9218 bytes, expected a multiple of 3073"),
        (_mislabel, "test_batch.bin: record 1 has label 17, expected 0 to 9"),
        (lambda directory: (directory / "test_batch.bin").unlink(), "expected data_batch_1.bin"),
        (lambda directory: (directory / "data_batch_1.bin").write_bytes(b""), "has 0 bytes"),
    ],
)
def test_damaged_cifar10_is_refused(tmp_path: Path, damage, said: str) -> None:
    _cifar(tmp_path, [5, 3], 4)
    damage(tmp_path)
    with pytest.raises(TrainingError, match=said):
        load_data(f"cifar10:{tmp_path}")


@pytest.mark.parametrize("name", ["imagenet", "cifar10", "cifar10:", "photos2"])
def test_unknown_data_is_refused(name: str) -> None:
    with pytest.raises(TrainingError, match="expected photos or cifar10:DIR"):
        load_data(name)


def test_photos_are_real_fixed_and_held_out() -> None:
    data = load_data("photos")
    classes = len(photos.PHOTOS)
    assert data.train.shape == (classes * photos.TRAIN_CROPS, 3, 32, 32)
    assert data.test.shape == (classes * photos.TEST_CROPS, 3, 32, 32)
    assert data.train.dtype == torch.uint8
    assert torch.bincount(data.train_labels).tolist() == [photos.TRAIN_CROPS] * classes
    assert torch.equal(data.train, load_data("photos").train)
    # A photograph's neighbouring pixels are alike, unlike noise: mean step far below the spread.
    pixels = data.train.float()
    assert (pixels[..., 1:] - pixels[..., :-1]).abs().mean() < pixels.std() / 4


def test_training_and_held_out_crops_share_no_pixel(monkeypatch: pytest.MonkeyPatch) -> None:
    """In a photograph whose pixels tell where they are, the two pools are different places."""
    y, x = np.mgrid[0:300, 0:480]
    block = y // 25 * 16 + x // 30  # 12 x 16 blocks, each inside one cell
    monkeypatch.setattr(photos, "_read", lambda name: np.repeat(block[:, :, None], 3, axis=2).astype(np.uint8))
    monkeypatch.setattr(photos, "CROP_SIZES", (32,))  # not scaled: pixels keep their values
    data = photos.load()
    seen, held_out = (set(images.unique().tolist()) for images in (data.train, data.test))
    assert not seen & held_out
    assert len(seen) == 9 * 16
    assert len(held_out) == 3 * 16


def test_a_photograph_that_is_not_shipped_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(photos, "PHOTOS", (photos.Photo("nonesuch", "none"),))
    with pytest.raises(TrainingError, match="photograph nonesuch"):
        photos.load()
