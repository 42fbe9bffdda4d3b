"""Kernels of TensorDash: the schedules of a tile, cycle by cycle, and a whole GEMM, tile by tile.

They work on all lanes of a level at once: a candidate `offset` lanes away is a rotation of the window's 16 bits.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from accelsim.compile import kernel, popcount
from accelsim.hardware.model import TENSORDASH_LANES
from accelsim.timing.tiles import Tiling

LANES = TENSORDASH_LANES
# Lanes that choose at the same time; no two of a level share a candidate.
_LEVELS = ((0, 5, 10), (1, 6, 11), (2, 7, 12), (3, 8, 13), (4, 9, 14), (15,))
_LEVEL_MASKS = tuple(sum(1 << lane for lane in level) for level in _LEVELS)

Integers = NDArray[np.int64]
Windows = NDArray[np.uint16]


class Pes(NamedTuple):
    """The array's extents, whether a schedule belongs to a column (of B) or a row (of A), and how schedules advance."""

    rows: int
    cols: int
    by_column: bool
    depth: int
    together: bool


class Blocks(NamedTuple):
    """What tells which windows are not streamed.

    Attributes:
        drop_a, drop_b: whether windows without a non-zero of that operand are dropped.
        present_a: bool [row tiles, windows], whether A has a non-zero there ([1, 1] if they are not dropped).
        b: B's windows [N, windows] ([1, 1] if they are not dropped).
    """

    drop_a: bool
    drop_b: bool
    present_a: NDArray[np.bool_]
    b: Windows


class Totals(NamedTuple):
    """Sums over all tiles and PEs with an output to compute, each an int64 array of one element that kernels add to.

    Attributes:
        pairs, sync, starved, barrier: lane-cycles by what became of them.
        working_slots: all lane-cycles.
        outputs: PEs.
        scanned: windows of schedules, each counted once for all PEs that follow it.
    """

    pairs: Integers
    sync: Integers
    starved: Integers
    barrier: Integers
    working_slots: Integers
    outputs: Integers
    scanned: Integers


class Outcome(NamedTuple):
    """What the lanes of each schedule of a tile did, int64 [schedules]; `cycles` is the tile's, an array of one."""

    pairs: Integers
    sync: Integers
    starved: Integers
    end: Integers
    cycles: Integers


@kernel
def _reach(window: int, across: int) -> int:
    """Let each lane see the position `across` lanes away; bits above the 16 lanes mean nothing."""
    by = across & (LANES - 1)
    return (window >> by) | (window << (LANES - by))


@kernel
def _choose(level: int, busy: int, one: int, two: int) -> tuple[int, int, int]:
    """Let a level's free lanes choose in windows one and two ahead, candidate by candidate in order of preference:
    (windows ahead, lanes across) = (1, 0) (2, 0) (1, -1) (1, 1) (2, -2) (2, 2) (1, -3).

    Written out, because a loop over the moves keeps the compiler from running many schedules as one vector.
    """
    free = level & ~busy
    taken = free & one
    one, free = one ^ taken, free ^ taken
    taken = free & two
    two, free = two ^ taken, free ^ taken
    taken = free & _reach(one, -1)
    one, free = one & ~_reach(taken, 1), free ^ taken
    taken = free & _reach(one, 1)
    one, free = one & ~_reach(taken, -1), free ^ taken
    taken = free & _reach(two, -2)
    two, free = two & ~_reach(taken, 2), free ^ taken
    taken = free & _reach(two, 2)
    two, free = two & ~_reach(taken, -2), free ^ taken
    taken = free & _reach(one, -3)
    one, free = one & ~_reach(taken, 3), free ^ taken
    return busy | (level & ~free), one, two


