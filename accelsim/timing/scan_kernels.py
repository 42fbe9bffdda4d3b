"""Kernels of the scanning PE: a whole GEMM, tile by tile, on windows laid out for vectors of PEs.

One operand plays the outer part and its PEs' groups are separate under `row` or `column` sync, the other the inner
part, along which sixteen PEs are handled at once.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from accelsim.compile import kernel, popcount
from accelsim.timing.vector import (
    BLOCK,
    LANES,
    QUEUE,
    WAITED,
    WANT,
    clear,
    offer,
    offer_more,
    settle,
    settle_alone,
    take_pairs,
    take_starved,
)
from accelsim.timing.windows import Windows

Integers = NDArray[np.int64]
State = NDArray[np.signedinteger]

ALONE, BY_OUTER, TOGETHER = 0, 1, 2
_MOST_IN_A_SUM = 1 << 14  # sums of the narrow state stay below this between two flushes


class Operand(NamedTuple):
    """One operand's windows, [rows, windows x parts].

    Attributes:
        true: its non-zeros.
        shown: what the scanner sees: the same, or one row of ones for a tensor whose zeros it does not skip.
        seen: whether the two are the same.
        drop: whether windows without a non-zero are not streamed.
    """

    true: Windows
    shown: Windows
    seen: bool
    drop: bool


class Tiling(NamedTuple):
    """Scheduled columns of each row tile (see `Schedule`), and the outputs that are needed ([1, 1] if all are)."""

    columns: Integers
    starts: Integers
    stops: Integers
    shared: bool
    needed: NDArray[np.uint64]
    masked: bool


class Pes(NamedTuple):
    """The array: extents, queue depth, words a window, positions of each window, and the sync group's shape."""

    rows: int
    cols: int
    lanes: int
    depth: int
    parts: int
    sizes: Integers
    mode: int
    by_column: bool


class Totals(NamedTuple):
    """Sums over all tiles, each an int64 array of one element that kernels add to."""

    pairs: Integers
    true_pairs: Integers
    starved: Integers
    sync: Integers
    barrier: Integers
    working_slots: Integers
    scanned: Integers
    outputs: Integers


class Outcome(NamedTuple):
    """What a tile's PEs with an output did, int64 [outer].

    Attributes:
        working: how many there are.
        pairs, starved: pairs consumed, and lanes without one while the scanner advanced.
        busy: cycles until their group ended, summed over them.
        last: the last cycle of any of their groups.
    """

    working: Integers
    pairs: Integers
    starved: Integers
    busy: Integers
    last: Integers


@kernel
def lay_out(rows: Windows, indices: Integers, target: Windows) -> None:
    """Lay some rows' windows out window by window, [windows x parts, PEs]; PEs without a row see nothing.

    A single row stands for all.
    """
    for lane in range(target.shape[1]):
        if lane < indices.size:
            row = rows[indices[lane] if rows.shape[0] > 1 else 0]
            for word in range(target.shape[0]):
                target[word, lane] = row[word]
        else:
            for word in range(target.shape[0]):
                target[word, lane] = 0


@kernel
def find_present(tile: Windows, parts: int, present: NDArray[np.bool_]) -> None:
    """Tell for each window whether any PE's bits in it are set."""
    for window in range(present.size):
        some = False
        for part in range(parts):
            for lane in range(tile.shape[1]):
                some |= tile[window * parts + part, lane] != 0
        present[window] = some


@kernel
def _offer_window(
    state: State,
    start: int,
    outer: Windows,
    word: int,
    o: int,
    flat: Windows,
    inner_start: int,
    stride: int,
    parts: int,
) -> np.int64:
    """Offer one window, of one or more words, to sixteen PEs; return their fullest queue if all pairs are pushed."""
    fullest = np.int64(offer(state, start, outer[word, o], flat, inner_start))
    for part in range(1, parts):
        fullest = np.int64(offer_more(state, start, outer[word + part, o], flat, inner_start + part * stride))
    return fullest


