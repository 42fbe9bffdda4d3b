"""TensorDash (Mahmoud et al., MICRO 2020): 16 lanes whose operands move up in time and across lanes, past zeros.

One of the two operands is scheduled, a schedule per array row (A) or column (B). A schedule sees the next windows of
16 positions; in a cycle each lane takes the first of its eight candidates that is non-zero and still there, and the
windows left empty move out. Every non-zero of the scheduled operand is consumed once, beside whatever its partner is.
"""

from __future__ import annotations

from typing import Literal

import numpy as np
from numpy.typing import NDArray

from accelsim import kernel
from accelsim.hardware.model import TENSORDASH_LANES, Hardware
from accelsim.lowering.bits import Words
from accelsim.lowering.gemm import MaskedGemm
from accelsim.timing.dense import effectual_where_needed, find_windows, time_dense
from accelsim.timing.outcome import GemmTiming, Slots
from accelsim.timing.tiles import schedule

LANES = TENSORDASH_LANES


def scheduled_operand(hw: Hardware, gemm: MaskedGemm) -> Literal["a", "b"] | None:
    """Name the operand that a GEMM's schedules follow, "a" or "b"; None if `skipping.tensors` lists neither.

    Of two listed operands it is the one with the larger share of zeros (padding included), A if they are equal. All of
    the GEMM counts, also what output masks and dropped windows leave out.
    """
    listed_a, listed_b = gemm.a_kind in hw.skipping.tensors, gemm.b_kind in hw.skipping.tensors
    if not (listed_a and listed_b):
        return "a" if listed_a else "b" if listed_b else None
    return "a" if _nonzeros(gemm.a) * gemm.n <= _nonzeros(gemm.columns) * gemm.m else "b"


def time_tensordash(hw: Hardware, gemm: MaskedGemm) -> GemmTiming:
    """Time a GEMM on TensorDash PEs (timing contract: staged windows, moves, dropped windows, output masks)."""
    operand = scheduled_operand(hw, gemm)
    if operand is None:
        return time_dense(hw, gemm)
    skipping, array, plan = hw.skipping, hw.array, schedule(hw, gemm)
    needed = gemm.needed if skipping.outputs else None
    tile_cycles, tile_positions = np.zeros((2, plan.tiles), np.int64)
    present_a, present_b = _present(hw, gemm)
    rows = np.ascontiguousarray(gemm.a if operand == "a" else gemm.columns)
    pairs, sync, starved, barrier, working_slots, outputs, scanned = kernel.compiled.tensordash(
        gemm.m,
        gemm.n,
        gemm.k,
        rows.view(np.uint16),  # words are little-endian: each holds four windows of 16 positions
        operand == "b",
        needed,
        plan.columns,
        plan.starts,
        plan.stops,
        array.rows,
        array.cols,
        skipping.stage_depth,
        skipping.advance == "together",
        present_a,
        present_b,
        tile_cycles,
        tile_positions,
    )
    heights, widths = plan.extents(hw, gemm)
    streamed_a, streamed_b = int((heights * tile_positions).sum()), int((widths * tile_positions).sum())
    effectual = gemm.effectual_macs if needed is None else effectual_where_needed(gemm.a, gemm.columns, needed)
    every_slot = array.rows * array.cols * LANES * int(tile_cycles.sum())
    return GemmTiming(
        tile_cycles=tile_cycles,
        tiles_per_row=plan.tiles_per_row,
        slots=Slots(
            effectual=effectual,
            ineffectual=pairs - effectual,
            edge=every_slot - working_slots,
            barrier=barrier,
            sync=sync,
            starved=starved,
        ),
        # A schedule serves a whole row or column of PEs: each of its windows is looked at once.
        scan_windows=scanned,
        # Staging registers are shared likewise: every operand sent to the array is written there once, two make a pair.
        fifo_pushes=(streamed_a + streamed_b) // 2,
        streamed_a=streamed_a,
        streamed_b=streamed_b,
        outputs=outputs,
        tile_positions=tile_positions,
    )


def _present(hw: Hardware, gemm: MaskedGemm) -> tuple[NDArray[np.bool_] | None, NDArray[np.bool_] | None]:
    """Tell which windows of A (by row tile) and of B (by column) hold a non-zero; None where they are not dropped."""
    present_a = present_b = None
    if gemm.a_kind in hw.skipping.blocks:
        some = find_windows(gemm.a, gemm.k, LANES)
        present_a = np.logical_or.reduceat(some, np.arange(0, gemm.m, hw.array.rows), axis=0)
    if gemm.b_kind in hw.skipping.blocks:
        present_b = find_windows(gemm.columns, gemm.k, LANES)
    return present_a, present_b


def _nonzeros(words: Words) -> int:
    return int(np.bitwise_count(words).sum(dtype=np.int64))