@kernel
def _consume(busy: NDArray[np.int64], one: NDArray[np.int64], two: NDArray[np.int64]) -> None:
    """Run one cycle of many schedules; `busy` comes as their first window and leaves as the lanes that got something.

    The first window goes to its own lanes: (0, 0) comes first and is no other lane's candidate.
    """
    for i in range(busy.size):
        lanes, first, second = busy[i], one[i], two[i]
        lanes, first, second = _choose(_LEVEL_MASKS[0], lanes, first, second)
        lanes, first, second = _choose(_LEVEL_MASKS[1], lanes, first, second)
        lanes, first, second = _choose(_LEVEL_MASKS[2], lanes, first, second)
        lanes, first, second = _choose(_LEVEL_MASKS[3], lanes, first, second)
        lanes, first, second = _choose(_LEVEL_MASKS[4], lanes, first, second)
        lanes, first, second = _choose(_LEVEL_MASKS[5], lanes, first, second)
        busy[i], one[i], two[i] = lanes, first, second


@kernel
def _stage(windows: Windows, members: Integers, kept: Integers, staged: Integers, pairs: Integers) -> None:
    """Copy the kept windows of a tile's schedules, with three empty ones behind the last; count their non-zeros."""
    for i in range(members.size):
        row = windows[members[i]]
        total = np.int64(0)
        for at in range(kept.size):
            window = np.int64(row[kept[at]])
            staged[i, at] = window
            total += np.int64(popcount(window))
        staged[i, kept.size : kept.size + 3] = 0
        pairs[i] = total


@kernel
def _run_tile(staged: Integers, members: int, count: int, pes: Pes, outcome: Outcome) -> None:
    """Run the schedules of a tile: cycles, and each schedule's lane-cycles without an operand, by cause.

    Args:
        staged: int64 [schedules, windows + 3], 16 bits each, the three behind `count` empty; consumed.
    """
    busy, one, two = np.zeros(members, np.int64), np.zeros(members, np.int64), np.zeros(members, np.int64)
    lead, position = np.zeros(members, np.int64), np.zeros(members, np.int64)
    outcome.sync[:], outcome.starved[:], outcome.end[:] = 0, 0, 0
    cycle, depth = 0, pes.depth
    left = members if count else 0
    while left:
        cycle += 1
        for i in range(members):
            row, at = staged[i], min(position[i], count)
            busy[i] = row[at]
            one[i] = row[at + 1] if depth > 1 else 0
            two[i] = row[at + 2] if depth > 2 else 0
        _consume(busy, one, two)
        advance = depth
        for i in range(members):
            if position[i] >= count:
                continue
            row, at = staged[i], position[i]
            if depth > 1:
                row[at + 1] = one[i]
            if depth > 2:
                row[at + 2] = two[i]
            # Without branches: which windows are empty is anyone's guess.
            lead[i] = min(depth, 1 + int(one[i] == 0) * (1 + int(two[i] == 0)))
            advance = min(advance, lead[i])
        for i in range(members):
            if position[i] >= count:
                continue
            idle = LANES - int(popcount(busy[i]))
            step = advance if pes.together else lead[i]
            waits = int(lead[i] > step)  # a schedule that could have moved on further waits for another one
            outcome.sync[i] += idle * waits
            outcome.starved[i] += idle * (1 - waits)
            position[i] += step
            if position[i] >= count:
                outcome.end[i] = cycle
                left -= 1
    outcome.cycles[0] = cycle


@kernel
def _list_schedules(
    tiling: Tiling, by_column: bool, row: int, height: int, taken: Integers, members: Integers, partners: Integers
) -> tuple[int, bool]:
    """List a tile's schedules with an output to compute, and how many outputs each has; return how many there are, and
    whether they are others than those that `members` held.
    """
    count, changed = 0, False
    for i in range(taken.size if by_column else height):
        wanted = height if by_column else taken.size
        if tiling.masked:
            wanted = 0
            for j in range(height if by_column else taken.size):
                r, c = (j, i) if by_column else (i, j)
                bits = tiling.needed[row + r, taken[c] >> 6] >> np.uint64(taken[c] & 63)
                wanted += int(bits & np.uint64(1))
        if wanted:
            index = taken[i] if by_column else row + i
            changed |= members[count] != index
            members[count], partners[count] = index, wanted
            count += 1
    return count, changed


