"""TensorDash (Mahmoud et al., MICRO 2020): 16 lanes whose operands move up in time and across lanes, past zeros.

One of the two operands is scheduled, a schedule per array row (A) or column (B). A schedule sees the next windows of
16 positions; in a cycle each lane takes the first of its eight candidates that is non-zero and still there, and the
windows left empty move out. Every non-zero of the scheduled operand is consumed once, beside whatever its partner is.

The kernel works on all lanes of a level at once: a candidate `offset` lanes away is a rotation of the window's 16 bits.
"""

from __future__ import annotations

from typing import Literal

import numpy as np
from numpy.typing import NDArray

from accelsim.compile import kernel, popcount
from accelsim.hardware.model import TENSORDASH_LANES, Hardware
from accelsim.lowering.bits import Words
from accelsim.lowering.gemm import MaskedGemm
from accelsim.timing.dense import time_dense
from accelsim.timing.outcome import GemmTiming, Slots
from accelsim.timing.tiles import schedule
from accelsim.timing.windows import count_windows, cut_windows

LANES = TENSORDASH_LANES
# Lanes that choose at the same time; no two of a level share a candidate.
_LEVELS = ((0, 5, 10), (1, 6, 11), (2, 7, 12), (3, 8, 13), (4, 9, 14), (15,))
_LEVEL_MASKS = tuple(sum(1 << lane for lane in level) for level in _LEVELS)


def scheduled_operand(hw: Hardware, gemm: MaskedGemm) -> Literal["a", "b"] | None:
    """Name the operand that a GEMM's schedules follow, "a" or "b"; None if `skipping.tensors` lists neither.

    Of two listed operands it is the one with the larger share of zeros (padding included), A if they are equal.
    """
    listed_a, listed_b = gemm.a_kind in hw.skipping.tensors, gemm.b_kind in hw.skipping.tensors
    if not (listed_a and listed_b):
        return "a" if listed_a else "b" if listed_b else None
    return "a" if _nonzeros(gemm.a) * gemm.n <= _nonzeros(gemm.b) * gemm.m else "b"


def time_tensordash(hw: Hardware, gemm: MaskedGemm) -> GemmTiming:
    """Time a GEMM on TensorDash PEs.

    A's schedules are the same for every column tile, and B's for every row tile, so each is made once.
    """
    operand = scheduled_operand(hw, gemm)
    if operand is None:
        return time_dense(hw.dense(), gemm)
    array, plan = hw.array, schedule(hw, gemm)
    bits, extent, across, others = (
        (gemm.a, gemm.m, array.rows, gemm.n) if operand == "a" else (gemm.b, gemm.n, array.cols, gemm.m)
    )
    windows = np.pad(cut_windows(bits, gemm.k, LANES).astype(np.int64), ((0, 0), (0, 3)))
    tiles = -(-extent // across)
    cycles, starved, sync, barrier = (np.zeros(tiles, np.int64) for _ in range(4))
    together = hw.skipping.advance == "together"
    _run_schedules(windows, across, hw.skipping.stage_depth, together, cycles, starved, sync, barrier)

    row_tiles, column_tiles = len(plan.tiles_per_row), -(-gemm.n // array.cols)
    per_tile = np.repeat(cycles, column_tiles) if operand == "a" else np.tile(cycles, row_tiles)
    pairs = _nonzeros(bits) * others
    every_pe = array.rows * array.cols * int(per_tile.sum())
    heights = np.minimum(across, extent - np.arange(tiles) * across)  # schedules of each tile
    working = others * int((heights * cycles).sum())
    streamed_a, streamed_b = gemm.m * gemm.k * column_tiles, gemm.n * gemm.k * row_tiles
    return GemmTiming(
        tile_cycles=per_tile,
        tiles_per_row=plan.tiles_per_row,
        slots=Slots(
            effectual=gemm.effectual_macs,
            ineffectual=pairs - gemm.effectual_macs,
            edge=LANES * (every_pe - working),
            barrier=others * int(barrier.sum()),
            sync=others * int(sync.sum()),
            starved=others * int(starved.sum()),
        ),
        # A schedule serves a whole row or column of PEs: each of its windows is looked at once.
        scan_windows=count_windows(gemm.k, LANES) * extent * (column_tiles if operand == "a" else row_tiles),
        # Staging registers are shared likewise: every operand sent to the array is written there once, two make a pair.
        fifo_pushes=(streamed_a + streamed_b) // 2,
        streamed_a=streamed_a,
        streamed_b=streamed_b,
        outputs=gemm.m * gemm.n,
    )


def _nonzeros(words: Words) -> int:
    return int(np.bitwise_count(words).sum(dtype=np.int64))


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
def _run_schedules(
    windows: NDArray[np.int64],
    across: int,
    depth: int,
    together: bool,
    cycles: NDArray[np.int64],
    starved: NDArray[np.int64],
    sync: NDArray[np.int64],
    barrier: NDArray[np.int64],
) -> None:
    """Run the schedules of each tile: cycles, and lane-cycles of its schedules without an operand, by cause.

    Args:
        windows: int64 [schedules, windows + 3], 16 bits each, the last three empty; consumed.
        across: schedules in a tile.
    """
    count = windows.shape[1] - 3
    busy, one, two = np.zeros(across, np.int64), np.zeros(across, np.int64), np.zeros(across, np.int64)
    lead, position, end = np.zeros(across, np.int64), np.zeros(across, np.int64), np.zeros(across, np.int64)
    for tile in range(cycles.size):
        first = tile * across
        members = min(across, windows.shape[0] - first)
        position[:members] = 0
        left = members
        while left:
            cycles[tile] += 1
            for i in range(members):
                row, at = windows[first + i], min(position[i], count)
                busy[i] = row[at]
                one[i] = row[at + 1] if depth > 1 else 0
                two[i] = row[at + 2] if depth > 2 else 0
            _consume(busy, one, two)
            advance = depth
            for i in range(members):
                if position[i] >= count:
                    continue
                row, at = windows[first + i], position[i]
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
                step = advance if together else lead[i]
                waits = int(lead[i] > step)  # a schedule that could have moved on further waits for another one
                sync[tile] += idle * waits
                starved[tile] += idle * (1 - waits)
                position[i] += step
                if position[i] >= count:
                    end[i] = cycles[tile]
                    left -= 1
        for i in range(members):
            barrier[tile] += LANES * (cycles[tile] - end[i])
