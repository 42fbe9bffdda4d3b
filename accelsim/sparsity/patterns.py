"""Which weights live and die together: a pattern cuts a weight tensor into units that are kept or pruned whole."""

from __future__ import annotations

from typing import Protocol

from torch import Tensor


class Pattern(Protocol):
    """A partition of a weight tensor into units of equally many elements.

    A pruner ranks units over all layers, so a pattern says what a unit is worth and which elements it covers.
    """

    def unit_scores(self, scores: Tensor) -> Tensor:
        """Reduce element scores, in the weight's shape, to one score a unit, [units]."""

    def element_mask(self, kept: Tensor, shape: tuple[int, ...]) -> Tensor:
        """Expand kept units, bool [units], to the elements they cover, bool in the weight's shape."""


class ElementPattern:
    """Unstructured: every element is its own unit."""

    def unit_scores(self, scores: Tensor) -> Tensor:
        """Return the element scores, flat."""
        return scores.reshape(-1)

    def element_mask(self, kept: Tensor, shape: tuple[int, ...]) -> Tensor:
        """Return the kept elements in the weight's shape."""
        return kept.reshape(shape)


PATTERNS: dict[str, Pattern] = {"element": ElementPattern()}
