"""What is done with packed bits equals the same on booleans."""

from __future__ import annotations

import numpy as np
import pytest

from accelsim.lowering import bits
from tests.lowering.packing import pack, unpack

SIZES = [(1, 1), (3, 64), (64, 3), (64, 64), (65, 130), (70, 513), (200, 1000), (1, 700), (700, 1)]


def random(*shape: int, density: float = 0.5) -> np.ndarray:
    return np.random.default_rng(sum(shape)).random(shape) < density


@pytest.mark.parametrize(("rows", "cols"), SIZES)
def test_transpose(rows: int, cols: int) -> None:
    matrix = random(rows, cols)
    np.testing.assert_array_equal(unpack(bits.transpose_rows(pack(matrix), cols), rows), matrix.T)


@pytest.mark.parametrize(("rows", "cols"), [*SIZES, (1021, 65), (300, 64 * 130), (5000, 70), (0, 70)])
@pytest.mark.parametrize("density", [0.5, 1.0])
def test_column_counts(rows: int, cols: int, density: float) -> None:
    matrix = random(rows, cols, density=density)
    np.testing.assert_array_equal(bits.column_counts(pack(matrix), cols), matrix.sum(axis=0))


@pytest.mark.parametrize("size", [1, 7, 63, 64, 65, 100, 150])
def test_flags_become_runs_and_pieces_are_joined(size: int) -> None:
    flags = random(5, 9)
    np.testing.assert_array_equal(unpack(bits.fill_runs(flags, size), 9 * size), np.repeat(flags, size, axis=1))
    pieces = random(5 * 9, size)
    joined = bits.join_runs(pack(pieces).reshape(5, 9, -1), size)
    np.testing.assert_array_equal(unpack(joined, 9 * size), pieces.reshape(5, -1))


@pytest.mark.parametrize("size", [0, 1, 63, 64, 65, 200])
def test_all_set(size: int) -> None:
    full = bits.full_rows(1, size)
    np.testing.assert_array_equal(unpack(full, size), np.ones((1, size), bool))
    assert bits.all_set(full[0], size)
    for hole in {0, size // 2, size - 1} if size else ():
        flags = np.ones((1, size), bool)
        flags[0, hole] = False
        assert not bits.all_set(pack(flags)[0], size)


def test_bytes_become_words() -> None:
    flags = random(1, 77)
    packed = np.packbits(flags, bitorder="little")
    np.testing.assert_array_equal(unpack(bits.as_words(packed)[None], 77), flags)
