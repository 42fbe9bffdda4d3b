"""How sparse the network should be at each training step."""

from __future__ import annotations

import math
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


@dataclass(frozen=True)
class OneShot:
    """All pruning in a single update.

    Args:
        step: when; before it nothing is pruned.
        final_density: share of weights left, above 0, at most 1.

    Raises:
        TrainingError: a density outside (0, 1], a negative step.
    """

    step: int
    final_density: float

    def __post_init__(self) -> None:
        if not 0 < self.final_density <= 1:
            raise TrainingError(f"pruning leaves a density of {self.final_density}, expected a share in (0, 1]")
        if self.step < 0:
            raise TrainingError(f"pruning happens at step {self.step}, expected at least 0")

    def sparsity(self, step: int) -> float:
        """Share of zeros at a step, 0 to 1."""
        return 1 - self.final_density if step >= self.step else 0.0

    def updates_at(self, step: int) -> bool:
        """True at the one step."""
        return step == self.step


@dataclass(frozen=True)
class LessSparse:
    """Another schedule's sparsity less a constant gap, never below 0: the offline branch follows the online one.

    Raises:
        TrainingError: a gap outside [0, 1).
    """

    schedule: Schedule
    gap: float

    def __post_init__(self) -> None:
        if not 0 <= self.gap < 1:
            raise TrainingError(f"the gap between the branches' sparsities is {self.gap}, expected 0 to below 1")

    def sparsity(self, step: int) -> float:
        """Share of zeros at a step, 0 to 1."""
        return max(0.0, self.schedule.sparsity(step) - self.gap)

    def updates_at(self, step: int) -> bool:
        """Whether the other schedule updates."""
        return self.schedule.updates_at(step)


@dataclass(frozen=True)
class CosineExchange:
    """Share of the living that prune-and-regrow exchanges, annealed: final + (initial - final)(1 + cos(pi t)) / 2.

    t runs from 0 at step `start` to 1 at step `end`. RigL has final = 0, so its share is (alpha / 2)(1 + cos(pi t));
    final = initial is constant, as in SET.

    Args:
        start: first step of the anneal; the first exchange comes `every` steps later.
        end: no exchange at or behind it.
        initial, final: shares, 0 <= final <= initial <= 1.
        every: steps between two exchanges.

    Raises:
        TrainingError: shares out of order, an empty run, every < 1.
    """

    start: int
    end: int
    initial: float
    final: float = 0.0
    every: int = 1

    def __post_init__(self) -> None:
        if not 0 <= self.final <= self.initial <= 1:
            raise TrainingError(
                f"weights are exchanged at a share from {self.initial} to {self.final},"
                f" expected 0 <= final <= initial <= 1"
            )
        if not 0 <= self.start < self.end:
            raise TrainingError(
                f"weights are exchanged from step {self.start} to {self.end}, expected 0 <= start < end"
            )
        if self.every < 1:
            raise TrainingError(f"weights are exchanged every {self.every} steps, expected at least 1")

    def share(self, step: int) -> float:
        """Share to exchange at a step, 0 to 1."""
        t = min(max((step - self.start) / (self.end - self.start), 0.0), 1.0)
        return self.final + (self.initial - self.final) * (1 + math.cos(math.pi * t)) / 2

    def exchanges_at(self, step: int) -> bool:
        """True every `every` steps behind `start` and before `end`."""
        return self.start < step < self.end and (step - self.start) % self.every == 0
