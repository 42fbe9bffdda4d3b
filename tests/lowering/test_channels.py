"""Channel rows and stride phases equal the same on booleans."""

from __future__ import annotations

import numpy as np
import pytest

from accelsim.lowering.bits import as_words
from accelsim.lowering.channels import channel_rows, stride_phase
from tests.lowering.packing import image_rows, pack, unpack


@pytest.mark.parametrize("image", [(8, 8), (7, 7), (1, 5), (16, 12), (4, 4), (8, 24)])
def test_channel_rows(image: tuple[int, int]) -> None:
    mask = np.random.default_rng(0).random((5, 3, *image)) < 0.5
    rows = channel_rows(as_words(np.packbits(mask, bitorder="little")), 5, 3, image[0] * image[1])
    np.testing.assert_array_equal(unpack(rows, 5 * image[0] * image[1]), image_rows(mask))


@pytest.mark.parametrize("image", [(8, 8), (7, 7), (9, 12), (5, 64), (4, 130), (32, 32), (1, 1)])
@pytest.mark.parametrize("step", [(1, 2), (2, 1), (2, 2), (3, 3), (2, 4), (4, 6), (1, 8), (70, 70)])
def test_stride_phases(image: tuple[int, int], step: tuple[int, int]) -> None:
    mask = np.random.default_rng(1).random((3, 2, *image)) < 0.5
    for a in range(min(step[0], image[0])):
        for b in range(min(step[1], image[1])):
            part = mask[:, :, a :: step[0], b :: step[1]]
            rows = stride_phase(pack(image_rows(mask)), 3, image, step, (a, b))
            np.testing.assert_array_equal(unpack(rows, part[:, 0].size), image_rows(part))
