"""Packed masks say what the arrays said."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from accelsim.errors import TraceError
from accelsim.trace import BitMask


@given(hnp.arrays(bool, hnp.array_shapes(min_dims=0, max_dims=5, min_side=0, max_side=7)))
def test_round_trip(array: np.ndarray) -> None:
    mask = BitMask.from_array(array)
    assert np.array_equal(mask.to_array(), array)
    assert mask.to_array().shape == mask.shape == array.shape
    assert mask.nonzeros == int(array.sum())
    assert mask.bits.size == (array.size + 7) // 8


@given(st.integers(0, 40), st.data())
def test_element_i_is_bit_i(position: int, data: st.DataObject) -> None:
    size = data.draw(st.integers(position + 1, 60))
    array = np.zeros(size)
    array[position] = -1.5
    number = int.from_bytes(BitMask.from_array(array).bits.tobytes(), "little")
    assert number == 1 << position


def test_nan_is_not_zero() -> None:
    assert BitMask.from_array([np.nan, 0.0, -0.0]).to_array().tolist() == [True, False, False]


@pytest.mark.parametrize(
    ("shape", "bits", "cause"),
    [((9,), b"\1", "needs 2 bytes, not 1"), ((3,), b"\x08", "after its last element"), ((-1, -8), b"\0", "needs")],
)
def test_bits_must_fit_the_shape(shape: tuple[int, ...], bits: bytes, cause: str) -> None:
    with pytest.raises(TraceError, match=cause):
        BitMask(shape, bits)


def test_bits_are_flat_uint8_and_a_shape_is_plain() -> None:
    with pytest.raises(TraceError, match="packed bits are a flat array of uint8, not int64"):
        BitMask((8,), np.array([1]))
    with pytest.raises(TraceError, match=r"packed bits .* of shape \(1, 1\)"):
        BitMask((8,), np.array([[1]], np.uint8))
    shape = BitMask((np.int64(2), np.int32(3)), b"\1").shape
    assert repr(shape) == "(2, 3)"


@pytest.mark.parametrize("array", [[[1], [1, 2]], "text", [None], {"a": 1}])
def test_no_numbers(array: object) -> None:
    with pytest.raises(TraceError, match=r"cannot be read as an array|holds no numbers"):
        BitMask.from_array(array)


def test_immutable() -> None:
    mask = BitMask.from_array(np.ones(3))
    with pytest.raises(ValueError, match="read-only"):
        mask.bits[0] = 0
