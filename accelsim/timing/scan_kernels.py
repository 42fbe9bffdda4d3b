"""Kernels of the scanning PE: a whole GEMM, tile by tile.

One operand plays the outer part, along which PEs have scan groups of their own under `row` or `column` sync; the other
plays the inner part. Windows are cut into byte planes (see `vector`): the words of a packed row already are its planes
if the scan width is a multiple of eight.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from accelsim.compile import kernel
from accelsim.lowering.bits import Words, transpose_block
from accelsim.timing.vector import (
    BLOCK,
    LANES,
    QUEUE,
    SUMS,
    WANT,
    advance,
    clear,
    drain,
    flush,
    offer,
    settle,
    take_peak,
    tally,
)

Integers = NDArray[np.int64]
Bytes = NDArray[np.uint8]
State = NDArray[np.unsignedinteger]
Sums = NDArray[np.uint32]

ALONE, BY_OUTER, TOGETHER = 0, 1, 2


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


class Tiling(NamedTuple):
    """Scheduled columns of each row tile (see `Schedule`), and the outputs that are needed ([1, 1] if all are)."""

    columns: Integers
    starts: Integers
    stops: Integers
    shared: bool
    needed: Words
    masked: bool


class Pes(NamedTuple):
    """The array.

    Attributes:
        rows, cols, lanes, depth: extents, and pairs that a queue holds.
        planes, sizes: planes of a window; K positions of each window.
        mode, by_column: which PEs share a scan pointer; whether columns are the outer PEs.
        inner_log2: of the inner PEs in a vector, padded.
        vector_outers: outer PEs in a vector.
        outer_vectors: vectors of one outer PE, if its inner PEs fill more than one.
        outer_at, inner_at: int64 [vectors], first outer and first inner PE of each vector.
        flush_every: windows after which the narrow sums are emptied.
    """

    rows: int
    cols: int
    lanes: int
    depth: int
    planes: int
    sizes: Integers
    mode: int
    by_column: bool
    inner_log2: int
    vector_outers: int
    outer_vectors: int
    outer_at: Integers
    inner_at: Integers
    flush_every: int


class Totals(NamedTuple):
    """What each tile did, int64 [tiles], row tiles outermost.

    Attributes:
        cycles, positions: cycles, and K positions streamed.
        pairs, true_pairs: pairs consumed, and those of two non-zeros (left 0 where `count_true` is off).
        starved, sync, barrier: slots.
        working: PEs with an output.
        scanned: windows looked at, summed over PEs.
    """

    cycles: Integers
    positions: Integers
    pairs: Integers
    true_pairs: Integers
    starved: Integers
    sync: Integers
    barrier: Integers
    working: Integers
    scanned: Integers


class Tile(NamedTuple):
    """A tile's PEs: the state of their queues, and what they did.

    Attributes:
        state: blocks [vectors], see `vector`.
        sums: uint32 [vectors x 3 x 64], pairs, starved lanes and stall cycles of the PEs with an output.
        peak: the fullest queues of a group that spans vectors.
        working: int64 [outer], PEs with an output.
        ended: int64 [groups], the cycle in which a group ended that spans vectors.
    """

    state: State
    sums: Sums
    peak: State
    working: Integers
    ended: Integers


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
def _run_within(outer: Bytes, inner: Bytes, kept: Integers, pes: Pes, tile: Tile) -> None:
    """Run a tile whose groups each lie within one vector; `WAITED` counts until each group has ended."""
    state, sums = tile.state, tile.sums
    depth, lanes = state.dtype.type(pes.depth), state.dtype.type(pes.lanes)
    flat_outer, flat_inner = outer.ravel(), inner.ravel()
    outer_stride, inner_stride = outer.shape[1], inner.shape[1]
    segment_log2 = 0 if pes.mode == ALONE else pes.inner_log2
    vectors = sums.size // SUMS
    for begin in range(0, kept.size, pes.flush_every):
        for index in range(begin, min(begin + pes.flush_every, kept.size)):
            plane = kept[index] * pes.planes
            for vector in range(vectors):
                advance(
                    state,
                    vector * BLOCK,
                    flat_outer,
                    plane * outer_stride + pes.outer_at[vector],
                    outer_stride,
                    flat_inner,
                    plane * inner_stride + pes.inner_at[vector],
                    inner_stride,
                    pes.inner_log2,
                    pes.planes,
                    segment_log2,
                    depth,
                    lanes,
                )
        for vector in range(vectors):
            flush(state, vector * BLOCK, sums, vector * SUMS)
    for vector in range(vectors):
        drain(state, vector * BLOCK, segment_log2, lanes)
        flush(state, vector * BLOCK, sums, vector * SUMS)


@kernel
def _run_across(outer: Bytes, inner: Bytes, kept: Integers, pes: Pes, tile: Tile) -> None:
    """Run a tile whose groups span vectors: all of them, or those of one outer PE; fill `ended`."""
    state, sums = tile.state, tile.sums
    typed = state.dtype.type
    lanes = typed(pes.lanes)
    flat_outer, flat_inner = outer.ravel(), inner.ravel()
    outer_stride, inner_stride = outer.shape[1], inner.shape[1]
    vectors = sums.size // SUMS
    span = vectors if pes.mode == TOGETHER else pes.outer_vectors
    tile.ended[:] = kept.size
    for begin in range(0, kept.size, pes.flush_every):
        for index in range(begin, min(begin + pes.flush_every, kept.size)):
            plane = kept[index] * pes.planes
            for group in range(vectors // span):
                for vector in range(group * span, (group + 1) * span):
                    offer(
                        state,
                        vector * BLOCK,
                        flat_outer,
                        plane * outer_stride + pes.outer_at[vector],
                        outer_stride,
                        flat_inner,
                        plane * inner_stride + pes.inner_at[vector],
                        inner_stride,
                        pes.inner_log2,
                        pes.planes,
                        tile.peak,
                    )
                excess = take_peak(tile.peak) - pes.depth
                stall = (excess + pes.lanes - 1) // pes.lanes if excess > 0 else 0
                tile.ended[group] += stall
                for vector in range(group * span, (group + 1) * span):
                    settle(state, vector * BLOCK, typed(stall * pes.lanes), lanes)
        for vector in range(vectors):
            flush(state, vector * BLOCK, sums, vector * SUMS)
    for group in range(vectors // span):
        left = np.int64(0)
        for vector in range(group * span, (group + 1) * span):
            left = max(left, np.int64(state[vector * BLOCK + QUEUE : vector * BLOCK + QUEUE + LANES].max()))
        tile.ended[group] += (left + pes.lanes - 1) // pes.lanes


@kernel
def _count_true(outer: Bytes, inner: Bytes, pes: Pes, tile: Tile) -> int:
    """Count a tile's pairs of two non-zeros, at the outputs that are computed."""
    flat_outer, flat_inner = outer.ravel(), inner.ravel()
    outer_stride, inner_stride = outer.shape[1], inner.shape[1]
    vectors = tile.sums.size // SUMS
    tile.sums[:] = 0
    for begin in range(0, pes.sizes.size, pes.flush_every):
        for window in range(begin, min(begin + pes.flush_every, pes.sizes.size)):
            for vector in range(vectors):
                offer(
                    tile.state,
                    vector * BLOCK,
                    flat_outer,
                    window * pes.planes * outer_stride + pes.outer_at[vector],
                    outer_stride,
                    flat_inner,
                    window * pes.planes * inner_stride + pes.inner_at[vector],
                    inner_stride,
                    pes.inner_log2,
                    pes.planes,
                    tile.peak,
                )
                tally(tile.state, vector * BLOCK)
        for vector in range(vectors):
            flush(tile.state, vector * BLOCK, tile.sums, vector * SUMS)
    take_peak(tile.peak)  # no tile must find what this one offered
    return _sum_of(tile.sums, 0)


