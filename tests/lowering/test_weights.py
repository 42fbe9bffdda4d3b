"""A weight's layouts equal the same on booleans."""

from __future__ import annotations

import numpy as np
import pytest

from accelsim.lowering.weights import Weights
from accelsim.trace.bitmask import BitMask
from tests.lowering.packing import unpack


@pytest.mark.parametrize("shape", [(6, 3, 3, 3), (128, 2, 1, 1), (256, 70, 3, 1), (6, 1, 2, 5), (130, 65, 1, 2)])
@pytest.mark.parametrize("groups", [1, 2])
@pytest.mark.parametrize("density", [0.5, 1.0])
def test_layouts(shape: tuple[int, ...], groups: int, density: float) -> None:
    mask = np.random.default_rng(0).random(shape) < density
    weights = Weights(BitMask.from_array(mask), "weight", groups)
    o, i, r, s = shape
    some = np.arange(0, r * s, 2)
    for group, part in enumerate(mask.reshape(groups, o // groups, i, r * s)):
        by_tap = part.transpose(0, 2, 1).reshape(o // groups, -1)
        np.testing.assert_array_equal(unpack(weights.by_tap(group), i * r * s), by_tap)
        by_input = part.transpose(1, 2, 0)[:, some].reshape(i, -1)
        np.testing.assert_array_equal(unpack(weights.by_input(group, some), by_input.shape[1]), by_input)
