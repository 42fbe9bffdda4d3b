"""The scanning PE: queues of non-zero pairs behind a shared scan pointer, a window at a time.

Between two windows a group only drains, so a whole stall is one step: if the fullest queue would exceed its depth by x
once the next window's pairs are in, the scanner waits ceil(x / L) cycles. What a PE gets is tracked per window; what it
lost to blocked or draining cycles follows, since its lanes consume, starve or wait (`sync`) until its group ends.

Equal tiles take equal time: where an operand is dense its rows are alike, so few tiles differ, and each is run once.
"""

from __future__ import annotations

import numpy as np

from accelsim.hardware.model import Hardware
from accelsim.lowering.bits import Words
from accelsim.lowering.gemm import MaskedGemm
from accelsim.timing.outcome import GemmTiming, Slots
from accelsim.timing.scan_kernels import Operand, scan_gemm
from accelsim.timing.scan_tile import ALONE, BY_OUTER, TOGETHER, Pes, State, Tile, Totals
from accelsim.timing.tiles import Schedule, Tiling, distinct_tiles, schedule
from accelsim.timing.vector import BLOCK, INNER_LOG2, LANES, SUMS
from accelsim.timing.windows import PLANE, cut_planes, full_planes, window_sizes

_MODES = {"pe": ALONE, "row": BY_OUTER, "column": BY_OUTER, "array": TOGETHER}


def time_scanning(hw: Hardware, gemm: MaskedGemm) -> GemmTiming:
    """Time a GEMM on scanning PEs (timing contract: windows, queues, sync groups, dropped windows, output masks)."""
    plan = schedule(hw, gemm)
    needed = gemm.needed if hw.skipping.outputs else None
    if needed is not None:
        totals = _run(hw, gemm, gemm.a, gemm.b, plan, needed)
        return _timing(hw, gemm, plan, totals, int(totals.true_pairs.sum()))
    rows, row_of = distinct_tiles(_as_seen(hw, gemm.a_kind, gemm.a), hw.array.rows)
    columns, column_of = distinct_tiles(_as_seen(hw, gemm.b_kind, gemm.b), hw.array.cols)
    totals = _run(hw, gemm, gemm.a[rows], gemm.b[columns], _all_columns(hw, len(rows), len(columns)), None)
    each = (row_of[:, None] * (column_of.max(initial=-1) + 1) + column_of).ravel()
    return _timing(hw, gemm, plan, Totals(*(part[each] for part in totals)), gemm.effectual_macs)


def _as_seen(hw: Hardware, kind: str, rows: Words) -> Words:
    """What of an operand can make a difference: nothing, if its zeros are neither skipped nor dropped."""
    return rows if kind in hw.skipping.tensors or kind in hw.skipping.blocks else rows[:, :0]


def _all_columns(hw: Hardware, m: int, n: int) -> Schedule:
    row_tiles = -(-m // hw.array.rows)
    starts, stops = np.zeros(row_tiles, np.int64), np.full(row_tiles, n)
    return Schedule(np.arange(n), starts, stops, True, -(-stops // hw.array.cols))


def _run(hw: Hardware, gemm: MaskedGemm, a: Words, b: Words, plan: Schedule, needed: Words | None) -> Totals:
    """Run the tiles of some rows and columns of a GEMM."""
    skipping, width = hw.skipping, hw.skipping.scan_width
    full = full_planes(gemm.k, width)
    a, b = cut_planes(a, gemm.k, width), cut_planes(b, gemm.k, width)
    sees_a, sees_b = gemm.a_kind in skipping.tensors, gemm.b_kind in skipping.tensors
    pes, tile = _array(hw, gemm.k)
    totals = Totals(*(np.zeros(plan.tiles, np.int64) for _ in Totals._fields))
    counts_true = needed is not None and not (sees_a and sees_b)
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
        tile,
        counts_true,
        totals,
    )
    return totals if counts_true else totals._replace(true_pairs=totals.pairs)


def _array(hw: Hardware, k: int) -> tuple[Pes, Tile]:
    """Lay the PEs out in vectors; their state is as narrow as queues and windows allow."""
    array, width = hw.array, hw.skipping.scan_width
    depth = min(hw.skipping.fifo_depth, max(k, width))  # a queue never holds more than K pairs
    by_column = hw.skipping.sync == "column"
    outer, inner = (array.cols, array.rows) if by_column else (array.rows, array.cols)
    inner_log2 = next((size for size in INNER_LOG2 if inner <= 1 << size), INNER_LOG2[-1])
    outer_vectors = -(-inner // LANES)
    vector_outers = LANES >> inner_log2
    vectors = -(-outer // vector_outers) * outer_vectors
    most = 255 if max(depth, array.lanes) + width <= 255 else 2**32 - 1
    state: State = np.zeros(vectors * BLOCK, np.uint8) if most == 255 else np.zeros(vectors * BLOCK, np.uint32)
    pes = Pes(
        rows=array.rows,
        cols=array.cols,
        lanes=array.lanes,
        depth=depth,
        planes=-(-width // PLANE),
        sizes=np.array(window_sizes(k, width)),
        mode=_MODES[hw.skipping.sync],
        by_column=by_column,
        inner_log2=inner_log2,
        vector_outers=vector_outers,
        outer_vectors=outer_vectors,
        outer_at=np.arange(vectors) // outer_vectors * vector_outers,
        inner_at=np.arange(vectors) % outer_vectors * LANES,
        flush_every=most // max(width, array.lanes),
    )
    tile = Tile(
        state=state,
        sums=np.zeros(vectors * SUMS, np.uint32),
        peak=np.zeros(LANES, state.dtype),
        working=np.zeros(outer, np.int64),
        ended=np.zeros(1 if pes.mode == TOGETHER else outer, np.int64),
    )
    return pes, tile


def _timing(hw: Hardware, gemm: MaskedGemm, plan: Schedule, totals: Totals, effectual: int) -> GemmTiming:
    array = hw.array
    heights, widths = plan.extents(hw, gemm)
    pairs = int(totals.pairs.sum())
    pes = array.rows * array.cols
    return GemmTiming(
        tile_cycles=totals.cycles,
        tiles_per_row=plan.tiles_per_row,
        slots=Slots(
            effectual=effectual,
            ineffectual=pairs - effectual,
            edge=array.lanes * int(((pes - totals.working) * totals.cycles).sum()),
            barrier=int(totals.barrier.sum()),
            sync=int(totals.sync.sum()),
            starved=int(totals.starved.sum()),
        ),
        scan_windows=int(totals.scanned.sum()),
        fifo_pushes=pairs,
        streamed_a=int((heights * totals.positions).sum()),
        streamed_b=int((widths * totals.positions).sum()),
        outputs=int(totals.working.sum()),
        tile_positions=totals.positions,
    )
