"""The cuts of a GEMM that may move the fewest bytes, found from its shape alone: `mapping.search: best`.

A macro-tile has whole tiles of the array. Along the grid of positions (the columns of forward and input_grad, K of
weight_grad) it is a run; along kernel and channels (the other axis) some rows of the kernel and some channels, whose
lines are loaded exactly as read. Every macro-tile loads both operands, or all K positions of A's rows (of B's columns)
stay on chip while the columns (rows) pass.

Bytes are a weighted sum of the words of A and of B, with bits per word that depend on the masks. So whatever the masks
are, the cut of the fewest bytes is among those that no other cut beats in both. They are few; `accelsim.memory.choose`
compares them.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from accelsim.lowering.footprint import pixels_reached
from accelsim.memory.blocking import CHUNK, Blocking, Order
from accelsim.memory.shape import Shape

Integers = NDArray[np.int64]
_ENOUGH = 16  # steps that hide the first load and the last store well enough
_MANY = 64  # sizes of a block: up to here all are tried, of more those that make another number of blocks


@dataclass(frozen=True)
class Candidate:
    """A cut; the words of each operand that it loads and its steps, if every output must be computed."""

    blocking: Blocking
    a_words: int
    b_words: int
    steps: int


@lru_cache(maxsize=4096)
def candidates(shape: Shape) -> tuple[Candidate, ...]:
    """Return the cuts of which no other loads fewer words of both operands, from the least of A on; none may fit.

    Of cuts that load as many words there are up to two: of the fewest steps, and of the fewest that hide all but a
    little of the first load and the last store.
    """
    tables = [table for table in _tables(shape) if table.a_words.size]
    if not tables:
        return ()
    a_words, b_words, steps = (
        np.concatenate([getattr(t, name) for t in tables]) for name in ("a_words", "b_words", "steps")
    )
    starts = np.cumsum([0, *(table.a_words.size for table in tables)])
    hopeful = _hopeful(a_words, b_words)
    order = hopeful[np.lexsort((steps[hopeful], b_words[hopeful], a_words[hopeful]))]
    least = np.minimum.accumulate(b_words[order])
    firsts = np.flatnonzero(np.append(True, least[1:] < least[:-1]))
    found = []
    for first in firsts.tolist():
        alike = order[(a_words[order] == a_words[order[first]]) & (b_words[order] == least[first])]
        enough = alike[np.searchsorted(steps[alike], _ENOUGH) :]
        for place in {int(alike[0]): None} | {int(place): None for place in enough[:1]}:
            number = int(np.searchsorted(starts, place, side="right")) - 1
            blocking = tables[number].blocking(place - int(starts[number]))
            found.append(Candidate(blocking, int(a_words[place]), int(b_words[place]), int(steps[place])))
    return tuple(found)


def _hopeful(a_words: Integers, b_words: Integers) -> Integers:
    """Return all places but most of those where others load less: it takes less time than to sort them all."""
    places = np.arange(a_words.size)
    for share in (0.5, 0.1, 0.9, 0.001, 0.999):
        a, b = a_words[places], b_words[places]
        best = int(np.argmin(share * a + (1 - share) * b))
        places = places[(a < a[best]) | (b < b[best]) | ((a == a[best]) & (b == b[best]))]
    return places


@dataclass(frozen=True)
class _Table:
    """Cuts of one kind that fit: int64 [cuts].

    Attributes:
        places: where they are in the arrays of `cuts`.
    """

    cuts: _Cuts
    places: Integers
    a_words: Integers
    b_words: Integers
    steps: Integers
    order: Order
    stays: bool

    def blocking(self, number: int) -> Blocking:
        cuts, place = self.cuts, int(self.places[number])
        parts = (cuts.row_tiles, cuts.columns, cuts.chunk, cuts.channels, cuts.window_width)
        row_tiles, columns, chunk, channels, width = (
            int(np.broadcast_to(part, cuts.shape).flat[place]) for part in parts
        )
        return Blocking(
            row_tiles, columns, chunk, self.order, cuts.gathered, cuts.kernel_rows, channels, width, self.stays
        )


@dataclass(frozen=True)
class _Cuts:
    """Macro-tiles of rows x columns x chunks of one kind; arrays that broadcast against each other.

    Attributes:
        row_tiles, columns, chunk, channels, window_width: of a macro-tile, see `Blocking`.
        row_blocks, column_blocks: how many there are.
        a_part, b_part, a_all, b_all: words that one macro-tile takes, of its chunk and of all K positions.
        sums: outputs of a macro-tile.
        a_sweep, b_sweep: words of each operand, loaded once for each chunk and block of its own.
        chunks: of K.
    """

    row_tiles: Integers
    columns: Integers
    chunk: Integers
    channels: Integers
    window_width: Integers
    row_blocks: Integers
    column_blocks: Integers
    a_part: Integers
    b_part: Integers
    a_all: Integers
    b_all: Integers
    sums: Integers
    a_sweep: Integers
    b_sweep: Integers
    chunks: Integers
    kernel_rows: int
    gathered: bool

    def tables(self, room: tuple[int, int, int]) -> Iterator[_Table]:
        """Yield those that fit, by what stays."""
        a_room, b_room, sum_room = room
        fits = np.broadcast_to(self.sums <= sum_room, self.shape)
        a_fits, b_fits = self.a_all <= a_room, self.b_all <= b_room
        parts = fits & (self.a_part <= a_room) & (self.b_part <= b_room)
        one = self.chunks == 1
        a_again, b_again = self.a_sweep * self.column_blocks, self.b_sweep * self.row_blocks
        once_b, once_a = one & (self.column_blocks == 1), one & (self.row_blocks == 1)
        yield self._table(parts & ~one, a_again, b_again, "rows", stays=False)
        b_words = np.where(once_b, self.b_sweep, b_again)
        yield self._table(parts & a_fits, self.a_sweep, b_words, "rows", stays=True)
        a_words = np.where(once_a, self.a_sweep, a_again)
        yield self._table(parts & b_fits, a_words, self.b_sweep, "columns", stays=True)

    @property
    def shape(self) -> tuple[int, ...]:
        """Of the arrays together."""
        return np.broadcast_shapes(self.sums.shape, self.a_part.shape, self.b_part.shape)

    def _table(self, fits: NDArray[np.bool_], a: Integers, b: Integers, order: Order, *, stays: bool) -> _Table:
        places = np.flatnonzero(fits)
        if not places.size:
            return _Table(self, places, places, places, places, order, stays)
        steps = self.row_blocks * self.column_blocks * self.chunks
        a, b, steps = (np.broadcast_to(part, fits.shape).ravel()[places] for part in (a, b, steps))
        return _Table(self, places, a, b, steps, order, stays)


def _tables(shape: Shape) -> Iterator[_Table]:
    of_lines = _along_k if shape.grid_is_k else _along_columns
    for cuts in (*of_lines(shape), *_gathered(shape)):
        yield from cuts.tables(shape.room)


@dataclass(frozen=True)
class _Windows:
    """Blocks of columns: runs, or of each line of a run the same part; int64 [windows].

    Attributes:
        run, columns: positions of the run, and those of them that a block has.
        width: positions of each line; 0: all.
        parts: blocks of a run.
        pixels, most_pixels: of each source line, that all parts of a run read together, and the most of one.
    """

    run: Integers
    columns: Integers
    width: Integers
    parts: Integers
    pixels: Integers
    most_pixels: Integers


def _windows(shape: Shape, most: int) -> _Windows:
    """Return the blocks of no more than `most` columns; those narrower than a line only where kernels overlap."""
    runs = _column_runs(shape, most)
    line, ones = shape.image[1], np.ones_like(runs)
    columns = [(runs, runs, 0 * ones, ones, line * ones, line * ones)]
    if len(shape.offset_y) * len(shape.offset_x) > 1:
        heights = _fine_sizes(shape.images * shape.grid[0])
        for width in _sizes(shape.grid[1])[:-1].tolist():
            starts = np.arange(0, shape.grid[1], width)
            pixels = pixels_reached(shape.taps, starts, np.minimum(starts + width, shape.grid[1]))
            fitting = heights[heights * width <= most]
            ones = np.ones_like(fitting)
            amounts = (width, starts.size, pixels.sum(), pixels.max())
            columns.append((fitting * shape.grid[1], fitting * width, *(ones * amount for amount in amounts)))
    return _Windows(*map(np.concatenate, zip(*columns, strict=True)))


def _along_columns(shape: Shape) -> Iterator[_Cuts]:
    """Columns are windows of grid positions; K is cut by rows of the kernel and by channels."""
    a_room, b_room, sum_room = shape.room
    row_tiles, rows = _row_blocks(shape)
    windows = _windows(shape, sum_room // min(shape.rows, shape.m))
    if not windows.run.size:
        return
    for kernel_rows in _sizes(len(shape.offset_y)).tolist():
        loads = _run_lines(shape, windows.run, kernel_rows)
        taps = kernel_rows * len(shape.offset_x)
        largest = loads.largest * windows.most_pixels
        room = np.minimum(a_room // (rows * taps), b_room // np.maximum(largest, 1))
        blocks = len(range(0, len(shape.offset_y), kernel_rows))
        # Smaller chunks load as many words, but the first one sooner.
        for most in dict.fromkeys((shape.channels, -(-shape.channels // 4))):
            channels = np.maximum(np.minimum(room, most), 1)
            yield _Cuts(
                row_tiles=row_tiles,
                columns=windows.columns,
                chunk=taps * channels,
                channels=channels,
                window_width=windows.width,
                row_blocks=-(-shape.m // rows),
                column_blocks=-(-shape.n // windows.run) * windows.parts,
                a_part=rows * taps * channels,
                b_part=largest * channels,
                a_all=rows * shape.k,
                b_all=loads.run * windows.most_pixels * shape.channels,
                sums=rows * windows.columns,
                a_sweep=np.array(shape.m * shape.k),
                b_sweep=loads.every * windows.pixels * shape.channels,
                chunks=blocks * -(-shape.channels // channels),
                kernel_rows=kernel_rows,
                gathered=False,
            )


def _along_k(shape: Shape) -> Iterator[_Cuts]:
    """K is cut in runs of grid lines; columns by rows of the kernel and by channels."""
    a_room, b_room, _ = shape.room
    row_tiles, rows = _row_blocks(shape)
    channels = _sizes(shape.channels)
    width = shape.grid[1]
    grid_lines = shape.images * shape.grid[0]
    runs = np.union1d(_sizes(grid_lines), np.arange(shape.grid[0], grid_lines + 1, shape.grid[0])) * width
    for kernel_rows in _sizes(len(shape.offset_y)).tolist():
        loads = _run_lines(shape, runs, kernel_rows)
        least = np.minimum.accumulate(loads.every)
        best = np.maximum.accumulate(np.where(loads.every == least, np.arange(runs.size), 0))  # of runs up to each
        line = shape.image[1]
        blocks = len(range(0, len(shape.offset_y), kernel_rows))
        a_most = np.searchsorted(runs, a_room // rows, side="right") - 1
        b_most = np.searchsorted(np.maximum.accumulate(loads.largest), b_room // (line * channels), side="right") - 1
        for most in (np.minimum(a_most, b_most), np.minimum(a_most, b_most) // 2):
            run = best[np.maximum(most, 0)]
            yield _Cuts(
                row_tiles=row_tiles,
                columns=kernel_rows * len(shape.offset_x) * channels,
                chunk=runs[run],
                channels=channels,
                window_width=np.array(0),
                row_blocks=-(-shape.m // rows),
                column_blocks=blocks * -(-shape.channels // channels),
                a_part=rows * runs[run],
                b_part=loads.largest[run] * line * channels,
                a_all=rows * shape.k,
                b_all=loads.kernel[run] * line * channels,
                sums=rows * kernel_rows * len(shape.offset_x) * channels,
                a_sweep=np.array(shape.m * shape.k),
                b_sweep=loads.every[run] * line * shape.channels,
                chunks=-(-shape.k // runs[run]),
                kernel_rows=kernel_rows,
                gathered=False,
            )


def _gathered(shape: Shape) -> Iterator[_Cuts]:
    """B's elements are loaded as the GEMM has them, one by one; K is cut in runs."""
    a_room, b_room, sum_room = shape.room
    row_tiles, rows = _row_blocks(shape)
    columns = _column_runs(shape, min(sum_room // min(shape.rows, shape.m), b_room))
    row_tiles, rows = row_tiles[:, None], rows[:, None]
    room = np.minimum(a_room // rows, b_room // columns) // CHUNK * CHUNK
    chunk = np.maximum(np.minimum(room, shape.k), min(CHUNK, shape.k))
    yield _Cuts(
        row_tiles=row_tiles,
        columns=columns,
        chunk=chunk,
        channels=np.array(0),
        window_width=np.array(0),
        row_blocks=-(-shape.m // rows),
        column_blocks=-(-shape.n // columns),
        a_part=rows * chunk,
        b_part=columns * chunk,
        a_all=rows * shape.k,
        b_all=columns * shape.k,
        sums=rows * columns,
        a_sweep=np.array(shape.m * shape.k),
        b_sweep=np.array(shape.n * shape.k),
        chunks=-(-shape.k // chunk),
        kernel_rows=0,
        gathered=True,
    )


@dataclass(frozen=True)
class _RunLines:
    """Lines that runs of grid positions read, for each size of run; int64 [sizes].

    Attributes:
        every: of all runs and blocks of rows of the kernel.
        largest: the most of one run and block.
        run: the most of one run, of all blocks.
        kernel: the most of one block, of all runs.
    """

    every: Integers
    largest: Integers
    run: Integers
    kernel: Integers


def _run_lines(shape: Shape, sizes: Integers, kernel_rows: int) -> _RunLines:
    extent = shape.k if shape.grid_is_k else shape.n
    sizes, which = np.unique(sizes, return_inverse=True)
    counts = -(-extent // sizes)
    first = np.cumsum(counts) - counts
    starts = (np.arange(int(counts.sum())) - np.repeat(first, counts)) * np.repeat(sizes, counts)
    stops = np.minimum(starts + np.repeat(sizes, counts), extent)
    taps = len(shape.offset_y)
    read = [
        shape.lines(low, min(low + kernel_rows, taps)).read_by(starts, stops)[0] for low in range(0, taps, kernel_rows)
    ]
    runs = sum(read)
    return _RunLines(
        every=np.add.reduceat(runs, first)[which],
        largest=np.max([np.maximum.reduceat(part, first) for part in read], axis=0)[which],
        run=np.maximum.reduceat(runs, first)[which],
        kernel=np.max([np.add.reduceat(part, first) for part in read], axis=0)[which],
    )


def _row_blocks(shape: Shape) -> tuple[Integers, Integers]:
    """Row tiles of a macro-tile, and rows."""
    tiles = _sizes(-(-shape.m // shape.rows))
    return tiles[:, None], np.minimum(tiles * shape.rows, shape.m)[:, None]


def _column_runs(shape: Shape, most: int) -> Integers:
    """Columns of a macro-tile, no more than `most`: whole tiles, or whole lines of the grid."""
    units = [(shape.cols, -(-shape.n // shape.cols))]
    if not shape.grid_is_k:
        units.append((shape.grid[1], shape.images * shape.grid[0]))
    columns = np.concatenate([_fine_sizes(count) * size for size, count in units])
    columns = np.unique(np.minimum(columns, shape.n))
    return columns[columns <= most]


@lru_cache(maxsize=1024)
def _fine_sizes(extent: int) -> Integers:
    """Return those of `_sizes`, and all small ones."""
    return np.union1d(_sizes(extent), np.arange(1, min(_MANY, extent) + 1))


@lru_cache(maxsize=1024)
def _sizes(extent: int) -> Integers:
    """Return the least size of a block for each number of blocks."""
    return np.unique(-(-extent // np.arange(1, extent + 1)))
