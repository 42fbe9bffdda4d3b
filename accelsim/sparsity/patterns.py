"""Which weights live and die together: a pattern cuts a weight tensor into units that are kept or pruned whole."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Sequence
from typing import Protocol

from torch import Tensor

from accelsim.errors import TrainingError
from accelsim.sparsity.blocks import BlockPattern, ChannelPattern
from accelsim.sparsity.n_of_m import NofM, TransposableNofM
from accelsim.sparsity.swap import swap


class Pattern(Protocol):
    """A partition of a weight tensor [C_out, C_in, ...] into units.

    A pruner ranks units over all layers, so a pattern says what a unit is worth and what is left of it once pruned.

    Attributes:
        removed: share of a pruned unit's elements that go: 1, or less where pruning a unit thins it out.
        exchanges: whether `regrow` works.
    """

    removed: float
    exchanges: bool

    def units(self, shape: Sequence[int]) -> int:
        """Return the number of units of a weight [C_out, C_in, ...]."""

    def unit_scores(self, scores: Tensor) -> Tensor:
        """Reduce element scores, in the weight's shape, to one score a unit, [units]."""

    def element_mask(self, kept: Tensor, scores: Tensor) -> Tensor:
        """Return the elements left, bool in the weight's shape.

        Args:
            kept: units left whole, bool [units].
            scores: element scores in the weight's shape, which choose what is left of a unit that is only thinned out.
        """

    def regrow(self, mask: Tensor, worth: Tensor, gain: Tensor, share: float) -> Tensor:
        """Drop a share of what lives and let as much grow, within the pattern; the number of elements stays the same.

        Args:
            mask: bool, in the weight's shape, as made by this pattern.
            worth: element scores by which the least worthy living go.
            gain: element scores by which the most promising dead grow (what was just dropped among them).
            share: of the living to exchange, rounded down.

        Raises:
            TrainingError: the pattern cannot exchange single weights.
        """


class ElementPattern:
    """Unstructured: every element is its own unit."""

    removed = 1.0
    exchanges = True

    def units(self, shape: Sequence[int]) -> int:
        """Return the number of elements."""
        return math.prod(shape)

    def unit_scores(self, scores: Tensor) -> Tensor:
        """Return the element scores, flat."""
        return scores.reshape(-1)

    def element_mask(self, kept: Tensor, scores: Tensor) -> Tensor:
        """Return the kept elements in the weight's shape."""
        return kept.reshape(scores.shape)

    def regrow(self, mask: Tensor, worth: Tensor, gain: Tensor, share: float) -> Tensor:
        """Exchange single elements."""
        alive = mask.reshape(-1)
        return swap(alive, worth.reshape(-1), gain.reshape(-1), share).reshape(mask.shape)


PATTERNS: dict[str, Pattern] = {
    "element": ElementPattern(),
    "channel": ChannelPattern(),
    "2:4": NofM(2, 4),
    "transposable-2:4": TransposableNofM(2, 4),
    "1x4": BlockPattern(1, 4),
    "8x8": BlockPattern(8, 8),
}
"""The common patterns; `find_pattern` knows all numbers."""

_FAMILIES: dict[str, Callable[[int, int], Pattern]] = {
    r"(\d+):(\d+)": NofM,
    r"transposable-(\d+):(\d+)": TransposableNofM,
    r"(\d+)x(\d+)": BlockPattern,
}


def find_pattern(name: str) -> Pattern:
    """Return a pattern by name.

    Names are `element`, `channel`, `N:M` (2:4), `transposable-N:M`, `RxS` for blocks of R output by S input channels
    (8x8), of which `1xS` is a vector.

    Raises:
        TrainingError: another name, or numbers that make no pattern.
    """
    if name in PATTERNS:
        return PATTERNS[name]
    for expression, family in _FAMILIES.items():
        if found := re.fullmatch(expression, name):
            return family(int(found[1]), int(found[2]))
    raise TrainingError(
        f"unknown sparsity pattern {name!r}, expected element, channel, N:M (2:4), transposable-N:M, 1xS or RxS (8x8)"
    )
