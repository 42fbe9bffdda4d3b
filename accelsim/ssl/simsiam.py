"""SimSiam (Chen and He 2021): a predictor and a stop-gradient, neither negatives nor a momentum encoder."""

from __future__ import annotations

from torch import Tensor, nn

from accelsim.ssl.framework import Framework
from accelsim.ssl.losses import CosineDistance
from accelsim.ssl.projectors import hidden


class SimSiam(Framework):
    """Each view's prediction of the other view's projection, which is taken as a constant.

    Args:
        encoder: see `Framework`.
        projection_dim: of the three-layer projector; by default the features' length, the published 2048 for ResNet-50.
        bottleneck_dim: hidden length of the predictor; by default a quarter of it, the published 512.
    """

    def __init__(
        self, encoder: nn.Module, projection_dim: int | None = None, bottleneck_dim: int | None = None
    ) -> None:
        super().__init__(encoder)
        dim = projection_dim or self.feature_dim
        self.projector = nn.Sequential(
            *hidden(self.feature_dim, dim),
            *hidden(dim, dim),
            nn.Linear(dim, dim, bias=False),
            nn.BatchNorm1d(dim, affine=False),
        )
        narrow = bottleneck_dim or max(1, dim // 4)
        self.predictor = nn.Sequential(*hidden(dim, narrow), nn.Linear(narrow, dim))
        self.distance = CosineDistance()

    def loss(self, first: Tensor, second: Tensor) -> Tensor:
        """Return the loss of two views, each [N, 3, H, W]: equation 4, half of -cosine for both ways round, -1 to 1."""
        one, other = self.both(first, second)
        there: Tensor = self.distance(self.predictor(one), other)
        back: Tensor = self.distance(self.predictor(other), one)
        return there / 2 + back / 2 - 1
