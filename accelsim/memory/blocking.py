"""How a GEMM is cut into macro-tiles whose operands and outputs fit half of each on-chip buffer.

Every GEMM fits every machine. Operand B is loaded as whole lines of its tensor; where the fewest lines that a
macro-tile reads do not fit (the tall kernels of patch embeddings), its elements are gathered one by one, as the GEMM
has them. What is too large even so goes through its half buffer in portions: a step's operands come, and are
multiplied, one portion of its K positions after the other; outputs leave the array one portion after the other.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import product
from math import ceil
from operator import itemgetter
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from accelsim.hardware.model import Hardware
from accelsim.hardware.parts import Buffers
from accelsim.lowering.footprint import lines_reached
from accelsim.lowering.gemm import Footprint, MaskedGemm

Indices = NDArray[np.int64]
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
        gathered: whether just the elements of B that the GEMM multiplies are loaded, instead of the lines they lie in.
        kernel_rows, block_channels: where K (in weight_grad: the columns) is cut by rows of the kernel and by
            channels, how many of each a block has; 0: it is cut in runs of positions.
        window_width: positions of each grid line that a block of columns has; 0: it is a run of columns.
        stays: whether all K positions of the operand that `order` keeps stay on chip while the other one's blocks pass.
        a_portions, b_portions, output_portions: portions in which a step's part of A, of B and a macro-tile's outputs
            go through their half buffers; 1 where they fit. An operand in several does not stay for the next step.
    """

    row_tiles: int
    columns: int
    chunk: int
    order: Order
    gathered: bool = False
    kernel_rows: int = 0
    block_channels: int = 0
    window_width: int = 0
    stays: bool = False
    a_portions: int = 1
    b_portions: int = 1
    output_portions: int = 1

    @property
    def portions(self) -> int:
        """Portions of a step's K positions: each loads and multiplies its share."""
        return max(self.a_portions, self.b_portions)


