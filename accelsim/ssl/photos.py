"""Random crops of the CC0 and public-domain photographs that come inside scikit-image: real images, no download."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from accelsim.errors import TrainingError
from accelsim.ssl.image_set import ImageSet

TRAIN_CROPS, TEST_CROPS = 256, 200  # of each photograph
CROP_SIZES = (48, 64, 96)  # pixels of the photograph, scaled to 32
_ROWS, _COLUMNS = 3, 4  # cells of a photograph; the smallest, 300 x 451, has cells of 100 x 112
_SEED = 20260101  # the pool is the same for every run, whatever the run's own seed


@dataclass(frozen=True)
class Photo:
    """A photograph by its name in `skimage.data`, with what scikit-image's documentation says about its rights."""

    name: str
    rights: str


PHOTOS = (
    Photo("astronaut", "public domain, NASA"),
    Photo("brick", "CC0, CC0Textures"),
    Photo("camera", "CC0, Lav Varshney"),
    Photo("chelsea", "CC0, Stefan van der Walt"),
    Photo("coffee", "CC0, Rachel Michetti"),
    Photo("grass", "CC0, linolafett"),
    Photo("gravel", "CC0, CC0Textures"),
    Photo("hubble_deep_field", "public domain, NASA"),
    Photo("retina", "CC0, Mikael Häggström"),
    Photo("rocket", "public domain, SpaceX"),
)


def load() -> ImageSet:
    """Cut a fixed pool of 32x32 crops at three scales; the label of a crop is its photograph.

    Each photograph is cut into 3x4 cells; a crop lies inside one cell, and one cell of each row is held out, so no
    pixel is in both a training and a held-out crop.

    Raises:
        TrainingError: scikit-image is missing, or this version of it does not carry a photograph.
    """
    generator = np.random.default_rng(_SEED)
    train: list[Tensor] = []
    test: list[Tensor] = []
    for photo in PHOTOS:
        seen, held_out = _cells(_read(photo.name))
        train.append(_crops(seen, TRAIN_CROPS, generator))
        test.append(_crops(held_out, TEST_CROPS, generator))
    labels = torch.arange(len(PHOTOS))
    return ImageSet(
        "photos",
        torch.cat(train),
        labels.repeat_interleave(TRAIN_CROPS),
        torch.cat(test),
        labels.repeat_interleave(TEST_CROPS),
        tuple(photo.name for photo in PHOTOS),
    )


def _read(name: str) -> NDArray[np.uint8]:
    """Return a photograph, uint8 [H, W, 3]."""
    try:
        from skimage import data
    except ImportError:
        raise TrainingError("the photos come from scikit-image: pip install 'accelsim[train]'") from None
    try:
        pixels = np.asarray(getattr(data, name)(), np.uint8)
    except (AttributeError, ImportError, OSError) as error:  # moved out of the wheel: pooch or the network is missing
        raise TrainingError(
            f"this scikit-image does not ship the photograph {name} ({type(error).__name__}): install version 0.26"
        ) from None
    return pixels if pixels.ndim == 3 else np.repeat(pixels[:, :, None], 3, axis=2)


def _cells(pixels: NDArray[np.uint8]) -> tuple[list[NDArray[np.uint8]], list[NDArray[np.uint8]]]:
    """Cut a photograph into cells to train on and cells to hold out, each uint8 [H / 3, W / 4, 3]."""
    grid = [np.array_split(row, _COLUMNS, axis=1) for row in np.array_split(pixels, _ROWS)]
    cells = [
        (cell, (row + column) % _COLUMNS == 1) for row, line in enumerate(grid) for column, cell in enumerate(line)
    ]
    return [cell for cell, held_out in cells if not held_out], [cell for cell, held_out in cells if held_out]


def _crops(cells: list[NDArray[np.uint8]], count: int, generator: np.random.Generator) -> Tensor:
    """Cut `count` random squares out of random cells, uint8 [count, 3, 32, 32]."""
    out = torch.empty(count, 3, 32, 32, dtype=torch.uint8)
    sizes, chosen = generator.choice(CROP_SIZES, count), generator.integers(len(cells), size=count)
    for index, (size, cell) in enumerate(zip(sizes, (cells[number] for number in chosen), strict=True)):
        y, x = generator.integers(cell.shape[0] - size + 1), generator.integers(cell.shape[1] - size + 1)
        square = torch.from_numpy(np.ascontiguousarray(cell[y : y + size, x : x + size].transpose(2, 0, 1)))
        scaled = functional.interpolate(square[None].float(), (32, 32), mode="bilinear", antialias=True)
        out[index] = scaled.round().clamp(0, 255)[0].to(torch.uint8)
    return out
