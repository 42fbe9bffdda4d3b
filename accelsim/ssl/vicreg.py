"""VICReg (Bardes et al. 2022): keep views alike, dimensions spread and uncorrelated, each view for itself."""

from __future__ import annotations

from torch import Tensor, nn

from accelsim.ssl.framework import Framework
from accelsim.ssl.losses import VarianceInvarianceCovariance
from accelsim.ssl.projectors import hidden


class VICReg(Framework):
    """A shared encoder with a three-layer expander.

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
        self.regularisation = VarianceInvarianceCovariance()

    def loss(self, first: Tensor, second: Tensor) -> Tensor:
        """Return the loss of two views, each [N, 3, H, W]; a scalar."""
        out: Tensor = self.regularisation(*self.both(first, second))
        return out
