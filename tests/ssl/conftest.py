"""A tiny run that takes milliseconds."""

import pytest
import torch

from accelsim.ssl import train as train_module
from accelsim.ssl.config import TrainConfig
from accelsim.ssl.image_set import ImageSet

TINY = TrainConfig(width=2, steps=6, batch=4, prune_every=2, prune_start=0.2, knn_images=8)


@pytest.fixture
def tiny_data(monkeypatch: pytest.MonkeyPatch) -> ImageSet:
    """Ten random images, so that six steps of four go through three epochs; `train` loads them whatever the name."""
    torch.set_num_threads(1)
    generator = torch.Generator().manual_seed(0)
    images = torch.randint(0, 256, (14, 3, 32, 32), generator=generator, dtype=torch.uint8)
    labels = torch.arange(14) % 2
    data = ImageSet("photos", images[:10], labels[:10], images[10:], labels[10:], ("even", "odd"))
    monkeypatch.setattr(train_module, "load_data", lambda name: data)
    return data
