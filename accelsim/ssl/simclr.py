"""SimCLR (Chen et al. 2020): one encoder, two views, NT-Xent on the projections."""

from __future__ import annotations

from torch import Tensor, nn

from accelsim.ssl.framework import Framework
from accelsim.ssl.losses import NTXent


class SimCLR(Framework):
    """A shared encoder with a two-layer projector.

    The two views are two calls of the encoder, not one call of twice the batch: a trace shows each layer's call 0 and
    call 1, and batch norm sees each view alone (as with one device per half of the batch in the published code).

    Args:
        encoder: see `Framework`.
        projection_dim: length of the vectors that the loss compares.
        temperature: NT-Xent's temperature; 0.5 as published for CIFAR-10.
    """

    def __init__(self, encoder: nn.Module, projection_dim: int = 128, temperature: float = 0.5) -> None:
        super().__init__(encoder)
        dim = self.feature_dim
        self.projector = nn.Sequential(nn.Linear(dim, dim), nn.ReLU(), nn.Linear(dim, projection_dim))
        self.contrast = NTXent(temperature)

    def loss(self, first: Tensor, second: Tensor) -> Tensor:
        """Return the loss of two views of the same images, each [N, 3, H, W]; a scalar."""
        out: Tensor = self.contrast(*self.both(first, second))
        return out
