"""A tiny training to be watched."""

from __future__ import annotations

import torch
from torch import nn

torch.set_num_threads(1)

HARDWARE = {
    "name": "tiny",
    "array": {"rows": 4, "cols": 4},
    "skipping": {"tensors": ["weight", "activation", "gradient"]},
}


def network() -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU(), nn.Conv2d(4, 4, 3), nn.ReLU(), nn.Flatten(), nn.Linear(64, 2))


def train(model: nn.Module, steps: int) -> list[float]:
    """Losses of a few steps."""
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    criterion = nn.CrossEntropyLoss()
    losses = []
    generator = torch.Generator().manual_seed(1)
    for _ in range(steps):
        loss = criterion(model(torch.randn(4, 3, 8, 8, generator=generator)), torch.tensor([0, 1, 0, 1]))
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    return losses
