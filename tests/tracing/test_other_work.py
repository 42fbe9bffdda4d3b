"""The tracer counts the work between the products as it runs."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn
from torch.nn import functional

from accelsim import Tracer, open_trace


class Block(nn.Module):
    """One of everything."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(3, 4, 3, padding=1)
        self.norm = nn.BatchNorm2d(4)
        self.again = nn.Conv2d(4, 4, 3, padding=1)
        self.rows = nn.LayerNorm(4)
        self.head = nn.Linear(4, 5)

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        x = functional.relu(self.norm(self.conv(image)))
        x = x + self.again(x)
        x = functional.max_pool2d(x, 2)
        x = functional.gelu(x)
        x = self.rows(functional.adaptive_avg_pool2d(x, 1).flatten(1))
        out: torch.Tensor = self.head(x)
        return out


def record(path: Path, make: Any, **options: Any) -> dict[int, dict[str, int]]:
    torch.manual_seed(0)
    model = Block()
    optimizer = make(model.parameters())
    with Tracer(model, path, strict=True, **options):
        for _ in range(3):
            loss = functional.cross_entropy(model(torch.randn(2, 3, 8, 8)), torch.tensor([1, 2]))
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
    told: dict[int, dict[str, int]] = open_trace(path).meta["other_work"]
    return told


def test_by_hand(tmp_path: Path) -> None:
    weights = sum(parameter.numel() for parameter in Block().parameters())
    maps, small = 2 * 4 * 8 * 8, 2 * 4 * 4 * 4
    expected = {
        "batch_norm": maps,
        "batch_norm_backward": maps,
        "relu": maps,
        "relu_backward": maps,
        "add": 2 * maps,  # the shortcut, and its two gradients
        "pooling": maps + small,
        "pooling_backward": small,
        "gelu": small,
        "gelu_backward": small,
        "layer_norm": 8,
        "layer_norm_backward": 8,
        "softmax": 10,
        "softmax_backward": 10,
        "momentum": weights,
    }
    told = record(tmp_path / "a.pkl", lambda own: torch.optim.SGD(own, lr=0.1, momentum=0.9))
    assert told == {0: expected, 1: expected, 2: expected}


@pytest.mark.parametrize(
    ("make", "kind"),
    [
        (lambda own: torch.optim.SGD(own, lr=0.1), "sgd"),
        (lambda own: torch.optim.RMSprop(own, lr=0.1), "momentum"),
        (lambda own: torch.optim.AdamW(own, lr=0.1), "adam"),
    ],
)
def test_optimisers_by_what_they_hold(tmp_path: Path, make: Any, kind: str) -> None:
    told = record(tmp_path / "a.pkl", make, every=2)
    assert list(told) == [0, 2]
    updates = {name: number for name, number in told[2].items() if name in ("sgd", "momentum", "adam")}
    # the one bias of a single element more or less is a step counter's size
    assert updates == {kind: sum(parameter.numel() for parameter in Block().parameters())}


def test_an_evaluation_is_no_work_of_the_training(tmp_path: Path) -> None:
    model, image = Block(), torch.randn(2, 3, 8, 8)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    with Tracer(model, tmp_path / "a.pkl", strict=True):
        model.eval()
        with torch.no_grad():
            model(image)
        model.train()
        model(image).sum().backward()
        optimizer.step()
    assert open_trace(tmp_path / "a.pkl").meta["other_work"][0]["gelu"] == 2 * 4 * 4 * 4
