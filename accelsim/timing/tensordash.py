"""TensorDash (Mahmoud et al., MICRO 2020): 16 lanes whose operands move up in time and across lanes, past zeros.

One of the two operands is scheduled, a schedule per array row (A) or column (B). A schedule sees the next windows of
16 positions; in a cycle each lane takes the first of its eight candidates that is non-zero and still there, and the
windows left empty move out. Every non-zero of the scheduled operand is consumed once, beside whatever its partner is.

The kernel works on all lanes of a level at once: a candidate `offset` lanes away is a rotation of the window's 16 bits.
"""

from __future__ import annotations

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
MOVES = ((0, 0), (1, 0), (2, 0), (1, -1), (1, 1), (2, -2), (2, 2), (1, -3))
"""(windows ahead, lanes across) of each lane's candidates, in order of preference."""
LEVELS = ((0, 5, 10), (1, 6, 11), (2, 7, 12), (3, 8, 13), (4, 9, 14), (15,))
"""Lanes that choose at the same time; no two of a level share a candidate."""

_LEVEL_MASKS = tuple(sum(1 << lane for lane in level) for level in LEVELS)
_ALL = (1 << LANES) - 1


def scheduled_operand(hw: Hardware, gemm: MaskedGemm) -> str | None:
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
    windows = cut_windows(bits, gemm.k, LANES).astype(np.int64)
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
def _take(stage: NDArray[np.int64]) -> int:
    """Consume what one cycle's moves reach; `stage` holds three windows and loses it. Returns the busy lanes."""
    busy = int(stage[0])  # (0, 0) comes first and is no other lane's candidate
    stage[0] = 0
    if not stage[1] | stage[2]:
        return busy
    for level in _LEVEL_MASKS:
        free = level & ~busy
        if not free:
            continue
        for ahead, across in MOVES[1:]:
            shift = across & (LANES - 1)
            there = stage[ahead]
            taken = free & ((there >> shift) | (there << (LANES - shift)))
            free &= ~taken
            busy |= taken
            stage[ahead] = there & ~(((taken << shift) | (taken >> (LANES - shift))) & _ALL)
    return busy


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
        windows: int64 [schedules, windows], 16 bits each; consumed.
        across: schedules in a tile.
    """
    count = windows.shape[1]
    stage = np.zeros(3, np.int64)
    leads = np.zeros(across, np.int64)
    idle = np.zeros(across, np.int64)
    ends = np.zeros(across, np.int64)
    for tile in range(cycles.size):
        first = tile * across
        members = min(across, windows.shape[0] - first)
        if not together:
            for member in range(members):
                position, cycle = 0, 0
                while position < count:
                    lead, lanes = _step(windows[first + member], position, depth, stage)
                    position += lead
                    starved[tile] += lanes
                    cycle += 1
                ends[member] = cycle
            cycles[tile] = ends[:members].max()
            for member in range(members):
                barrier[tile] += LANES * (cycles[tile] - ends[member])
            continue
        position = 0
        while position < count:
            advance = depth
            for member in range(members):
                leads[member], idle[member] = _step(windows[first + member], position, depth, stage)
                advance = min(advance, leads[member])
            for member in range(members):
                # A schedule that could have moved on further waits for another one.
                if leads[member] > advance:
                    sync[tile] += idle[member]
                else:
                    starved[tile] += idle[member]
            position += advance
            cycles[tile] += 1


@kernel
def _step(row: NDArray[np.int64], position: int, depth: int, stage: NDArray[np.int64]) -> tuple[int, int]:
    """Run one cycle of one schedule in place; return the leading windows that are empty now, and its idle lanes."""
    staged = min(depth, row.size - position)
    for ahead in range(3):
        stage[ahead] = row[position + ahead] if ahead < staged else 0
    busy = _take(stage)
    lead, leading = 0, True
    for ahead in range(staged):
        row[position + ahead] = stage[ahead]
        leading = leading and stage[ahead] == 0
        if leading:
            lead += 1
    return lead, LANES - int(popcount(busy))
