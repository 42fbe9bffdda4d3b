"""How a GEMM is cut into macro-tiles whose operands and outputs fit half of each on-chip buffer."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np

from accelsim.errors import HardwareError
from accelsim.hardware.model import Hardware
from accelsim.lowering.gemm import Footprint, MaskedGemm

Order = Literal["rows", "columns"]
ORDERS: tuple[Order, ...] = ("rows", "columns")
CHUNK = 64  # K is cut at multiples of this many positions
KIB = 1024
_ENOUGH_STEPS = 64  # more steps than this hide no more of the first load and the last store


@dataclass(frozen=True)
class Blocking:
    """A macro-tile: `row_tiles` tiles of A's rows, `columns` columns of B, `chunk` positions of K.

    Attributes:
        order: which blocks the outer loop walks; the other operand is fetched again for each of them.
    """

    row_tiles: int
    columns: int
    chunk: int
    order: Order


class Lines:
    """Source lines behind runs of grid lines, by prefix sums; every line of a run counts once."""

    def __init__(self, footprint: Footprint) -> None:
        self.footprint = footprint
        first, last = footprint.first, footprint.last
        nonzeros = np.append(0, np.cumsum(footprint.line_nonzeros))
        reached = np.maximum.accumulate(np.append(0, last))[:-1]
        fresh = np.minimum(np.maximum(first, reached), last)
        self._new_lines = np.append(0, np.cumsum(last - fresh))
        self._new_nonzeros = np.append(0, np.cumsum(nonzeros[last] - nonzeros[fresh]))
        self._own_lines = last - first
        self._own_nonzeros = nonzeros[last] - nonzeros[first]

    def behind(self, start: int, stop: int) -> tuple[int, int]:
        """Lines, and non-zeros in them, behind the grid positions [start, stop)."""
        low, high = start // self.footprint.grid_width, -(-stop // self.footprint.grid_width)
        lines = self._own_lines[low] + self._new_lines[high] - self._new_lines[low + 1]
        nonzeros = self._own_nonzeros[low] + self._new_nonzeros[high] - self._new_nonzeros[low + 1]
        return int(lines), int(nonzeros)

    def most_behind(self, positions: int) -> int:
        """The most lines behind any run of this many grid positions."""
        run = min(-(-(positions - 1) // self.footprint.grid_width) + 1, self.footprint.grid_lines)
        starts = np.arange(self.footprint.grid_lines - run + 1)
        return int((self._own_lines[starts] + self._new_lines[starts + run] - self._new_lines[starts + 1]).max())

    @property
    def tallest(self) -> int:
        """The most lines behind one grid line."""
        return int(self._own_lines.max())

    @property
    def all_lines(self) -> int:
        """Lines that the grid reads at all."""
        return int(self._new_lines[-1])


def b_fraction(gemm: MaskedGemm, columns: int, chunk: int) -> tuple[int, int]:
    """Share of each line's elements that a macro-tile reads, as a fraction.

    Along the columns of a GEMM (forward, input_grad) a chunk of K reads its share of taps and channels; along K
    (weight_grad) a block of columns reads its share of the channels.
    """
    if gemm.footprint.along == "n":
        return chunk, gemm.k
    return min(columns, gemm.footprint.channels), gemm.footprint.channels


def choose_blocking(hw: Hardware, gemm: MaskedGemm, lines: Lines) -> Blocking:
    """Choose the macro-tile that moves the least, estimated on uncompressed words; it does not depend on the masks.

    Raises:
        HardwareError: a buffer does not hold one tile; says which and how large it must be.
    """
    rows, cols = hw.array.rows, hw.array.cols
    row_tiles = -(-gemm.m // rows)
    candidates = []
    for taken_rows in _doublings(row_tiles):
        for taken_columns in _doublings(-(-gemm.n // cols)):
            columns = min(taken_columns * cols, gemm.n)
            chunk = _largest_chunk(hw, gemm, lines, taken_rows, columns)
            if chunk:
                for order in ORDERS:
                    candidates.append(_scored(gemm, lines, Blocking(taken_rows, columns, chunk, order), row_tiles))
    if not candidates:
        _refuse(hw, gemm, lines)
    return min(candidates, key=lambda candidate: candidate[:2])[2]


def _scored(gemm: MaskedGemm, lines: Lines, blocking: Blocking, row_tiles: int) -> tuple[float, int, Blocking]:
    """Elements moved, with the share of them that the first load and the last store leave uncovered; and steps."""
    row_blocks = -(-row_tiles // blocking.row_tiles)
    column_blocks = -(-gemm.n // blocking.columns)
    chunks = -(-gemm.k // blocking.chunk)
    weights = gemm.m * gemm.k
    images = lines.all_lines * gemm.footprint.line_elements
    if gemm.footprint.along == "n":
        images += (column_blocks - 1) * gemm.footprint.line_elements * lines.tallest
        images_again = row_blocks
    else:
        share, whole = b_fraction(gemm, blocking.columns, blocking.chunk)
        images_again = row_blocks * max(1, column_blocks * share // whole)
    if chunks > 1:
        moved = weights * column_blocks + images * images_again
    elif blocking.order == "rows":
        moved = weights + images * (images_again if column_blocks > 1 else images_again // row_blocks)
    else:
        moved = weights * (column_blocks if row_blocks > 1 else 1) + images * (images_again // row_blocks)
    moved += gemm.m * gemm.n
    steps = row_blocks * column_blocks * chunks
    return moved * (1 + 1 / min(steps, _ENOUGH_STEPS)), steps, blocking


def _largest_chunk(hw: Hardware, gemm: MaskedGemm, lines: Lines, row_tiles: int, columns: int) -> int:
    """Most K positions that fit beside this many rows and columns; 0 if none do."""
    low, high = 0, -(-gemm.k // CHUNK)
    while low < high:
        middle = (low + high + 1) // 2
        needs = needed_bytes(hw, gemm, lines, row_tiles, columns, min(middle * CHUNK, gemm.k))
        if all(need <= have for need, have in zip(needs, half_buffers(hw), strict=True)):
            low = middle
        else:
            high = middle - 1
    return min(low * CHUNK, gemm.k)


def half_buffers(hw: Hardware) -> tuple[float, float, float]:
    """Bytes of half of each buffer: operand A's, operand B's, the outputs'."""
    buffers = hw.memory.buffers
    return buffers.weight_kib * KIB / 2, buffers.input_kib * KIB / 2, buffers.output_kib * KIB / 2


