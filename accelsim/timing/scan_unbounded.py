"""Scanning PEs whose queues never fill: wide windows, and queues that take all pairs of an output.

No scan pointer ever waits then, whoever shares it: every group scans a window in each cycle, and a PE that is left with
q pairs after the last window takes ceil(q / L) cycles more. So a window is one step, whatever its width and the depth
of the queue; columns of a tile lie side by side, for vector instructions.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from accelsim.compile import kernel, popcount
from accelsim.hardware.model import Hardware
from accelsim.lowering.bits import WORD, Words
from accelsim.timing.scan_kernels import BUSY, CYCLES, PAIRS, POSITIONS, SCANNED, STARVED, WORKING, Totals
from accelsim.timing.tiles import Tiling
from accelsim.timing.windows import cut_windows, window_sizes, words_a_window

_WIDE = 128
Integers = NDArray[np.int64]


class Windows(NamedTuple):
    """One operand's windows.

    Attributes:
        true: its non-zeros, words [rows, windows x words a window]; the last window may have fewer words.
        shown: what the scanner sees: the same, or one row of ones for a tensor whose zeros it does not skip.
        seen: whether the two are the same.
        drop: whether windows without a non-zero are not streamed.
    """

    true: Words
    shown: Words
    seen: bool
    drop: bool


def may_fill(hw: Hardware, k: int) -> bool:
    """Whether this is no machine for `scan_unbounded`: its queues may fill, or its windows are narrow.

    Windows count as narrow for which the code of `block_code` is faster.
    """
    return hw.skipping.fifo_depth < k or hw.skipping.scan_width < _WIDE


def cut(hw: Hardware, kind: str, rows: Words, k: int) -> Windows:
    """Cut an operand into windows."""
    width, seen = hw.skipping.scan_width, kind in hw.skipping.tensors
    ones = np.full((1, -(-k // WORD)), ~np.uint64(0))
    if k % WORD:
        ones[0, -1] = (1 << k % WORD) - 1
    true, shown = (words if width % WORD == 0 else cut_windows(words, k, width) for words in (rows, ones))
    return Windows(true, true if seen else shown, seen, kind in hw.skipping.blocks)


def scan_unbounded(hw: Hardware, k: int, a: Windows, b: Windows, tiling: Tiling, totals: Totals) -> None:
    """Run all tiles of a GEMM; see `scan_kernels.Totals`."""
    sizes = np.array(window_sizes(k, hw.skipping.scan_width))
    array, sync, parts = hw.array, hw.skipping.sync, words_a_window(hw.skipping.scan_width)
    of_row, of_column = sync in ("row", "array"), sync in ("column", "array")
    _scan(a, b, tiling, array.rows, array.cols, array.lanes, of_row, of_column, sizes, parts, totals)


@kernel
def _scan(
    a: Windows,
    b: Windows,
    tiling: Tiling,
    rows: int,
    cols: int,
    lanes: int,
    of_row: bool,
    of_column: bool,
    sizes: Integers,
    parts: int,
    totals: Totals,
) -> None:
    """Run the tiles.

    Args:
        of_row, of_column: whether the PEs of a row (column) share a scan pointer.
        sizes: K positions of each window.
        parts: words of a window.
    """
    words, index = a.true.shape[1], 0
    columns = np.zeros((words, cols), np.uint64)
    ends = np.zeros((rows, cols), np.int64)
    wanted = np.zeros((rows, cols), np.bool_)
    queues, starved, pairs = np.zeros(cols, np.int64), np.zeros(cols, np.int64), np.zeros(cols, np.int64)
    offers, kept = np.zeros(cols, np.int64), np.zeros(sizes.size, np.int64)
    for row_tile in range(tiling.starts.size):
        low = row_tile * rows
        height = min(rows, a.true.shape[0] - low)
        for start in range(tiling.starts[row_tile], tiling.stops[row_tile], cols):
            taken = tiling.columns[start : min(start + cols, tiling.stops[row_tile])]
            width = taken.size
            for c in range(width):
                at = taken[c] if b.seen else 0
                for word in range(words):
                    columns[word, c] = b.shown[at, word]
            windows = _keep(a, b, low, height, taken, sizes.size, parts, kept)
            for r in range(height):
                queues[:] = 0
                starved[:] = 0
                pairs[:] = 0
                ours = a.shown[low + r if a.seen else 0]
                for c in range(width):
                    wanted[r, c] = True
                    if tiling.masked:
                        bit = tiling.needed[low + r, taken[c] >> 6] >> np.uint64(taken[c] & 63)
                        wanted[r, c] = (bit & np.uint64(1)) != 0
                for i in range(windows):
                    first = kept[i] * parts
                    _count_pairs(ours, columns, first, min(first + parts, words), width, offers)
                    for c in range(width):
                        full = queues[c] + offers[c]
                        used = min(full, lanes)
                        queues[c] = full - used
                        starved[c] += lanes - used
                        pairs[c] += offers[c]
                for c in range(width):
                    ends[r, c] = windows
                    if wanted[r, c]:
                        ends[r, c] += (queues[c] + lanes - 1) // lanes
                        totals[WORKING, index] += 1
                        totals[STARVED, index] += starved[c]
                        totals[PAIRS, index] += pairs[c]
            totals[SCANNED, index] = height * width * windows
            for i in range(windows):
                totals[POSITIONS, index] += sizes[kept[i]]
            _meet(ends[:height, :width], wanted, of_row, of_column, totals, index)
            index += 1


@kernel
def _count_pairs(ours: Words, columns: Words, first: int, stop: int, width: int, offers: Integers) -> None:
    """Count the pairs of a window for each column."""
    offers[:] = 0
    for word in range(first, stop):
        mine = ours[word]
        for c in range(width):
            offers[c] += np.int64(popcount(mine & columns[word, c]))


@kernel
def _keep(
    a: Windows, b: Windows, low: int, height: int, taken: Integers, windows: int, parts: int, kept: Integers
) -> int:
    """List the windows of a tile that are streamed; return how many."""
    count = 0
    for window in range(windows):
        some_a, some_b = not a.drop, not b.drop
        for word in range(window * parts, min((window + 1) * parts, a.true.shape[1])):
            if not some_a:
                for r in range(height):
                    some_a |= a.true[low + r, word] != 0
            if not some_b:
                for at in taken:
                    some_b |= b.true[at, word] != 0
        kept[count] = window
        count += some_a and some_b
    return count


@kernel
def _meet(ends: Integers, wanted: NDArray[np.bool_], of_row: bool, of_column: bool, totals: Totals, index: int) -> None:
    """Let the PEs of a group, and then the tile, wait for the last of them."""
    height, width = ends.shape
    if of_row:
        for r in range(height):
            ends[r, :] = ends[r, :].max()
    if of_column:
        for c in range(width):
            ends[:, c] = ends[:, c].max()
    for r in range(height):
        for c in range(width):
            totals[CYCLES, index] = max(totals[CYCLES, index], ends[r, c])
            if wanted[r, c]:
                totals[BUSY, index] += ends[r, c]