@kernel
def run_tile(
    outer: Windows, inner: Windows, kept: Integers, pes: Pes, stalls: Integers, state: State, outcome: Outcome
) -> None:
    """Run one tile on the windows that are kept.

    Args:
        outer, inner: windows laid out [windows x parts, PEs]; inner padded to whole vectors.
        stalls: cycles until there is room, by the number of pairs that are too many.
        state: blocks [outer x vectors]; `WANT` is set, the rest is overwritten.
        outcome: all but `working` is overwritten.
    """
    outers, vectors = outer.shape[1], inner.shape[1] // LANES
    stride = inner.shape[1]
    flat = inner.ravel()
    typed = state.dtype.type
    lanes, depth = typed(pes.lanes), typed(pes.depth)
    for start in range(0, state.size, BLOCK):
        clear(state, start)
    outcome.pairs[:] = 0
    outcome.starved[:] = 0
    waited = np.zeros(outers, np.int64)
    waited_alone = np.zeros(state.size if pes.mode == ALONE else 0, np.int64)
    every = max(1, _MOST_IN_A_SUM // max(pes.sizes[0], pes.lanes))
    for begin in range(0, kept.size, every):
        for index in range(begin, min(begin + every, kept.size)):
            word = kept[index] * pes.parts
            fullest_of_all = np.int64(0)
            for o in range(outers):
                fullest = np.int64(0)
                for vector in range(vectors):
                    start = (o * vectors + vector) * BLOCK
                    at = word * stride + vector * LANES
                    fullest = max(fullest, _offer_window(state, start, outer, word, o, flat, at, stride, pes.parts))
                    if pes.mode == ALONE:
                        settle_alone(state, start, depth, lanes)
                if pes.mode == BY_OUTER:
                    stall = stalls[max(int(fullest) - pes.depth, 0)]
                    waited[o] += stall
                    for vector in range(vectors):
                        settle(state, (o * vectors + vector) * BLOCK, typed(stall * pes.lanes), lanes)
                fullest_of_all = max(fullest_of_all, fullest)
            if pes.mode == TOGETHER:
                stall = stalls[max(int(fullest_of_all) - pes.depth, 0)]
                waited[0] += stall
                for start in range(0, outers * vectors * BLOCK, BLOCK):
                    settle(state, start, typed(stall * pes.lanes), lanes)
        for o in range(outers):
            for start in range(o * vectors * BLOCK, (o + 1) * vectors * BLOCK, BLOCK):
                outcome.pairs[o] += take_pairs(state, start)
                outcome.starved[o] += take_starved(state, start)
        if pes.mode == ALONE:
            _take_waited(state, waited_alone)
    if pes.mode == ALONE:
        _end_alone(state, vectors, pes.lanes, kept.size, waited_alone, outcome)
    else:
        _end_groups(state, vectors, pes, kept.size, waited, outcome)


@kernel
def _take_waited(state: State, waited: Integers) -> None:
    for start in range(0, state.size, BLOCK):
        for lane in range(start + WAITED, start + WAITED + LANES):
            waited[lane] += state[lane]
            state[lane] = 0


@kernel
def _end_alone(state: State, vectors: int, lanes: int, windows: int, waited: Integers, outcome: Outcome) -> None:
    """Each PE ends when its own queue is empty."""
    for o in range(outcome.busy.size):
        outcome.busy[o], outcome.last[o] = 0, windows
        for start in range(o * vectors * BLOCK, (o + 1) * vectors * BLOCK, BLOCK):
            for lane in range(start, start + LANES):
                if state[lane + WANT]:
                    end = windows + waited[lane + WAITED] + (np.int64(state[lane + QUEUE]) + lanes - 1) // lanes
                    outcome.busy[o] += end
                    outcome.last[o] = max(outcome.last[o], end)


@kernel
def _end_groups(state: State, vectors: int, pes: Pes, windows: int, waited: Integers, outcome: Outcome) -> None:
    """A group ends when its fullest queue is empty."""
    fullest_of_all = np.int64(0)
    for o in range(outcome.busy.size):
        fullest = np.int64(0)
        for start in range(o * vectors * BLOCK, (o + 1) * vectors * BLOCK, BLOCK):
            fullest = max(fullest, np.int64(state[start + QUEUE : start + QUEUE + LANES].max()))
        fullest_of_all = max(fullest_of_all, fullest)
        outcome.last[o] = windows + waited[o] + (fullest + pes.lanes - 1) // pes.lanes
    if pes.mode == TOGETHER:
        outcome.last[:] = windows + waited[0] + (fullest_of_all + pes.lanes - 1) // pes.lanes
    for o in range(outcome.busy.size):
        outcome.busy[o] = outcome.working[o] * outcome.last[o]


@kernel
def _set_wanted(
    state: State,
    vectors: int,
    first_row: int,
    height: int,
    taken: Integers,
    tiling: Tiling,
    by_column: bool,
    outcome: Outcome,
) -> None:
    """Mark the PEs that have an output to compute, and count them."""
    for start in range(0, state.size, BLOCK):
        state[start + WANT : start + WANT + LANES] = 0
    outcome.working[:] = 0
    for r in range(height):
        for c in range(taken.size):
            if tiling.masked:
                bits = tiling.needed[first_row + r, taken[c] >> 6] >> np.uint64(taken[c] & 63)
                if bits & np.uint64(1) == 0:
                    continue
            o, i = (c, r) if by_column else (r, c)
            state[(o * vectors + i // LANES) * BLOCK + WANT + i % LANES] = -1
            outcome.working[o] += 1


@kernel
def _true_pairs(outer: Windows, inner: Windows, state: State, vectors: int) -> int:
    """Count a tile's pairs of two non-zeros, at the outputs that are computed."""
    total = np.int64(0)
    for o in range(outer.shape[1]):
        for i in range(vectors * LANES):
            if state[(o * vectors + i // LANES) * BLOCK + WANT + i % LANES]:
                for word in range(outer.shape[0]):
                    total += np.int64(popcount(outer[word, o] & inner[word, i]))
    return total  # type: ignore[return-value]


@kernel
def _account(outcome: Outcome, lanes: int, totals: Totals) -> int:
    """Add a tile to the totals; return its cycles."""
    duration = outcome.last.max()
    pairs, starved, busy, working = (
        outcome.pairs.sum(),
        outcome.starved.sum(),
        outcome.busy.sum(),
        outcome.working.sum(),
    )
    totals.pairs[0] += pairs
    totals.starved[0] += starved
    totals.sync[0] += lanes * busy - pairs - starved
    totals.barrier[0] += lanes * (duration * working - busy)
    totals.working_slots[0] += lanes * duration * working
    totals.outputs[0] += working
    return duration  # type: ignore[no-any-return]


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
    state: State,
    tile_cycles: Integers,
    tile_positions: Integers,
    totals: Totals,
) -> None:
    """Run all tiles of a GEMM; column tiles outermost here, so that each column tile is laid out once for all rows.

    Args:
        state: blocks [outer x vectors], of a type that holds depth + scan width + lanes.
        tile_cycles, tile_positions: filled, row tiles outermost.
    """
    windows, words = pes.sizes.size, a.true.shape[1]
    row_tiles = tiling.starts.size
    outers, inners = (pes.cols, pes.rows) if pes.by_column else (pes.rows, pes.cols)
    vectors = (inners + LANES - 1) // LANES
    room_a, room_b = (vectors * LANES, pes.cols) if pes.by_column else (pes.rows, vectors * LANES)
    true_a = np.zeros((row_tiles, words, room_a), a.true.dtype)
    seen_a = np.zeros((row_tiles, words, room_a), a.true.dtype)
    present_a = np.zeros((row_tiles, windows), np.bool_)
    for tile in range(row_tiles):
        rows = np.arange(tile * pes.rows, min((tile + 1) * pes.rows, a.true.shape[0]))
        lay_out(a.true, rows, true_a[tile])
        lay_out(a.shown, rows, seen_a[tile])
        find_present(true_a[tile], pes.parts, present_a[tile])
    true_b = np.zeros((words, room_b), b.true.dtype)
    seen_b = np.zeros((words, room_b), b.true.dtype)
    present_b = np.zeros(windows, np.bool_)
    stalls = (np.arange(pes.sizes[0] + 1) + pes.lanes - 1) // pes.lanes
    outcome = Outcome(
        np.zeros(outers, np.int64),
        np.zeros(outers, np.int64),
        np.zeros(outers, np.int64),
        np.zeros(outers, np.int64),
        np.zeros(outers, np.int64),
    )
    kept = np.zeros(windows, np.int64)
    first = _first_tiles(tiling, pes.cols)
    marked = (0, 0)
    for column_tile in range((first[1:] - first[:-1]).max() if row_tiles else 0):
        for tile in range(row_tiles):
            if column_tile >= first[tile + 1] - first[tile]:
                continue
            low = tiling.starts[tile] + column_tile * pes.cols
            taken = tiling.columns[low : min(low + pes.cols, tiling.stops[tile])]
            height = min(pes.rows, a.true.shape[0] - tile * pes.rows)
            if tile == 0 or not tiling.shared:
                lay_out(b.shown, taken, seen_b)
                if b.drop or not (a.seen and b.seen):
                    lay_out(b.true, taken, true_b)
                    find_present(true_b, pes.parts, present_b)
            if tiling.masked or marked != (height, taken.size):
                _set_wanted(state, vectors, tile * pes.rows, height, taken, tiling, pes.by_column, outcome)
                marked = (height, taken.size)
            used, positions = _keep_windows(pes, a.drop, present_a[tile], b.drop, present_b, kept)
            outer, inner = (seen_b, seen_a[tile]) if pes.by_column else (seen_a[tile], seen_b)
            run_tile(outer, inner, kept[:used], pes, stalls, state, outcome)
            tile_cycles[first[tile] + column_tile] = _account(outcome, pes.lanes, totals)
            tile_positions[first[tile] + column_tile] = positions
            if a.seen and b.seen:
                totals.true_pairs[0] += outcome.pairs.sum()
            else:
                outer, inner = (true_b, true_a[tile]) if pes.by_column else (true_a[tile], true_b)
                totals.true_pairs[0] += _true_pairs(outer, inner, state, vectors)
            totals.scanned[0] += height * taken.size * used
