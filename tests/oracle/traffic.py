"""The fewest DRAM bytes of a pass, by exhaustive search over tilings and orders; plain, for tests and benchmarks.

A macro-tile is a block of rows (whole tiles of the array), a block of columns (a tile's at least) and a chunk of K. The
grid (n, y, x) is cut into windows of any images, height and width, the kernel into blocks of any height and width,
channels into blocks of any size; grid and kernel belong to the columns or to K, as the pass has it. Sums stay on chip
until they are done, or chunks of K are outermost and sums leave after each and come back for the next. An operand is
loaded for every macro-tile, or stays for a whole row (column) of blocks where all its K positions fit.
It shares no code with `accelsim.memory`.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import product

import numpy as np
from numpy.typing import NDArray

from accelsim.hardware.model import Hardware
from accelsim.lowering.gemm import Pass
from accelsim.trace.record import OpTrace

Counts = NDArray[np.int64]
KIB = 1024


@dataclass(frozen=True)
class Axis:
    """Grid positions and kernel taps along one axis of an image: position p and tap t read p * step + taps[t]."""

    grid: int
    step: int
    taps: tuple[int, ...]
    source: int


@dataclass(frozen=True)
class Nest:
    """A GEMM of a pass as loops over rows, images, a grid, a kernel and channels.

    Attributes:
        grid_is_k: whether the grid is the reduction and kernel and channels are columns (weight_grad).
    """

    rows: int
    images: int
    y: Axis
    x: Axis
    channels: int
    grid_is_k: bool

    @property
    def a_elements(self) -> int:
        """Elements of operand A."""
        kernel = len(self.y.taps) * len(self.x.taps) * self.channels
        return self.rows * (self.images * self.y.grid * self.x.grid if self.grid_is_k else kernel)

    @property
    def outputs(self) -> int:
        """Elements of the result."""
        kernel = len(self.y.taps) * len(self.x.taps) * self.channels
        return self.rows * (kernel if self.grid_is_k else self.images * self.y.grid * self.x.grid)


@dataclass(frozen=True)
class Room:
    """Bytes that a macro-tile may take: of each buffer, or together; words and sums in bytes."""

    a: float
    b: float
    outputs: float
    together: bool
    word: float
    sum: float
    array_rows: int
    array_cols: int

    @classmethod
    def of(cls, hw: Hardware) -> Room:
        """Half of each buffer of a machine, or half of its one buffer."""
        buffers, precision = hw.memory.buffers, hw.precision
        one = buffers.unified_kib
        kib = (buffers.weight_kib, buffers.input_kib, buffers.output_kib) if one is None else (one, one, one)
        a, b, outputs = (size * KIB / 2 for size in kib)
        word, total = precision.operand_bits / 8, precision.accumulator_bits / 8
        return cls(a, b, outputs, one is not None, word, total, hw.array.rows, hw.array.cols)

    def holds(self, a: Counts | int, b: Counts | int, sums: Counts | int) -> NDArray[np.bool_]:
        """Return whether these numbers of elements of A, of elements of B, and of sums fit the buffers."""
        a_bytes, b_bytes, sum_bytes = a * self.word, b * self.word, sums * self.sum
        if self.together:
            return np.asarray(a_bytes + b_bytes + sum_bytes <= self.a)
        return np.asarray((a_bytes <= self.a) & (b_bytes <= self.b) & (sum_bytes <= self.outputs))


def nests(op: OpTrace, which: Pass) -> Iterator[Nest]:
    """Yield the GEMMs of a pass of a convolution, a stride phase at a time; all groups are alike, one is given."""
    (images, _, *image), (_, _, *response) = op.input.shape, op.output_shape
    outputs, channels, *kernel = op.weight.shape
    outputs //= op.groups
    offsets = [[tap * op.dilation[i] - op.padding[i] for tap in range(kernel[i])] for i in (0, 1)]
    if which != "input_grad":
        y, x = (Axis(response[i], op.stride[i], tuple(offsets[i]), image[i]) for i in (0, 1))
        yield Nest(outputs, images, y, x, channels, which == "weight_grad")
        return
    axes: list[list[Axis]] = [[], []]
    for i in (0, 1):
        for phase in range(min(op.stride[i], image[i])):
            reached = [(phase - o) // op.stride[i] for o in offsets[i] if (phase - o) % op.stride[i] == 0]
            if reached:
                grid = len(range(phase, image[i], op.stride[i]))
                axes[i].append(Axis(grid, 1, tuple(sorted(reached)), response[i]))
    for y, x in product(*axes):
        yield Nest(channels, images, y, x, outputs, False)


def once_bytes(op: OpTrace, word: float) -> float:
    """Bytes of the three tensors of a pass, of the image just what some tap reads; all passes have the same three."""
    (nest,) = nests(op, "forward")
    pixels = math.prod(int(_loaded(axis, len(axis.taps), whole_span=False).every[-1]) for axis in (nest.y, nest.x))
    image = op.groups * nest.images * nest.channels * pixels
    return word * (op.weight.size + image + math.prod(op.output_shape))


@dataclass(frozen=True)
class Rules:
    """What is searched, and how it is counted.

    Attributes:
        even: mappings with equal blocks along each loop only.
        padded: a window at the border counts as many positions as any, though no more than the image has.
    """

    even: bool = False
    padded: bool = False

    def cuts(self, extent: int) -> list[int]:
        """Return the sizes of blocks: those that divide the loop, or one for each number of blocks."""
        return self.sizes(extent) if self.even else _block_sizes(extent)

    def sizes(self, extent: int) -> list[int]:
        """Return those that divide the loop, or all."""
        return [size for size in range(1, extent + 1) if not self.even or extent % size == 0]


ALL = Rules()


def fewest_bytes(op: OpTrace, which: Pass, room: Room, rules: Rules = ALL) -> float:
    """Return the DRAM bytes of the best mapping of a pass."""
    return op.groups * sum(_fewest(nest, room, rules) for nest in nests(op, which))


@dataclass(frozen=True)
class Loaded:
    """Source positions along one axis, for windows of 1, 2, … grid positions and one size of kernel block.

    Attributes:
        every: of all windows and kernel blocks, summed.
        largest: the most of one window and kernel block.
        window: the most of one window, summed over kernel blocks.
        kernel: the most of one kernel block, summed over windows.
        windows, blocks: how many windows and kernel blocks there are.
        positions: grid positions of the largest window.
    """

    every: Counts
    largest: Counts
    window: Counts
    kernel: Counts
    windows: Counts
    blocks: int
    positions: Counts


def _loaded(axis: Axis, block: int, *, whole_span: bool, rules: Rules = ALL) -> Loaded:
    """Count what an axis loads; a span counts what lies between, too, as a line of memory is read through."""
    sizes = rules.sizes(axis.grid)

    def count(sources: set[int]) -> int:
        if rules.padded:
            return min(len(sources), axis.source)
        there = [source for source in sources if 0 <= source < axis.source]
        return max(there) - min(there) + 1 if whole_span and there else len(there)

    columns: list[tuple[int, int, int, int, int]] = []
    blocks = [axis.taps[first : first + block] for first in range(0, len(axis.taps), block)]
    for size in sizes:
        counts = []
        for first in range(0, axis.grid, size):
            positions = range(first, min(first + size, axis.grid))
            read = [{p * axis.step + tap for p in positions for tap in taps} for taps in blocks]
            counts.append([count(sources) for sources in read])
        by_window, by_kernel = [sum(row) for row in counts], [sum(column) for column in zip(*counts, strict=True)]
        columns.append((sum(by_window), max(map(max, counts)), max(by_window), max(by_kernel), len(counts)))
    every, largest, window, kernel, windows = map(np.array, zip(*columns, strict=True))
    return Loaded(every, largest, window, kernel, windows, len(blocks), np.array(sizes))


def _fewest(nest: Nest, room: Room, rules: Rules) -> float:
    cuts = rules.cuts
    kernels = [
        [_loaded(axis, block, whole_span=span, rules=rules) for block in cuts(len(axis.taps))]
        for axis, span in ((nest.y, False), (nest.x, True))
    ]
    heights = sorted({min(tiles * room.array_rows, nest.rows) for tiles in cuts(-(-nest.rows // room.array_rows))})
    taps = len(nest.y.taps), len(nest.x.taps)
    fewest = math.inf
    for (r, y), (s, x) in product(
        *(zip(cuts(count), of, strict=True) for count, of in zip(taps, kernels, strict=True))
    ):
        for rows in heights:
            fewest = min(fewest, _fewest_of(nest, room, rows, r * s, y, x, rules))
    return (fewest + nest.outputs) * room.word


def _fewest_of(nest: Nest, room: Room, rows: int, kernel: int, y: Loaded, x: Loaded, rules: Rules) -> float:
    """Words of A and B, given the rows of a macro-tile and the taps of a kernel block."""
    images = np.array(rules.sizes(nest.images))[:, None, None]
    grid = nest.images * nest.y.grid * nest.x.grid
    window = images * y.positions[:, None] * x.positions
    windows = -(-nest.images // images) * y.windows[:, None] * x.windows
    largest = images * y.largest[:, None] * x.largest  # source positions of a macro-tile
    a, sweep = nest.a_elements, nest.images * y.every[:, None] * x.every * nest.channels
    row_blocks, kernel_blocks = -(-nest.rows // rows), y.blocks * x.blocks
    fewest = math.inf
    for channels in rules.cuts(nest.channels) if nest.grid_is_k else [1]:  # of K, channels are cut as need be
        if nest.grid_is_k:
            column_blocks = np.full(window.shape, kernel_blocks * -(-nest.channels // channels))
            sums, a_part, b_part = rows * kernel * channels, rows * window, largest * channels
            a_all = rows * nest.images * nest.y.grid * nest.x.grid
            b_all = channels * nest.images * y.kernel[:, None] * x.kernel
            chunks = windows
        else:
            column_blocks = windows
            sums, a_part, b_part = rows * window, np.full(window.shape, rows * kernel), largest
            a_all = rows * len(nest.y.taps) * len(nest.x.taps) * nest.channels
            b_all = images * y.window[:, None] * x.window * nest.channels
            most = np.clip(_most_channels(room, a_part, b_part, sums), 1, nest.channels).astype(np.int64)
            chunks = kernel_blocks * -(-nest.channels // most)
        spilled = 2 * (chunks - 1) * nest.outputs * room.sum / room.word
        ways = [
            (room.holds(a_part, b_part, sums), a * column_blocks + sweep * row_blocks),
            (room.holds(a_all, b_part, sums), a + sweep * row_blocks),
            (room.holds(a_part, b_all, sums), a * column_blocks + sweep),
            (room.holds(a_all, b_all, sums), a + sweep * np.where(column_blocks == 1, 1, row_blocks)),
            (room.holds(a_all, b_all, sums), a * (1 if row_blocks == 1 else column_blocks) + sweep),
            (room.holds(a_part, b_part, sums), a + sweep * np.where(column_blocks == 1, 1, row_blocks) + spilled),
            (room.holds(a_part, b_part, sums), a * (1 if row_blocks == 1 else column_blocks) + sweep + spilled),
        ]
        columns = kernel * channels if nest.grid_is_k else window
        all_columns = len(nest.y.taps) * len(nest.x.taps) * nest.channels if nest.grid_is_k else grid
        whole_tile = columns >= min(room.array_cols, all_columns)
        for fits, words in ways:
            fewest = min(fewest, float(np.where(fits & whole_tile, words, math.inf).min()))
    return fewest


def _most_channels(room: Room, a_words: Counts, b_words: Counts, sums: Counts) -> Counts:
    """The most channels of a chunk that fit, of which each takes these words of A and of B."""
    if room.together:
        return np.asarray((room.a - sums * room.sum) // ((a_words + b_words) * room.word))
    return np.asarray(np.minimum(room.a // (a_words * room.word), room.b // (np.maximum(b_words, 1) * room.word)))


def _block_sizes(extent: int) -> list[int]:
    """Return every size that makes another number of blocks; a larger one of as many blocks only takes more room."""
    return sorted({-(-extent // -(-extent // size)) for size in range(1, extent + 1)})
