"""The scanning PE: queues of non-zero pairs behind a shared scan pointer, a window at a time.

Between two windows a group only drains, so a whole stall is one step: if the fullest queue exceeds its depth by x once
the next window's pairs are in, the scanner waits ceil(x / L) cycles. What a PE gets is tracked per window; what it lost
to blocked or draining cycles follows, since its lanes either consume, starve or wait (`sync`) until its group ends.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from accelsim.compile import kernel, popcount
from accelsim.hardware.model import Hardware
from accelsim.lowering.gemm import MaskedGemm
from accelsim.timing.outcome import GemmTiming, Slots
from accelsim.timing.tiles import Schedule, schedule
from accelsim.timing.windows import Windows, count_windows, cut_windows, full_windows, words_a_window

Lanes = NDArray[np.int16]
Totals = NDArray[np.int64]

_PES_ALONE, _BY_OUTER, _TOGETHER = 0, 1, 2
_FLUSH = 1 << 14  # 16-bit sums are emptied before they can pass this

# places in the totals that the kernels add to
_PAIRS, _TRUE_PAIRS, _STARVED, _SYNC, _BARRIER, _WORKING, _SCANNED, _STREAMED_A, _STREAMED_B, _OUTPUTS = range(10)


def time_scanning(hw: Hardware, gemm: MaskedGemm) -> GemmTiming:
    """Time a GEMM on scanning PEs (timing contract: windows, queues, sync groups, dropped windows, output masks)."""
    skipping, array = hw.skipping, hw.array
    width = skipping.scan_width
    plan = schedule(hw, gemm)
    a, b = cut_windows(gemm.a, gemm.k, width), cut_windows(gemm.b, gemm.k, width)
    full = full_windows(gemm.k, width)
    sees_a, sees_b = gemm.a_kind in skipping.tensors, gemm.b_kind in skipping.tensors
    tile_cycles = np.zeros(plan.tiles, np.int64)
    totals = np.zeros(10, np.int64)
    needed = gemm.needed if skipping.outputs else None
    _scan_gemm(
        a,
        b,
        a if sees_a else full,
        b if sees_b else full,
        gemm.a_kind in skipping.blocks,
        gemm.b_kind in skipping.blocks,
        np.zeros((1, 1), np.uint64) if needed is None else needed,
        needed is not None,
        not (sees_a and sees_b),
        plan.columns,
        plan.starts,
        plan.stops,
        plan.shared,
        (array.rows, array.cols, array.lanes),
        skipping.fifo_depth,
        words_a_window(width),
        np.array([min(width, gemm.k - i * width) for i in range(count_windows(gemm.k, width))]),
        {"pe": _PES_ALONE, "row": _BY_OUTER, "column": _BY_OUTER, "array": _TOGETHER}[skipping.sync],
        skipping.sync == "column",
        _FLUSH // max(width, array.lanes),
        tile_cycles,
        totals,
    )
    return _outcome(hw, plan, tile_cycles, totals)


def _outcome(hw: Hardware, plan: Schedule, tile_cycles: Totals, totals: Totals) -> GemmTiming:
    every_slot = hw.array.rows * hw.array.cols * hw.array.lanes * int(tile_cycles.sum())
    part = [int(total) for total in totals]
    return GemmTiming(
        tile_cycles=tile_cycles,
        tiles_per_row=plan.tiles_per_row,
        slots=Slots(
            effectual=part[_TRUE_PAIRS],
            ineffectual=part[_PAIRS] - part[_TRUE_PAIRS],
            edge=every_slot - part[_WORKING],
            barrier=part[_BARRIER],
            sync=part[_SYNC],
            starved=part[_STARVED],
        ),
        scan_windows=part[_SCANNED],
        fifo_pushes=part[_PAIRS],
        streamed_a=part[_STREAMED_A],
        streamed_b=part[_STREAMED_B],
        outputs=part[_OUTPUTS],
    )


@kernel
def _turn(rows: Windows, indices: NDArray[np.int64], target: Windows) -> None:
    """Lay a tile's windows out window by window: target [windows, PEs]; PEs without a row see nothing."""
    for lane in range(target.shape[1]):
        if lane < indices.size:
            row = rows[indices[lane]]
            for window in range(target.shape[0]):
                target[window, lane] = row[window]
        else:
            for window in range(target.shape[0]):
                target[window, lane] = 0


@kernel
def _any(tile: Windows, parts: int, present: NDArray[np.bool_]) -> None:
    """Tell for each window whether any PE's bits in it are set."""
    for window in range(present.size):
        some = False
        for part in range(parts):
            for lane in range(tile.shape[1]):
                some |= tile[window * parts + part, lane] != 0
        present[window] = some


