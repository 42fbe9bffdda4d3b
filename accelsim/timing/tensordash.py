"""TensorDash (Mahmoud et al., MICRO 2020): 16 lanes whose operands move up in time and across lanes, past zeros.

One of the two operands is scheduled, a schedule per array row (A) or column (B). A schedule sees the next windows of
16 positions; in a cycle each lane takes the first of its eight candidates that is non-zero and still there, and the
windows left empty move out. Every non-zero of the scheduled operand is consumed once, beside whatever its partner is.
"""

from __future__ import annotations

from typing import Literal

import numpy as np

from accelsim.hardware.model import Hardware
from accelsim.lowering.bits import Words
from accelsim.lowering.gemm import MaskedGemm
from accelsim.timing.dense import effectual_where_needed, time_dense
from accelsim.timing.outcome import GemmTiming, Slots
from accelsim.timing.tensordash_kernels import LANES, Blocks, Pes, Totals, Windows, run_gemm
from accelsim.timing.tiles import Tiling, schedule
from accelsim.timing.windows import cut_windows

_NO_WINDOWS = np.zeros((1, 1), np.uint16)


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
    windows = cut_windows(gemm.a if operand == "a" else gemm.columns, gemm.k, LANES)
    tile_cycles, tile_positions = np.zeros(plan.tiles, np.int64), np.zeros(plan.tiles, np.int64)
    totals = Totals(*(np.zeros(1, np.int64) for _ in Totals._fields))
    run_gemm(
        windows,
        gemm.m,
        gemm.k,
        Tiling(
            plan.columns,
            plan.starts,
            plan.stops,
            plan.shared,
            np.zeros((1, 1), np.uint64) if needed is None else needed,
            needed is not None,
        ),
        np.append(np.int64(0), np.cumsum(plan.tiles_per_row)),
        Pes(array.rows, array.cols, operand == "b", skipping.stage_depth, skipping.advance == "together"),
        _blocks(hw, gemm),
        tile_cycles,
        tile_positions,
        totals,
    )
    heights, widths = plan.extents(hw, gemm)
    streamed_a, streamed_b = int((heights * tile_positions).sum()), int((widths * tile_positions).sum())
    effectual = gemm.effectual_macs if needed is None else int(effectual_where_needed(gemm.a, gemm.columns, needed))
    every_slot = array.rows * array.cols * LANES * int(tile_cycles.sum())
    return GemmTiming(
        tile_cycles=tile_cycles,
        tiles_per_row=plan.tiles_per_row,
        slots=Slots(
            effectual=effectual,
            ineffectual=int(totals.pairs[0]) - effectual,
            edge=every_slot - int(totals.working_slots[0]),
            barrier=int(totals.barrier[0]),
            sync=int(totals.sync[0]),
            starved=int(totals.starved[0]),
        ),
        # A schedule serves a whole row or column of PEs: each of its windows is looked at once.
        scan_windows=int(totals.scanned[0]),
        # Staging registers are shared likewise: every operand sent to the array is written there once, two make a pair.
        fifo_pushes=(streamed_a + streamed_b) // 2,
        streamed_a=streamed_a,
        streamed_b=streamed_b,
        outputs=int(totals.outputs[0]),
        tile_positions=tile_positions,
    )


def _blocks(hw: Hardware, gemm: MaskedGemm) -> Blocks:
    """Prepare what tells a tile's dropped windows."""
    drop_a, drop_b = gemm.a_kind in hw.skipping.blocks, gemm.b_kind in hw.skipping.blocks
    present_a = np.zeros((1, 1), bool)
    if drop_a:
        some: Windows = cut_windows(gemm.a, gemm.k, LANES)
        present_a = np.bitwise_or.reduceat(some, np.arange(0, gemm.m, hw.array.rows), axis=0) != 0
    return Blocks(drop_a, drop_b, present_a, cut_windows(gemm.columns, gemm.k, LANES) if drop_b else _NO_WINDOWS)


def _nonzeros(words: Words) -> int:
    return int(np.bitwise_count(words).sum(dtype=np.int64))