@kernel
def _sum_of(sums: Sums, part: int) -> int:
    """Add up one of the three sums over all PEs."""
    total = np.int64(0)
    for start in range(part * LANES, sums.size, SUMS):
        for value in sums[start : start + LANES]:
            total += np.int64(value)
    return total  # type: ignore[return-value]


@kernel
def _largest_of(sums: Sums, part: int) -> int:
    """Return the largest of one of the three sums over all PEs."""
    largest = np.int64(0)
    for start in range(part * LANES, sums.size, SUMS):
        for value in sums[start : start + LANES]:
            largest = max(largest, np.int64(value))
    return largest  # type: ignore[return-value]


@kernel
def _set_wanted(tile: Tile, pes: Pes, height: int, taken: Integers, tiling: Tiling, wanted: Words) -> None:
    """Mark the PEs that have an output to compute, and count them."""
    state = tile.state
    nothing = state.dtype.type(0)
    for start in range(0, state.size, BLOCK):
        state[start + WANT : start + WANT + LANES] = nothing
    outers, inners = (taken.size, height) if pes.by_column else (height, taken.size)
    size = 1 << pes.inner_log2
    tile.working[:] = 0
    for o in range(outers):
        vector = o // pes.vector_outers * pes.outer_vectors
        count = np.int64(0)
        for i in range(inners):
            want = np.uint64(1)
            if tiling.masked:
                r, c = (i, o) if pes.by_column else (o, i)
                want = (wanted[taken[c], r >> 6] >> np.uint64(r & 63)) & np.uint64(1)
            block = (vector + i // LANES) * BLOCK
            state[block + WANT + o % pes.vector_outers * size + i % LANES] = nothing - state.dtype.type(want)
            count += np.int64(want)
        tile.working[o] = count


@kernel
def _account(pes: Pes, tile: Tile, windows: int, totals: Totals, index: int) -> None:
    """Write down what a tile did."""
    working, pairs, starved = tile.working.sum(), _sum_of(tile.sums, 0), _sum_of(tile.sums, 1)
    if pes.mode == TOGETHER:
        duration = tile.ended[0]
        busy = duration * working
    elif pes.mode == BY_OUTER and pes.outer_vectors > 1:
        duration = tile.ended.max()
        busy = np.int64(0)
        for o in range(tile.ended.size):
            busy += tile.working[o] * tile.ended[o]
    else:
        duration = windows + _largest_of(tile.sums, 2)
        busy = windows * working + _sum_of(tile.sums, 2)
    totals.cycles[index] = duration
    totals.pairs[index] = pairs
    totals.starved[index] = starved
    totals.sync[index] = pes.lanes * busy - pairs - starved
    totals.barrier[index] = pes.lanes * (duration * working - busy)
    totals.working[index] = working


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
                _set_wanted(tile, pes, height, taken, tiling, wanted[row_tile])
                marked = (height, taken.size)
            used, positions = _keep_windows(pes, a.drop, present_a[row_tile], b.drop, present_b, kept)
            for start in range(0, tile.state.size, BLOCK):
                clear(tile.state, start)
            tile.sums[:] = 0
            outer, inner = (seen_b, seen_a[row_tile]) if pes.by_column else (seen_a[row_tile], seen_b)
            if pes.mode == TOGETHER or (pes.mode == BY_OUTER and pes.outer_vectors > 1):
                _run_across(outer.view(np.uint8), inner.view(np.uint8), kept[:used], pes, tile)
            else:
                _run_within(outer.view(np.uint8), inner.view(np.uint8), kept[:used], pes, tile)
            _account(pes, tile, used, totals, index)
            totals.positions[index] = positions
            totals.scanned[index] = height * taken.size * used
            if count_true:
                outer, inner = (true_b, true_a[row_tile]) if pes.by_column else (true_a[row_tile], true_b)
                totals.true_pairs[index] = _count_true(outer.view(np.uint8), inner.view(np.uint8), pes, tile)