@kernel
def _keep_windows(blocks: Blocks, tile: int, taken: Integers, kept: Integers) -> tuple[int, bool]:
    """List the windows that a tile streams; return how many, and whether they are others than `kept` held."""
    used, changed = 0, False
    for window in range(kept.size):
        if blocks.drop_a and not blocks.present_a[tile, window]:
            continue
        if blocks.drop_b:
            some = False
            for column in taken:
                if blocks.b[column, window]:
                    some = True
                    break
            if not some:
                continue
        changed |= kept[used] != window
        kept[used] = window
        used += 1
    return used, changed


@kernel
def _account(outcome: Outcome, partners: Integers, windows: int, totals: Totals) -> None:
    """Add a tile to the totals; each schedule counts for every PE that follows it."""
    pairs, sync, starved, busy, outputs = 0, 0, 0, 0, 0
    for i in range(partners.size):
        pairs += outcome.pairs[i] * partners[i]
        sync += outcome.sync[i] * partners[i]
        starved += outcome.starved[i] * partners[i]
        busy += outcome.end[i] * partners[i]
        outputs += partners[i]
    totals.pairs[0] += pairs
    totals.sync[0] += sync
    totals.starved[0] += starved
    totals.barrier[0] += LANES * (outcome.cycles[0] * outputs - busy)
    totals.working_slots[0] += LANES * outcome.cycles[0] * outputs
    totals.outputs[0] += outputs
    totals.scanned[0] += windows * partners.size


@kernel
def run_gemm(
    windows: Windows,
    m: int,
    k: int,
    tiling: Tiling,
    first: Integers,
    pes: Pes,
    blocks: Blocks,
    tile_cycles: Integers,
    tile_positions: Integers,
    totals: Totals,
) -> None:
    """Run all tiles of a GEMM, those that share schedules one after another: where neighbours have the same schedules
    and windows, one run serves them all.

    Args:
        windows: the scheduled operand's, [M or N, windows].
        first: int64 [row tiles + 1], index of each row tile's first tile, and the number of all tiles.
        tile_cycles, tile_positions: filled, row tiles outermost.
    """
    across = pes.cols if pes.by_column else pes.rows
    row_tiles, count = first.size - 1, windows.shape[1]
    column_tiles = (first[1:] - first[:-1]).max() if row_tiles else 0
    staged = np.zeros((across, count + 3), np.int64)
    members, partners, kept = np.zeros(across, np.int64), np.zeros(across, np.int64), np.arange(count)
    outcome = Outcome(
        np.zeros(across, np.int64),
        np.zeros(across, np.int64),
        np.zeros(across, np.int64),
        np.zeros(across, np.int64),
        np.zeros(1, np.int64),
    )
    schedules, used = -1, count
    for job in range(row_tiles * column_tiles):
        tile, column_tile = (
            (job % row_tiles, job // row_tiles) if pes.by_column else (job // column_tiles, job % column_tiles)
        )
        if column_tile >= first[tile + 1] - first[tile]:
            continue
        low = tiling.starts[tile] + column_tile * pes.cols
        taken = tiling.columns[low : min(low + pes.cols, tiling.stops[tile])]
        height = min(pes.rows, m - tile * pes.rows)
        before, used_before, others = schedules, used, False
        schedules, changed = _list_schedules(tiling, pes.by_column, tile * pes.rows, height, taken, members, partners)
        if blocks.drop_a or blocks.drop_b:
            used, others = _keep_windows(blocks, tile, taken, kept)
        if changed or others or schedules != before or used != used_before:
            _stage(windows, members[:schedules], kept[:used], staged, outcome.pairs)
            _run_tile(staged, schedules, used, pes, outcome)
        at = first[tile] + column_tile
        tile_cycles[at] = outcome.cycles[0]
        tile_positions[at] = used * LANES
        if used and kept[used - 1] == count - 1:  # the last window may hold fewer positions
            tile_positions[at] -= count * LANES - k
        _account(outcome, partners[:schedules], used, totals)
