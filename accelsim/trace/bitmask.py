"""A boolean array stored as one bit an element."""

from __future__ import annotations

import math
import operator
from typing import Self

import numpy as np
from numpy.typing import ArrayLike, NDArray

from accelsim.errors import TraceError


class BitMask:
    """An immutable boolean array, packed: element `i` in C order is bit `i % 8` of byte `i // 8`, spare bits are zero.

    Attributes:
        shape: the array's shape.
        bits: uint8 array of ceil(size / 8) bytes, read-only.
    """

    __slots__ = ("bits", "shape")

    shape: tuple[int, ...]
    bits: NDArray[np.uint8]

    def __init__(self, shape: tuple[int, ...], bits: bytes | NDArray[np.uint8]) -> None:
        """Wrap bits that are packed already.

        Raises:
            TraceError: the number of bytes does not match the shape, or a spare bit is set.
        """
        packed = np.frombuffer(bits, np.uint8) if isinstance(bits, bytes) else bits.view()
        if packed.dtype != np.uint8 or packed.ndim != 1:
            raise TraceError(f"packed bits are a flat array of uint8, not {packed.dtype} of shape {packed.shape}")
        shape = tuple(map(operator.index, shape))  # plain numbers, where NumPy's or torch's were given
        size = math.prod(shape)
        if any(extent < 0 for extent in shape) or packed.size != -(-size // 8):
            raise TraceError(f"a mask of shape {shape} needs {-(-size // 8)} bytes, not {packed.size}")
        if size % 8 and packed[-1] >> (size % 8):
            raise TraceError(f"a mask of shape {shape} has bits set after its last element")
        packed.flags.writeable = False
        self.shape, self.bits = shape, packed

    @classmethod
    def from_array(cls, array: ArrayLike) -> Self:
        """Pack an array of any shape; an element that is not zero (NaN included) becomes a set bit.

        Raises:
            TraceError: this is no array of numbers or booleans.
        """
        try:
            array = np.asarray(array)
        except (TypeError, ValueError, RuntimeError) as error:
            raise TraceError(f"this cannot be read as an array: {error}") from None
        if array.dtype.kind not in "biufc":
            raise TraceError(f"an array of {array.dtype} holds no numbers, expected booleans or numbers")
        return cls(array.shape, np.packbits(array.astype(bool, copy=False), axis=None, bitorder="little"))

    def to_array(self) -> NDArray[np.bool_]:
        """Return the boolean array, unpacked."""
        flat = np.unpackbits(self.bits, count=self.size, bitorder="little").view(bool)
        return flat.reshape(self.shape)

    def reshape(self, shape: tuple[int, ...]) -> BitMask:
        """Return the same bits under another shape of the same size."""
        return BitMask(shape, self.bits)

    @property
    def size(self) -> int:
        """Number of elements."""
        return math.prod(self.shape)

    @property
    def nonzeros(self) -> int:
        """Number of set bits."""
        return int(np.bitwise_count(self.bits).sum(dtype=np.int64))

    @property
    def density(self) -> float:
        """Share of elements that are set; 0 for an empty mask."""
        return self.nonzeros / self.size if self.size else 0.0

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, BitMask):
            return NotImplemented
        return self.shape == other.shape and np.array_equal(self.bits, other.bits)

    __hash__ = None  # type: ignore[assignment]  # compared by content, so not hashable by identity

    def __repr__(self) -> str:
        return f"BitMask(shape={self.shape}, density={self.density:.3f})"