class Lines:
    """Source lines that runs of grid lines read, by prefix sums; every line of a run counts once."""

    def __init__(self, grid_width: int, first: Indices, last: Indices, line_nonzeros: Indices) -> None:
        self.grid_width, self.grid_lines = grid_width, first.size
        nonzeros = np.append(0, np.cumsum(line_nonzeros))
        reached = np.maximum.accumulate(np.append(0, last))[:-1]
        fresh = np.minimum(np.maximum(first, reached), last)
        self._new_lines = np.append(0, np.cumsum(last - fresh))
        self._new_nonzeros = np.append(0, np.cumsum(nonzeros[last] - nonzeros[fresh]))
        self._own_lines = last - first
        self._own_nonzeros = nonzeros[last] - nonzeros[first]

    def read_by(self, start: Indices, stop: Indices) -> tuple[Indices, Indices]:
        """Lines, and non-zeros in them, that each of several runs [start, stop) of grid positions reads."""
        low, high = start // self.grid_width, -(-stop // self.grid_width)
        lines = self._own_lines[low] + self._new_lines[high] - self._new_lines[low + 1]
        nonzeros = self._own_nonzeros[low] + self._new_nonzeros[high] - self._new_nonzeros[low + 1]
        return lines, nonzeros

    def most_read(self, positions: int) -> int:
        """The most lines that any run of this many grid positions reads."""
        run = min(-(-(positions - 1) // self.grid_width) + 1, self.grid_lines)
        starts = np.arange(self.grid_lines - run + 1)
        return int((self._own_lines[starts] + self._new_lines[starts + run] - self._new_lines[starts + 1]).max())

    @property
    def tallest(self) -> int:
        """The most lines that one grid line reads."""
        return int(self._own_lines.max())

    @property
    def all_lines(self) -> int:
        """Lines that the grid reads at all."""
        return int(self._new_lines[-1])


def lines_of(footprint: Footprint, stack: int = 1, kernel_rows: slice | None = None) -> Lines:
    """Return the lines, with their non-zeros, that operand B is gathered from, of GEMMs that are stacked.

    Args:
        kernel_rows: the rows of the kernel that read them; None: all.
    """
    first, last = footprint.first, footprint.last
    if kernel_rows is not None:
        image = np.arange(footprint.images)[:, None] * footprint.taps.image[0]
        reached = lines_reached(footprint.taps, kernel_rows.start, kernel_rows.stop)
        first, last = ((image + lines).ravel() for lines in reached)
    if stack > 1:  # one after another, like images
        own = np.arange(stack)[:, None] * footprint.lines
        first, last = (own + first).ravel(), (own + last).ravel()
    return Lines(footprint.grid_width, first, last, footprint.line_nonzeros)


@dataclass(frozen=True)
class Problem:
    """All that a blocking depends on: shapes, not masks, so that layers, steps and machines share solutions.

    Attributes:
        images, height: of operand B's source tensor.
        first, last: the source lines that each grid line of one image reads; all images are read in the same way, and
            solutions are kept, so a batch must not make them large.
    """

    rows: int
    cols: int
    operand_bits: int
    accumulator_bits: int
    buffers: Buffers
    m: int
    n: int
    k: int
    channels: int
    line_elements: int
    along: Literal["n", "k"]
    grid_width: int
    images: int
    height: int
    first: tuple[int, ...]
    last: tuple[int, ...]

    @classmethod
    def of(cls, hw: Hardware, gemm: MaskedGemm) -> Problem:
        """Pose the problem of one GEMM on one machine."""
        footprint = gemm.footprint
        return cls(
            rows=hw.array.rows,
            cols=hw.array.cols,
            operand_bits=hw.precision.operand_bits,
            accumulator_bits=hw.precision.accumulator_bits,
            buffers=hw.memory.buffers,
            m=gemm.m,
            n=gemm.n,
            k=gemm.k,
            channels=footprint.channels,
            line_elements=footprint.line_elements,
            along=footprint.along,
            grid_width=footprint.grid_width,
            images=footprint.images,
            height=footprint.lines // footprint.images,
            first=tuple(footprint.first[: footprint.grid_lines // footprint.images].tolist()),
            last=tuple(footprint.last[: footprint.grid_lines // footprint.images].tolist()),
        )

    @property
    def row_tiles(self) -> int:
        """Tiles along M."""
        return -(-self.m // self.rows)

    def lines(self) -> Lines:
        """Return the lines of operand B, their non-zeros left out."""
        image = np.arange(self.images)[:, None] * self.height
        first, last = (image + np.array(lines) for lines in (self.first, self.last))
        return Lines(self.grid_width, first.ravel(), last.ravel(), np.zeros(int(last.max()), np.int64))

    def b_fraction(self, columns: int, chunk: int) -> tuple[int, int]:
        """Share of each line's elements that a macro-tile reads, as a fraction.

        Along the columns of a GEMM (forward, input_grad) a chunk of K reads its share of taps and channels; along K
        (weight_grad) a block of columns reads its share of the channels.
        """
        return (chunk, self.k) if self.along == "n" else (min(columns, self.channels), self.channels)

    def half_buffers(self) -> tuple[float, float, float]:
        """Bytes of half of each buffer: operand A's, operand B's, the outputs'."""
        buffers = self.buffers
        return buffers.weight_kib * KIB / 2, buffers.input_kib * KIB / 2, buffers.output_kib * KIB / 2

    def needed_bytes(
        self, lines: Lines, row_tiles: int, columns: int, chunk: int, gathered: bool = False
    ) -> tuple[float, float, float]:
        """Bytes that one macro-tile takes in each buffer; on-chip words are not compressed."""
        rows = min(row_tiles * self.rows, self.m)
        share, whole = self.b_fraction(columns, chunk)
        elements = columns * chunk
        if not gathered:
            read = lines.most_read(columns if self.along == "n" else chunk)
            elements = -(-read * self.line_elements * share // whole)
        word = self.operand_bits / 8
        return rows * chunk * word, elements * word, rows * columns * self.accumulator_bits / 8


def choose_blocking(hw: Hardware, gemm: MaskedGemm) -> Blocking:
    """Choose the macro-tile that moves the least, estimated on uncompressed words; it does not depend on the masks."""
    return _solve(Problem.of(hw, gemm))


@lru_cache(maxsize=4096)
def _solve(problem: Problem) -> Blocking:
    lines = problem.lines()
    for gathered in (False, True):
        whole = [
            (*size, chunk)
            for size in _tile_sizes(problem)
            if (chunk := _largest_chunk(problem, lines, *size, gathered))
        ]
        if blockings := [Blocking(*extents, order, gathered) for extents in whole for order in ORDERS]:
            return _least_moving(problem, lines, blockings)
    return _fewest_portions(problem, lines, (False, True))


def _tile_sizes(problem: Problem) -> list[tuple[int, int]]:
    """Row tiles and columns of macro-tiles: doublings."""
    return [
        (row_tiles, min(column_tiles * problem.cols, problem.n))
        for row_tiles in _doublings(problem.row_tiles)
        for column_tiles in _doublings(-(-problem.n // problem.cols))
    ]


def _fewest_portions(problem: Problem, lines: Lines, gathered: Sequence[bool]) -> Blocking:
    ways = product(_tile_sizes(problem), ORDERS, gathered)
    blockings = [_in_portions(problem, lines, *size, order, one_by_one) for size, order, one_by_one in ways]
    fewest = min(_cuts(blocking) for blocking in blockings)
    return _least_moving(problem, lines, [blocking for blocking in blockings if _cuts(blocking) == fewest])


def cut_in_portions(hw: Hardware, gemm: MaskedGemm) -> Blocking:
    """Cut a GEMM of which no macro-tile fits even if B is gathered; what is too large comes in portions."""
    problem = Problem.of(hw, gemm)
    return _fewest_portions(problem, problem.lines(), (True,))


def _least_moving(problem: Problem, lines: Lines, blockings: Sequence[Blocking]) -> Blocking:
    return min((_scored(problem, lines, blocking) for blocking in blockings), key=itemgetter(0, 1))[2]


def _in_portions(
    problem: Problem, lines: Lines, row_tiles: int, columns: int, order: Order, gathered: bool
) -> Blocking:
    """Cut again what does not fit with the fewest K positions."""
    chunk = min(CHUNK, problem.k)
    needs = problem.needed_bytes(lines, row_tiles, columns, chunk, gathered)
    portions = (ceil(need / half) for need, half in zip(needs, problem.half_buffers(), strict=True))
    a_portions, b_portions, output_portions = portions
    return Blocking(
        row_tiles,
        columns,
        chunk,
        order,
        gathered,
        a_portions=a_portions,
        b_portions=b_portions,
        output_portions=output_portions,
    )


def _cuts(blocking: Blocking) -> tuple[int, int]:
    return blocking.output_portions, blocking.portions


def _scored(problem: Problem, lines: Lines, blocking: Blocking) -> tuple[float, int, Blocking]:
    """Elements moved, with the share of them that the first load and the last store leave uncovered; and steps."""
    row_blocks = -(-problem.row_tiles // blocking.row_tiles)
    column_blocks = -(-problem.n // blocking.columns)
    chunks = -(-problem.k // blocking.chunk)
    weights = problem.m * problem.k
    images = lines.all_lines * problem.line_elements
    if blocking.gathered:
        images, images_again = problem.n * problem.k, row_blocks
    elif problem.along == "n":
        images += (column_blocks - 1) * problem.line_elements * lines.tallest
        images_again = row_blocks
    else:
        share, whole = problem.b_fraction(blocking.columns, blocking.chunk)
        images_again = row_blocks * max(1, column_blocks * share // whole)
    if chunks * blocking.portions > 1:
        moved = weights * column_blocks + images * images_again
    elif blocking.order == "rows":
        moved = weights + images * (images_again if column_blocks > 1 else images_again // row_blocks)
    else:
        moved = weights * (column_blocks if row_blocks > 1 else 1) + images * (images_again // row_blocks)
    moved += problem.m * problem.n
    steps = row_blocks * column_blocks * chunks
    return moved * (1 + 1 / min(steps, _ENOUGH_STEPS)), steps, blocking


def _largest_chunk(problem: Problem, lines: Lines, row_tiles: int, columns: int, gathered: bool) -> int:
    """Most K positions that fit together with this many rows and columns; 0 if none do."""
    have = problem.half_buffers()
    low, high = 0, -(-problem.k // CHUNK)
    while low < high:
        middle = (low + high + 1) // 2
        needs = problem.needed_bytes(lines, row_tiles, columns, min(middle * CHUNK, problem.k), gathered)
        if all(need <= room for need, room in zip(needs, have, strict=True)):
            low = middle
        else:
            high = middle - 1
    return min(low * CHUNK, problem.k)


def _doublings(most: int) -> list[int]:
    """1, 2, 4, … and `most`."""
    return sorted({min(1 << power, most) for power in range(most.bit_length() + 1)})
