"""A tensor's layouts equal the same on booleans."""

from __future__ import annotations

import numpy as np
import pytest

from accelsim.lowering.tensor import Tensor
from accelsim.trace.bitmask import BitMask
from tests.lowering.packing import image_rows, unpack


@pytest.mark.parametrize("shape", [(3, 5, 4, 4), (70, 130, 1, 1), (2, 64, 7, 9), (1, 1, 1, 1), (2, 300, 8, 8)])
@pytest.mark.parametrize("density", [0.0, 0.5, 1.0])
def test_layouts(shape: tuple[int, ...], density: float) -> None:
    mask = np.random.default_rng(0).random(shape) < density
    tensor = Tensor(BitMask.from_array(mask), "activation")
    n, c, h, w = shape
    assert tensor.dense == bool(mask.all())
    np.testing.assert_array_equal(unpack(tensor.rows, n * h * w), image_rows(mask))
    np.testing.assert_array_equal(unpack(tensor.pixels(), c), image_rows(mask).T)
    for first, count in ((0, c), (c // 2, c - c // 2), (0, c)):
        expected = mask[:, first : first + count].sum(axis=(1, 3)).ravel()
        np.testing.assert_array_equal(tensor.line_nonzeros(first, count), expected)
