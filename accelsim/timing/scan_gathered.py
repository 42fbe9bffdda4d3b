"""Tiles of a GEMM with masked outputs whose groups all see the same: weight_grad under `row` sync behind batch norm.

Rows of a gradient without a zero are alike, so the pairs of a PE depend on its column only, and what sets groups apart
is which columns they need: a few of a pruned layer. Only PEs with an output are laid out then, and a window's pairs are
counted once for each column. Columns lie in panels of 64, laid out once for all row tiles.
"""

from __future__ import annotations

import numpy as np

from accelsim.compile import kernel
from accelsim.timing.scan_kernels import (
    BUSY,
    CYCLES,
    LANES,
    PAIRS,
    POSITIONS,
    SCANNED,
    STARVED,
    WORKING,
    Integers,
    Operand,
    Pes,
    Room,
    Totals,
    call_code,
    drop_windows,
    find_present,
    first_tiles,
    lay_out,
    numbers,
    set_all,
)
from accelsim.timing.tiles import Tiling

STRIDE = 32  # columns from one panel to the next: a tile that spans half a panel at most lies in one


@kernel
def scan_gathered(
    groups: Operand, members: Operand, tiling: Tiling, pes: Pes, addresses: Integers, room: Room, totals: Totals
) -> None:
    """Run all tiles of a masked GEMM whose rows are alike; at most 64 columns a tile.

    Args:
        groups: one row, which stands for all.
        members: the columns.
        pes: blocks whose lanes are PEs with an output.
        addresses: int64, code for blocks of 1, 2, ... vectors.
    """
    windows, planes = pes.sizes.size, members.true.shape[1] * 8
    ours = np.zeros((planes, 1), np.uint64)
    panel, single = np.zeros((planes, 8), np.uint64), np.zeros((planes, 8), np.uint64)
    lay_out(groups.shown, numbers(0, 1), ours)
    kept, present = numbers(0, windows), np.zeros(windows, np.bool_)
    set_all(present, True)
    if groups.drop:
        here = np.zeros((planes, 1), np.uint64)
        lay_out(groups.true, numbers(0, 1), here)
        find_present(here, pes.planes, present)
    used, positions = drop_windows(pes, numbers(0, windows), present, kept)
    kept = kept[:used]
    rows, cols, first = tiling.needed.shape[0], members.true.shape[0], first_tiles(tiling, pes.cols)
    following = first_tiles(tiling, pes.cols)
    for begin in range(0, cols, STRIDE):
        laid_out = False
        for row_tile in range(tiling.starts.size):
            low = row_tile * pes.rows
            height = min(pes.rows, rows - low)
            while following[row_tile] < first[row_tile + 1]:
                index = following[row_tile]
                start = tiling.starts[row_tile] + (index - first[row_tile]) * pes.cols
                taken = tiling.columns[start : min(start + pes.cols, tiling.stops[row_tile])]
                if taken[0] >= begin + STRIDE:
                    break
                following[row_tile] += 1
                inside = taken[-1] < begin + LANES
                if inside and not laid_out:
                    lay_out(members.shown, numbers(begin, min(begin + LANES, cols)), panel)
                    laid_out = True
                if not inside:
                    lay_out(members.shown, taken, single)
                bits = panel if inside else single
                origin = begin if inside else -1
                _run_tile(pes, addresses, room, tiling, low, height, taken, origin, ours, bits, kept, totals, index)
                totals[POSITIONS, index] = positions
                totals[SCANNED, index] = height * taken.size * used


@kernel
def _run_tile(
    pes: Pes,
    addresses: Integers,
    room: Room,
    tiling: Tiling,
    low: int,
    height: int,
    taken: Integers,
    begin: int,
    ours: np.ndarray,  # type: ignore[type-arg]
    theirs: np.ndarray,  # type: ignore[type-arg]
    kept: Integers,
    totals: Totals,
    index: int,
) -> None:
    """Run one tile.

    Args:
        low, height: its rows.
        taken: its columns; they lie in the panel `theirs` from column `begin` on, or alone, one by one (-1).
        ours, theirs: planes.
    """
    totals[CYCLES, index] = kept.size
    for first_group in range(0, height, pes.groups):
        count = min(pes.groups, height - first_group)
        most = 0
        set_all(room.wanted, 0)
        behind = room.wanted.size // 2
        places = np.zeros(count, np.int64)
        for g in range(count):
            row = low + first_group + g
            for c in range(taken.size):
                if (tiling.needed[row, taken[c] >> 6] >> np.uint64(taken[c] & 63)) & np.uint64(1):
                    lane = places[g] * pes.groups + g
                    room.wanted[lane] = 255
                    room.wanted[behind + lane] = c if begin < 0 else taken[c] - begin
                    places[g] += 1
            most = max(most, places[g])
        if not most:
            continue
        vectors = (most * pes.groups + LANES - 1) // LANES
        if 2 * vectors * LANES < room.wanted.size:  # the code expects the numbers right behind the masks
            for lane in range(vectors * LANES):
                room.wanted[vectors * LANES + lane] = room.wanted[behind + lane]
        call_code(addresses[vectors - 1], ours, 0, theirs, 0, kept, kept.size, room.wanted, room.out)
        starved_at, pairs_at = LANES, LANES * (1 + vectors)  # one vector of ends
        for g in range(count):
            if places[g]:
                ended = np.int64(room.out[g])
                totals[CYCLES, index] = max(totals[CYCLES, index], ended)
                totals[WORKING, index] += places[g]
                totals[BUSY, index] += places[g] * ended
                for m in range(places[g]):
                    lane = m * pes.groups + g
                    totals[STARVED, index] += np.int64(room.out[starved_at + lane])
                    totals[PAIRS, index] += np.int64(room.out[pairs_at + lane])
