"""What a training loop calls on any sparse training method."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol


@dataclass(frozen=True)
class MaskUpdate:
    """What one update of the masks did; an overlap of masks a and b is |a and b| / min(|a|, |b|).

    Attributes:
        step: training step before whose optimiser step the masks changed.
        sparsity: share of zeros over all sparse layers, one number a branch.
        overlap_previous: of a branch's masks with those before this update, one number a branch.
        overlap_branches: between the two branches' masks; None where there is one branch.
    """

    step: int
    sparsity: tuple[float, ...]
    overlap_previous: tuple[float, ...]
    overlap_branches: float | None


class Sparsifier(Protocol):
    """A sparse training method attached to a model; all its state lives in the model's buffers and in the step.

        for step in range(steps):
            sparsifier.before_step(step)
            loss = ...; optimizer.zero_grad(); loss.backward()
            sparsifier.after_backward(step)
            optimizer.step()

    A framework runs the forward of its second view, or of its momentum encoder, inside `with branch(1):`.

    Attributes:
        log: every mask update so far.
    """

    log: list[MaskUpdate]

    def before_step(self, step: int) -> bool:
        """Update the masks where no gradient is needed for it, and ask for dense gradients where one is.

        Returns:
            Whether masks changed.
        """

    def after_backward(self, step: int) -> bool:
        """Update the masks by the dense gradients of this step's backward, before the optimiser's step.

        Returns:
            Whether masks changed.
        """
