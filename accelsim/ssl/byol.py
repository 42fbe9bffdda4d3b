"""BYOL (Grill et al. 2020): predict a momentum branch's projection of the other view, without negatives."""

from __future__ import annotations

import math

from torch import Tensor, nn

from accelsim.ssl.framework import Framework
from accelsim.ssl.losses import CosineDistance
from accelsim.ssl.momentum import MomentumBranch
from accelsim.ssl.projectors import hidden


class BYOL(Framework):
    """Online branch with a predictor, target branch without; both views go through both (symmetric).

    A step is 2 (F + I + W) of the online branch and 2 F of the target.

    Args:
        encoder: see `Framework`; the online encoder.
        projection_dim: length of projections and predictions, 256 as published.
        momentum: tau at the first step, 0.996 as published.
        hidden_dim: of projector and predictor; by default twice the features, the published 4096 for ResNet-50.

    Attributes:
        target: the momentum branch.
    """

    def __init__(
        self, encoder: nn.Module, projection_dim: int = 256, momentum: float = 0.996, hidden_dim: int | None = None
    ) -> None:
        super().__init__(encoder)
        wide = hidden_dim or 2 * self.feature_dim
        self.projector = nn.Sequential(*hidden(self.feature_dim, wide), nn.Linear(wide, projection_dim, bias=False))
        self.predictor = nn.Sequential(*hidden(projection_dim, wide), nn.Linear(wide, projection_dim, bias=False))
        self.target = MomentumBranch(encoder, self.projector)
        self.distance = CosineDistance()
        self.momentum = momentum

    def forward(self, images: Tensor) -> Tensor:
        """Return predictions [N, projection_dim] of images [N, 3, H, W]."""
        out: Tensor = self.predictor(self.projector(self.encoder(images)))
        return out

    def loss(self, first: Tensor, second: Tensor) -> Tensor:
        """Return the loss of two views, each [N, 3, H, W]: equation 2, 2 - 2 cosine, for both ways round, added."""
        there: Tensor = self.distance(self(first), self.target(second))
        back: Tensor = self.distance(self(second), self.target(first))
        return 2 * there + 2 * back

    @property
    def momentum_encoder(self) -> nn.Module:
        """The target encoder."""
        return self.target.encoder

    def after_step(self, step: int, steps: int) -> None:
        """Move the target by the momentum of this step."""
        self.target.follow(self.encoder, self.projector, self.momentum_at(step, steps))

    def momentum_at(self, step: int, steps: int) -> float:
        """Return tau = 1 - (1 - momentum) * (cos(pi * step / steps) + 1) / 2, from `momentum` towards 1."""
        return 1 - (1 - self.momentum) * (math.cos(math.pi * step / steps) + 1) / 2
