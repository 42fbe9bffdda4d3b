"""The scanning PE: queues of non-zero pairs behind a shared scan pointer, a window at a time.

Between two windows a group only drains, so a whole stall is one step: if the fullest queue would exceed its depth by x
once the next window's pairs are in, the scanner waits ceil(x / L) cycles. What a PE gets is tracked per window; what it
lost to blocked or draining cycles follows, since its lanes consume, starve or wait (`sync`) until its group ends.
"""

from __future__ import annotations

import numpy as np

from accelsim.hardware.model import Hardware
from accelsim.lowering.gemm import MaskedGemm
from accelsim.timing.outcome import GemmTiming, Slots
from accelsim.timing.scan_kernels import ALONE, BY_OUTER, TOGETHER, Operand, Pes, State, Tiling, Totals, scan_gemm
from accelsim.timing.tiles import schedule
from accelsim.timing.vector import BLOCK, LANES
from accelsim.timing.windows import count_windows, cut_windows, full_windows, words_a_window

_MODES = {"pe": ALONE, "row": BY_OUTER, "column": BY_OUTER, "array": TOGETHER}


def time_scanning(hw: Hardware, gemm: MaskedGemm) -> GemmTiming:
    """Time a GEMM on scanning PEs (timing contract: windows, queues, sync groups, dropped windows, output masks)."""
    skipping, array = hw.skipping, hw.array
    width = skipping.scan_width
    plan = schedule(hw, gemm)
    full = full_windows(gemm.k, width)
    a, b = cut_windows(gemm.a, gemm.k, width), cut_windows(gemm.b, gemm.k, width)
    sees_a, sees_b = gemm.a_kind in skipping.tensors, gemm.b_kind in skipping.tensors
    needed = gemm.needed if skipping.outputs else None
    by_column = skipping.sync == "column"
    pes = Pes(
        rows=array.rows,
        cols=array.cols,
        lanes=array.lanes,
        depth=min(skipping.fifo_depth, max(gemm.k, width)),  # a queue never holds more than K pairs
        parts=words_a_window(width),
        sizes=np.array([min(width, gemm.k - i * width) for i in range(count_windows(gemm.k, width))]),
        mode=_MODES[skipping.sync],
        by_column=by_column,
    )
    narrow = pes.depth + width + array.lanes < np.iinfo(np.int16).max
    outer, inner = (array.cols, array.rows) if by_column else (array.rows, array.cols)
    blocks = outer * -(-inner // LANES)
    state: State = np.zeros(blocks * BLOCK, np.int16) if narrow else np.zeros(blocks * BLOCK, np.int32)
    tile_cycles, tile_positions = np.zeros(plan.tiles, np.int64), np.zeros(plan.tiles, np.int64)
    totals = Totals(*(np.zeros(1, np.int64) for _ in Totals._fields))
    scan_gemm(
        Operand(a, a if sees_a else full, sees_a, gemm.a_kind in skipping.blocks),
        Operand(b, b if sees_b else full, sees_b, gemm.b_kind in skipping.blocks),
        Tiling(
            plan.columns,
            plan.starts,
            plan.stops,
            plan.shared,
            np.zeros((1, 1), np.uint64) if needed is None else needed,
            needed is not None,
        ),
        pes,
        state,
        tile_cycles,
        tile_positions,
        totals,
    )
    heights, widths = plan.extents(hw, gemm)
    every_slot = array.rows * array.cols * array.lanes * int(tile_cycles.sum())
    return GemmTiming(
        tile_cycles=tile_cycles,
        tiles_per_row=plan.tiles_per_row,
        slots=Slots(
            effectual=int(totals.true_pairs[0]),
            ineffectual=int(totals.pairs[0] - totals.true_pairs[0]),
            edge=every_slot - int(totals.working_slots[0]),
            barrier=int(totals.barrier[0]),
            sync=int(totals.sync[0]),
            starved=int(totals.starved[0]),
        ),
        scan_windows=int(totals.scanned[0]),
        fifo_pushes=int(totals.pairs[0]),
        streamed_a=int((heights * tile_positions).sum()),
        streamed_b=int((widths * tile_positions).sum()),
        outputs=int(totals.outputs[0]),
        tile_positions=tile_positions,
    )
