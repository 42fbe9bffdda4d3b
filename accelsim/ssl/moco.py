"""MoCo v2 (He et al. 2020; Chen et al. 2020b): a query encoder, a momentum key encoder and a queue of negatives."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

from accelsim.ssl.framework import Framework
from accelsim.ssl.losses import InfoNCE
from accelsim.ssl.momentum import MomentumBranch


class MoCo(Framework):
    """InfoNCE of the first views' queries against the second views' keys and a queue of earlier keys.

    Not symmetric: a step is (F + I + W) of the query branch and F of the key branch. The key encoder moves after every
    optimiser step (equation 2), which is where the published code's update before the next step's forward leaves it.

    Args:
        encoder: see `Framework`; the query encoder.
        projection_dim: length of queries and keys.
        temperature: InfoNCE's; 0.2 as published for v2.
        momentum: m of equation 2; 0.999 as published, for runs of more than 100 000 steps.
        queue: keys in the queue, 65 536 as published.

    Attributes:
        key: the momentum branch.
        queue: keys of length 1, newest first, [queue, projection_dim]; it starts with random ones.
    """

    queue: Tensor

    def __init__(
        self,
        encoder: nn.Module,
        projection_dim: int = 128,
        temperature: float = 0.2,
        momentum: float = 0.999,
        queue: int = 65_536,
    ) -> None:
        super().__init__(encoder)
        dim = self.feature_dim
        self.projector = nn.Sequential(nn.Linear(dim, dim), nn.ReLU(), nn.Linear(dim, projection_dim))
        self.key = MomentumBranch(encoder, self.projector)
        self.contrast = InfoNCE(temperature)
        self.momentum = momentum
        self.register_buffer("queue", functional.normalize(torch.randn(queue, projection_dim), dim=1))

    def loss(self, first: Tensor, second: Tensor) -> Tensor:
        """Return the loss of two views, each [N, 3, H, W]; in training mode the keys then enter the queue."""
        keys = self.key(second)
        out: Tensor = self.contrast(self(first), keys, self.queue)
        if self.training:
            newest = functional.normalize(keys, dim=1)
            self.queue = torch.cat([newest, self.queue])[: len(self.queue)]
        return out

    @property
    def momentum_encoder(self) -> nn.Module:
        """The key encoder."""
        return self.key.encoder

    def after_step(self, step: int, steps: int) -> None:
        """Move the key branch by the constant momentum."""
        self.key.follow(self.encoder, self.projector, self.momentum)
