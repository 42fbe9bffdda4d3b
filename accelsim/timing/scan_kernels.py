"""Kernels of the scanning PE: a whole GEMM, tile by tile.

Windows are cut into byte planes (see `vector`): the words of a packed row already are its planes if the scan width is a
multiple of eight.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from accelsim.compile import kernel
from accelsim.lowering.bits import Words, transpose_block
from accelsim.timing.scan_tile import (
    BY_OUTER,
    TOGETHER,
    Integers,
    Pes,
    Tile,
    Totals,
    account_tile,
    count_true_pairs,
    run_across,
    run_within,
    set_wanted,
)
from accelsim.timing.tiles import Tiling
from accelsim.timing.vector import BLOCK, SUMS, clear


class Operand(NamedTuple):
    """One operand's planes.

    Attributes:
        true: its non-zeros, words [rows, words], eight planes a word.
        shown: what the scanner sees: the same, or one row of ones for a tensor whose zeros it does not skip.
        seen: whether the two are the same.
        drop: whether windows without a non-zero are not streamed.
    """

    true: Words
    shown: Words
    seen: bool
    drop: bool


@kernel
def lay_out(rows: Words, indices: Integers, target: Words) -> None:
    """Turn some rows' planes around: target [planes, PEs / 8] holds a byte for each PE; PEs without a row see nothing.

    A single row stands for all. Eight rows and eight planes at a time are an 8 x 8 matrix of bytes, transposed by
    swapping ever larger squares (Warren, Hacker's Delight, 7-3).
    """
    block = np.zeros(8, np.uint64)
    for lane in range(target.shape[1]):
        for word in range(rows.shape[1]):
            for i in range(8):
                at = lane * 8 + i
                block[i] = np.uint64(0)
                if at < indices.size:
                    block[i] = rows[indices[at] if rows.shape[0] > 1 else 0, word]
            for width, mask in ((4, 0x00000000FFFFFFFF), (2, 0x0000FFFF0000FFFF), (1, 0x00FF00FF00FF00FF)):
                shift = np.uint64(8 * width)
                for i in range(8):
                    if i & width == 0:
                        swapped = ((block[i] >> shift) ^ block[i + width]) & np.uint64(mask)
                        block[i] ^= swapped << shift
                        block[i + width] ^= swapped
            for i in range(8):
                target[word * 8 + i, lane] = block[i]


@kernel
def find_present(tile: Words, planes: int, present: NDArray[np.bool_]) -> None:
    """Tell for each window whether any PE's bits in it are set."""
    for window in range(present.size):
        some = np.uint64(0)
        for plane in range(window * planes, (window + 1) * planes):
            for lane in range(tile.shape[1]):
                some |= tile[plane, lane]
        present[window] = some != 0


@kernel
def column_bits(needed: Words, first_row: int, height: int, cols: int) -> Words:
    """Turn a row tile's needed outputs around: words [cols, ceil(height / 64)], a bit for each row."""
    parts = (height + 63) >> 6
    target = np.zeros((cols, parts), np.uint64)
    block = np.zeros(64, np.uint64)
    for part in range(parts):
        for word in range(needed.shape[1]):
            for i in range(64):
                row = part * 64 + i
                block[i] = needed[first_row + row, word] if row < height else np.uint64(0)
            transpose_block(block)
            for i in range(min(64, cols - word * 64)):
                target[word * 64 + i, part] = block[i]
    return target


@kernel
def _keep_windows(
    pes: Pes,
    drop_a: bool,
    present_a: NDArray[np.bool_],
    drop_b: bool,
    present_b: NDArray[np.bool_],
    kept: Integers,
) -> tuple[int, int]:
    """List the windows that a tile streams; return how many, and their K positions."""
    used, positions = 0, 0
    for window in range(kept.size):
        if (drop_a and not present_a[window]) or (drop_b and not present_b[window]):
            continue
        kept[used] = window
        used += 1
        positions += pes.sizes[window]
    return used, positions


@kernel
def _first_tiles(tiling: Tiling, cols: int) -> Integers:
    """Index of each row tile's first tile, and the number of all tiles behind the last."""
    first = np.zeros(tiling.starts.size + 1, np.int64)
    for tile in range(tiling.starts.size):
        first[tile + 1] = first[tile] + (tiling.stops[tile] - tiling.starts[tile] + cols - 1) // cols
    return first


@kernel
def scan_gemm(
    a: Operand,
    b: Operand,
    tiling: Tiling,
    pes: Pes,
    tile: Tile,
    count_true: bool,
    totals: Totals,
) -> None:
    """Run all tiles of a GEMM; column tiles outermost here, so that each column tile is laid out once for all rows.

    Args:
        tile: room for a tile's PEs, [vectors] and [outer].
        count_true: whether pairs of two non-zeros must be counted, where the scanner does not see both operands.
        totals: filled.
    """
    windows, planes = pes.sizes.size, a.true.shape[1] * 8
    row_tiles, row_count = tiling.starts.size, a.true.shape[0]
    outers = tile.working.size
    room_outer = (max(outers, tile.sums.size // SUMS * pes.vector_outers) + 7) >> 3
    room_inner = (1 << pes.inner_log2) * pes.outer_vectors >> 3
    room_a, room_b = (room_inner, room_outer) if pes.by_column else (room_outer, room_inner)
    true_a = np.zeros((row_tiles, planes, room_a), np.uint64)
    seen_a = true_a if a.seen else np.zeros((row_tiles, planes, room_a), np.uint64)
    present_a = np.zeros((row_tiles, windows), np.bool_)
    wanted = np.zeros((row_tiles, b.true.shape[0] if tiling.masked else 0, (pes.rows + 63) >> 6), np.uint64)
    for row_tile in range(row_tiles):
        low, high = row_tile * pes.rows, min((row_tile + 1) * pes.rows, row_count)
        rows = np.arange(low, high)
        lay_out(a.true, rows, true_a[row_tile])
        if not a.seen:
            lay_out(a.shown, rows, seen_a[row_tile])
        if a.drop:
            find_present(true_a[row_tile], pes.planes, present_a[row_tile])
        if tiling.masked:
            bits = column_bits(tiling.needed, low, high - low, b.true.shape[0])
            wanted[row_tile, :, : bits.shape[1]] = bits
    true_b = np.zeros((planes, room_b), np.uint64)
    seen_b = true_b if b.seen else np.zeros((planes, room_b), np.uint64)
    present_b = np.zeros(windows, np.bool_)
    kept = np.zeros(windows, np.int64)
    first = _first_tiles(tiling, pes.cols)
    marked = (0, 0)
    for column_tile in range((first[1:] - first[:-1]).max() if row_tiles else 0):
        for row_tile in range(row_tiles):
            index = first[row_tile] + column_tile
            if index >= first[row_tile + 1]:
                continue
            low = tiling.starts[row_tile] + column_tile * pes.cols
            taken = tiling.columns[low : min(low + pes.cols, tiling.stops[row_tile])]
            height = min(pes.rows, row_count - row_tile * pes.rows)
            if row_tile == 0 or not tiling.shared:
                if b.seen or b.drop or count_true:
                    lay_out(b.true, taken, true_b)
                if not b.seen:
                    lay_out(b.shown, taken, seen_b)
                if b.drop:
                    find_present(true_b, pes.planes, present_b)
            if tiling.masked or marked != (height, taken.size):
                set_wanted(tile, pes, height, taken, tiling, wanted[row_tile])
                marked = (height, taken.size)
            used, positions = _keep_windows(pes, a.drop, present_a[row_tile], b.drop, present_b, kept)
            for start in range(0, tile.state.size, BLOCK):
                clear(tile.state, start)
            tile.sums[:] = 0
            outer, inner = (seen_b, seen_a[row_tile]) if pes.by_column else (seen_a[row_tile], seen_b)
            if pes.mode == TOGETHER or (pes.mode == BY_OUTER and pes.outer_vectors > 1):
                run_across(outer.view(np.uint8), inner.view(np.uint8), kept[:used], pes, tile)
            else:
                run_within(outer.view(np.uint8), inner.view(np.uint8), kept[:used], pes, tile)
            account_tile(pes, tile, used, totals, index)
            totals.positions[index] = positions
            totals.scanned[index] = height * taken.size * used
            if count_true:
                outer, inner = (true_b, true_a[row_tile]) if pes.by_column else (true_a[row_tile], true_b)
                totals.true_pairs[index] = count_true_pairs(outer.view(np.uint8), inner.view(np.uint8), pes, tile)
