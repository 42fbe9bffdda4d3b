"""How sparse the network should be at each training step."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from accelsim.errors import TrainingError


class Schedule(Protocol):
    """When masks are updated, and to which sparsity."""

    def sparsity(self, step: int) -> float:
        """Share of the sparse layers' weights that are zero at a step, 0 to 1."""

    def updates_at(self, step: int) -> bool:
        """Whether the masks are recomputed before this step's forward pass."""


@dataclass(frozen=True)
class CubicSchedule:
    """Gradual pruning (Zhu and Gupta 2017): fast while weights are plenty, slow near the end.

    With t = (step - start) / (end - start) clipped to [0, 1], initial density d_i and final density d_f:

        sparsity = (1 - d_i) + (d_i - d_f) * (1 - (1 - t)^3)

    Args:
        start: first step of the ramp; before it the sparsity is 1 - initial_density.
        end: step at which the final density is reached.
        final_density: share of weights left at the end, above 0, at most 1.
        initial_density: share of weights at the start.
        every: steps between two mask updates inside the ramp.

    Raises:
        TrainingError: a density outside (0, 1], a ramp that grows, an empty or negative ramp, every < 1.
    """

    start: int
    end: int
    final_density: float
    initial_density: float = 1.0
    every: int = 1

    def __post_init__(self) -> None:
        if not 0 < self.final_density <= self.initial_density <= 1:
            raise TrainingError(
                f"pruning goes from density {self.initial_density} to {self.final_density}, expected two shares of"
                f" weights left in (0, 1], the final one not above the initial one"
            )
        if not 0 <= self.start < self.end:
            raise TrainingError(
                f"pruning starts at step {self.start} and ends at {self.end}, expected 0 <= start < end"
            )
        if self.every < 1:
            raise TrainingError(f"masks are updated every {self.every} steps, expected at least 1")

    def sparsity(self, step: int) -> float:
        """Share of zeros at a step, 0 to 1."""
        t = min(max((step - self.start) / (self.end - self.start), 0.0), 1.0)
        return (1 - self.initial_density) + (self.initial_density - self.final_density) * (1 - (1 - t) ** 3)

    def updates_at(self, step: int) -> bool:
        """True every `every` steps of the ramp, and at its end, so that the final density is always reached."""
        inside = self.start <= step <= self.end
        return inside and ((step - self.start) % self.every == 0 or step == self.end)