def needed_bytes(
    hw: Hardware, gemm: MaskedGemm, lines: Lines, row_tiles: int, columns: int, chunk: int
) -> tuple[float, float, float]:
    """Bytes that one macro-tile takes in each buffer; on-chip words are not compressed."""
    rows = min(row_tiles * hw.array.rows, gemm.m)
    share, whole = b_fraction(gemm, columns, chunk)
    behind = lines.most_behind(columns if gemm.footprint.along == "n" else chunk)
    elements = -(-behind * gemm.footprint.line_elements * share // whole)
    word = hw.precision.operand_bits / 8
    return rows * chunk * word, elements * word, rows * columns * hw.precision.accumulator_bits / 8


def _refuse(hw: Hardware, gemm: MaskedGemm, lines: Lines) -> None:
    needs = needed_bytes(hw, gemm, lines, 1, min(hw.array.cols, gemm.n), min(CHUNK, gemm.k))
    keys = ("weight_kib", "input_kib", "output_kib")
    for key, need, have in zip(keys, needs, half_buffers(hw), strict=True):
        if need > have:
            raise HardwareError(
                f"{hw.name}: memory.buffers.{key} is {have * 2 / KIB:g}, too small for one tile of a GEMM of"
                f" m={gemm.m}, n={gemm.n}, k={gemm.k}; it needs at least {int(np.ceil(need * 2 / KIB))}"
            )


def _doublings(most: int) -> list[int]:
    """1, 2, 4, … and `most`."""
    return sorted({min(1 << power, most) for power in range(most.bit_length() + 1)})
