"""What a self-supervised framework is: an encoder to keep, a loss of two views, and what follows an optimiser step."""

from __future__ import annotations

from abc import ABC, abstractmethod

from torch import Tensor, nn

from accelsim.errors import TrainingError
from accelsim.sparsity.branch import branch


class Framework(nn.Module, ABC):
    """An encoder with what trains it without labels.

    The first view is the online branch's; the second view of a shared encoder, and everything a momentum encoder sees,
    runs inside `accelsim.sparsity.branch.branch(1)`, so that masks and gates can tell the branches apart.

    Parameters that an optimiser should see are those with `requires_grad`; a momentum encoder's have none. Everything
    else that a run needs to go on (momentum encoder, queue) is in `state_dict`.

    Args:
        encoder: images [N, 3, H, W] to features [N, encoder.feature_dim].

    Attributes:
        encoder: the one that is kept and evaluated.
        projector: what the loss sees its features through; set by each framework.
        feature_dim: length of its features.

    Raises:
        TrainingError: the encoder does not say how long its features are.
    """

    projector: nn.Module

    def __init__(self, encoder: nn.Module) -> None:
        super().__init__()
        dim = getattr(encoder, "feature_dim", None)
        if not isinstance(dim, int) or dim < 1:
            raise TrainingError(
                f"{type(encoder).__name__} has no attribute feature_dim: set it to the length of the features that the"
                f" encoder returns"
            )
        self.encoder = encoder
        self.feature_dim = dim

    def forward(self, images: Tensor) -> Tensor:
        """Return projections [N, projection_dim] of one view's images [N, 3, H, W]."""
        out: Tensor = self.projector(self.encoder(images))
        return out

    def both(self, first: Tensor, second: Tensor) -> tuple[Tensor, Tensor]:
        """Return the projections of two views by a shared encoder."""
        one = self(first)
        with branch(1):
            return one, self(second)

    @abstractmethod
    def loss(self, first: Tensor, second: Tensor) -> Tensor:
        """Return the loss of two views of the same images, each [N, 3, H, W]; a scalar."""

    @property
    def momentum_encoder(self) -> nn.Module | None:
        """The encoder that follows `encoder` as a moving average and runs forward only, if there is one."""
        return None

    def after_step(self, step: int, steps: int) -> None:
        """Do what follows an optimiser step: move the momentum encoder, if there is one.

        Args:
            step: the step just done, from 0.
            steps: of the whole run.
        """