@kernel
def _run_group(
    outer: Windows,
    inner: Windows,
    first: int,
    last: int,
    mask: Windows,
    kept: NDArray[np.int64],
    parts: int,
    lanes: int,
    depth: int,
    flush: int,
    queue: Lanes,
    offer: Lanes,
    pairs: NDArray[np.int64],
    starved: NDArray[np.int64],
) -> np.int64:
    """Run one sync group, PEs (first..last - 1) x all inner; add to each PE's pairs and starved lanes; return time."""
    inners = inner.shape[1]
    members = last - first
    got = np.zeros((members, inners), np.int16)
    short = np.zeros((members, inners), np.int16)
    queue[first:last] = 0
    cycles = kept.size
    since_flush = 0
    for index in range(kept.size):
        window = kept[index] * parts
        fullest = np.int16(0)
        for o in range(members):
            row_queue, row_offer = queue[first + o], offer[first + o]
            row_mask = mask[first + o]
            for part in range(parts):
                bits = outer[window + part, first + o]
                lane_bits = inner[window + part]
                for i in range(inners):
                    count = popcount(bits & lane_bits[i] & row_mask[i])
                    row_offer[i] = count if part == 0 else row_offer[i] + count
            for i in range(inners):
                row_queue[i] += row_offer[i]
                fullest = max(fullest, row_queue[i])
        drained = 0
        if fullest > depth:
            stall = (int(fullest) - depth + lanes - 1) // lanes
            cycles += stall
            drained = stall * lanes
        for o in range(members):
            row_queue, row_offer, row_got, row_short = queue[first + o], offer[first + o], got[o], short[o]
            for i in range(inners):
                new = row_offer[i]
                left = np.int16(row_queue[i] - new - drained)
                after = np.int16(max(left, np.int16(0)) + new - lanes)
                row_got[i] += new
                row_short[i] += max(np.int16(-after), np.int16(0))
                row_queue[i] = max(after, np.int16(0))
        since_flush += 1
        if since_flush == flush:
            pairs[first:last] += got
            starved[first:last] += short
            got[:] = 0
            short[:] = 0
            since_flush = 0
    pairs[first:last] += got
    starved[first:last] += short
    left_over = np.int16(0)
    for o in range(first, last):
        for i in range(inners):
            left_over = max(left_over, queue[o, i])
    return np.int64(cycles + (int(left_over) + lanes - 1) // lanes)


@kernel
def _run_alone(
    outer: Windows,
    inner: Windows,
    mask: Windows,
    kept: NDArray[np.int64],
    parts: int,
    lanes: int,
    depth: int,
    pairs: NDArray[np.int64],
    starved: NDArray[np.int64],
    cycles: NDArray[np.int64],
) -> None:
    """Run every PE with a scan pointer of its own."""
    for o in range(outer.shape[1]):
        for i in range(inner.shape[1]):
            queue = 0
            time = kept.size
            got = 0
            short = 0
            for index in range(kept.size):
                window = kept[index] * parts
                new = np.int64(0)
                for part in range(parts):
                    new += np.int64(popcount(outer[window + part, o] & inner[window + part, i] & mask[o, i]))
                if queue + new > depth:
                    stall = (queue + new - depth + lanes - 1) // lanes
                    time += stall
                    queue = max(queue - stall * lanes, 0)
                queue += new
                got += new
                short += max(lanes - queue, 0)
                queue = max(queue - lanes, 0)
            pairs[o, i] = got
            starved[o, i] = short
            cycles[o, i] = time + (queue + lanes - 1) // lanes


@kernel
def _scan_gemm(  # noqa: PLR0912, PLR0915 - one tile loop, compiled as a whole
    a: Windows,
    b: Windows,
    shown_a: Windows,
    shown_b: Windows,
    drop_a: bool,
    drop_b: bool,
    needed: NDArray[np.uint64],
    masked: bool,
    count_true: bool,
    columns: NDArray[np.int64],
    starts: NDArray[np.int64],
    stops: NDArray[np.int64],
    shared: bool,
    extents: tuple[int, int, int],
    depth: int,
    parts: int,
    window_sizes: NDArray[np.int64],
    mode: int,
    by_column: bool,
    flush: int,
    tile_cycles: NDArray[np.int64],
    totals: Totals,
) -> None:
    """Run all tiles. With `by_column`, columns play the outer (group) part and rows the inner one."""
    rows, cols, lanes = extents
    windows = window_sizes.size
    row_tiles = starts.size
    first_tile = np.zeros(row_tiles + 1, np.int64)
    most = 0
    for tile in range(row_tiles):
        tiles = (stops[tile] - starts[tile] + cols - 1) // cols
        first_tile[tile + 1] = first_tile[tile] + tiles
        most = max(most, tiles)

    one = np.zeros(1, np.int64)
    true_a = np.zeros((row_tiles, windows * parts, rows), a.dtype)
    see_a = np.zeros((row_tiles, windows * parts, rows), a.dtype)
    any_a = np.zeros((row_tiles, windows), np.bool_)
    for tile in range(row_tiles):
        low, high = tile * rows, min((tile + 1) * rows, a.shape[0])
        taken = np.arange(low, high)
        _turn(a, taken, true_a[tile])
        _turn(shown_a, taken if shown_a.shape[0] == a.shape[0] else np.repeat(one, high - low), see_a[tile])
        _any(true_a[tile], parts, any_a[tile])
    true_b = np.zeros((windows * parts, cols), b.dtype)
    see_b = np.zeros((windows * parts, cols), b.dtype)
    any_b = np.zeros(windows, np.bool_)

    outers, inners = (cols, rows) if by_column else (rows, cols)
    mask = np.zeros((outers, inners), a.dtype)
    queue = np.zeros((outers, inners), np.int16)
    offer = np.zeros((outers, inners), np.int16)
    pairs = np.zeros((outers, inners), np.int64)
    starved = np.zeros((outers, inners), np.int64)
    ended = np.zeros((outers, inners), np.int64)
    kept = np.zeros(windows, np.int64)
    everything = ~a.dtype.type(0)

    for column_tile in range(most):
        for tile in range(row_tiles):
            if column_tile >= first_tile[tile + 1] - first_tile[tile]:
                continue
            low = starts[tile] + column_tile * cols
            taken = columns[low : min(low + cols, stops[tile])]
            if tile == 0 or not shared:
                _turn(b, taken, true_b)
                _turn(shown_b, taken if shown_b.shape[0] == b.shape[0] else np.repeat(one, taken.size), see_b)
                _any(true_b, parts, any_b)

            height = min(rows, a.shape[0] - tile * rows)
            working = 0
            mask[:] = 0
            for r in range(height):
                for c in range(taken.size):
                    want = True
                    if masked:
                        word = needed[tile * rows + r, taken[c] >> 6]
                        want = (word >> np.uint64(taken[c] & 63)) & np.uint64(1) != 0
                    if want:
                        working += 1
                        if by_column:
                            mask[c, r] = everything
                        else:
                            mask[r, c] = everything

            positions = 0
            used = 0
            for window in range(windows):
                if (drop_a and not any_a[tile, window]) or (drop_b and not any_b[window]):
                    continue
                kept[used] = window
                used += 1
                positions += window_sizes[window]

            outer, inner = (see_b, see_a[tile]) if by_column else (see_a[tile], see_b)
            if mode == 0:
                _run_alone(outer, inner, mask, kept[:used], parts, lanes, depth, pairs, starved, ended)
            else:
                pairs[:] = 0
                starved[:] = 0
                size = 1 if mode == 1 else outers
                for first in range(0, outers, size):
                    ended[first : first + size] = _run_group(
                        outer,
                        inner,
                        first,
                        first + size,
                        mask,
                        kept[:used],
                        parts,
                        lanes,
                        depth,
                        flush,
                        queue,
                        offer,
                        pairs,
                        starved,
                    )

            duration = ended.max()
            tile_cycles[first_tile[tile] + column_tile] = duration
            tile_pairs = 0
            for o in range(outers):
                for i in range(inners):
                    if mask[o, i]:
                        tile_pairs += pairs[o, i]
                        totals[2] += starved[o, i]
                        totals[3] += lanes * ended[o, i] - pairs[o, i] - starved[o, i]
                        totals[4] += lanes * (duration - ended[o, i])
            totals[0] += tile_pairs
            totals[1] += _true_pairs(true_a[tile], true_b, mask, by_column) if count_true else tile_pairs
            totals[5] += lanes * duration * working
            totals[6] += height * taken.size * used
            totals[7] += height * positions
            totals[8] += taken.size * positions
            totals[9] += working


@kernel
def _true_pairs(a: Windows, b: Windows, mask: Windows, by_column: bool) -> np.int64:
    """Count a tile's pairs of two non-zeros, at the outputs that are computed."""
    total = np.int64(0)
    for window in range(a.shape[0]):
        for r in range(a.shape[1]):
            for c in range(b.shape[1]):
                wanted = mask[c, r] if by_column else mask[r, c]
                total += np.int64(popcount(a[window, r] & b[window, c] & wanted))
    return total
