"""Tiles of a GEMM with masked outputs whose groups all see the same: weight_grad under `row` sync behind batch norm.

Rows of a gradient without a zero are alike, so the pairs of a PE depend on its column only, and what sets groups apart
is which columns they need: a few of a pruned layer. Only PEs with an output are laid out then, and a window's pairs are
counted once for each column. Columns lie in panels of 64, laid out once for all row tiles.
"""

from __future__ import annotations

import numpy as np

from accelsim.compile import kernel
from accelsim.timing.scan_kernels import (
    LANES,
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
    lay_out(groups.shown, np.arange(1), ours)
    kept, used, positions = np.arange(windows), windows, pes.sizes.sum()
    if groups.drop:
        here, present = np.zeros((planes, 1), np.uint64), np.ones(windows, np.bool_)
        lay_out(groups.true, np.arange(1), here)
        find_present(here, pes.planes, present)
        used, positions = drop_windows(pes, np.arange(windows), present, kept)
    kept = kept[:used]
    rows, cols, first = tiling.needed.shape[0], members.true.shape[0], first_tiles(tiling, pes.cols)
    following = first[:-1].copy()
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
                    lay_out(members.shown, np.arange(begin, min(begin + LANES, cols)), panel)
                    laid_out = True
                if not inside:
                    lay_out(members.shown, taken, single)
                bits = panel if inside else single
                origin = begin if inside else -1
                _run_tile(pes, addresses, room, tiling, low, height, taken, origin, ours, bits, kept, totals, index)
                totals.positions[index] = positions
                totals.scanned[index] = height * taken.size * used


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
    totals.cycles[index] = kept.size
    for first_group in range(0, height, pes.groups):
        count = min(pes.groups, height - first_group)
        most = 0
        room.wanted[:] = 0
        numbers = room.wanted.size // 2
        places = np.zeros(count, np.int64)
        for g in range(count):
            row = low + first_group + g
            for c in range(taken.size):
                if (tiling.needed[row, taken[c] >> 6] >> np.uint64(taken[c] & 63)) & np.uint64(1):
                    lane = places[g] * pes.groups + g
                    room.wanted[lane] = 255
                    room.wanted[numbers + lane] = c if begin < 0 else taken[c] - begin
                    places[g] += 1
            most = max(most, places[g])
        if not most:
            continue
        vectors = (most * pes.groups + LANES - 1) // LANES
        if 2 * vectors * LANES < room.wanted.size:  # the code expects the numbers right behind the masks
            room.wanted[vectors * LANES : 2 * vectors * LANES] = room.wanted[numbers : numbers + vectors * LANES]
        call_code(
            addresses[vectors - 1],
            (
                ours.ctypes.data,
                ours.shape[1] * 8,
                theirs.ctypes.data,
                theirs.shape[1] * 8,
                kept.ctypes.data,
                kept.size,
                room.wanted.ctypes.data,
                room.out.ctypes.data,
            ),
        )
        starved_at, pairs_at = LANES, LANES * (1 + vectors)  # one vector of ends
        for g in range(count):
            if places[g]:
                ended = np.int64(room.out[g])
                totals.cycles[index] = max(totals.cycles[index], ended)
                totals.working[index] += places[g]
                totals.busy[index] += places[g] * ended
                for m in range(places[g]):
                    lane = m * pes.groups + g
                    totals.starved[index] += np.int64(room.out[starved_at + lane])
                    totals.pairs[index] += np.int64(room.out[pairs_at + lane])
