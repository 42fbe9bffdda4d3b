"""Barlow Twins (Zbontar et al. 2021): make the two views' dimensions correlate one to one."""

from __future__ import annotations

from torch import Tensor, nn

from accelsim.ssl.framework import Framework
from accelsim.ssl.losses import CrossCorrelation
from accelsim.ssl.projectors import hidden


class BarlowTwins(Framework):
    """A shared encoder with a three-layer projector.

    Args:
        encoder: see `Framework`.
        projection_dim: of all three layers; by default four times the features, the published 8192 for ResNet-50.
    """

    def __init__(self, encoder: nn.Module, projection_dim: int | None = None) -> None:
        super().__init__(encoder)
        dim = projection_dim or 4 * self.feature_dim
        self.projector = nn.Sequential(
            *hidden(self.feature_dim, dim), *hidden(dim, dim), nn.Linear(dim, dim, bias=False)
        )
        self.correlation = CrossCorrelation(dim)

    def loss(self, first: Tensor, second: Tensor) -> Tensor:
        """Return the loss of two views, each [N, 3, H, W]; a scalar."""
        out: Tensor = self.correlation(*self.both(first, second))
        return out
