"""The dense PE: L positions of K a cycle, whatever they hold, less the windows dropped by `skipping.blocks`."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from accelsim import kernel
from accelsim.hardware.model import Hardware
from accelsim.lowering.bits import WORD, Words
from accelsim.lowering.gemm import MaskedGemm
from accelsim.timing.outcome import GemmTiming, Slots
from accelsim.timing.tiles import Schedule, schedule


def time_dense(hw: Hardware, gemm: MaskedGemm) -> GemmTiming:
    """Time a GEMM on dense PEs: ceil(K / L) cycles a tile, less dropped windows."""
    masked = gemm.needed is not None and hw.skipping.outputs
    if masked or {gemm.a_kind, gemm.b_kind} & set(hw.skipping.blocks):
        return _time_streams(hw, gemm, gemm.needed if masked else None)
    return _time_whole(hw, gemm)


def _time_whole(hw: Hardware, gemm: MaskedGemm) -> GemmTiming:
    """Time a GEMM of which nothing is left out: as many cycles for every tile, whatever the masks."""
    rows, cols, lanes = hw.array.rows, hw.array.cols, hw.array.lanes
    row_tiles, column_tiles, windows = -(-gemm.m // rows), -(-gemm.n // cols), -(-gemm.k // lanes)
    tiles, outputs = row_tiles * column_tiles, gemm.m * gemm.n
    return GemmTiming(
        tile_cycles=np.full(tiles, windows),
        tiles_per_row=np.full(row_tiles, column_tiles),
        slots=Slots(
            effectual=gemm.effectual_macs,
            ineffectual=gemm.macs - gemm.effectual_macs,
            edge=lanes * (rows * cols * tiles - outputs) * windows,
            starved=outputs * (lanes * windows - gemm.k),
        ),
        scan_windows=0,
        fifo_pushes=0,
        streamed_a=gemm.m * column_tiles * gemm.k,
        streamed_b=gemm.n * row_tiles * gemm.k,
        outputs=outputs,
    )


def _time_streams(hw: Hardware, gemm: MaskedGemm, needed: Words | None) -> GemmTiming:
    """Time a GEMM of which windows or outputs are left out."""
    rows, cols, lanes = hw.array.rows, hw.array.cols, hw.array.lanes
    plan = schedule(hw, gemm)
    heights, widths = plan.extents(hw, gemm)
    working = heights * widths if needed is None else _working(hw, plan, needed)
    cycles, positions = find_streams(hw, gemm, plan, lanes)
    pairs = int((working * positions).sum())
    effectual = gemm.effectual_macs if needed is None else effectual_where_needed(gemm.a, gemm.columns, needed)
    return GemmTiming(
        tile_cycles=cycles,
        tiles_per_row=plan.tiles_per_row,
        slots=Slots(
            effectual=effectual,
            ineffectual=pairs - effectual,
            edge=lanes * int(((rows * cols - working) * cycles).sum()),
            starved=int((working * (lanes * cycles - positions)).sum()),
        ),
        scan_windows=0,
        fifo_pushes=0,
        streamed_a=int((heights * positions).sum()),
        streamed_b=int((widths * positions).sum()),
        outputs=int(working.sum()),
        tile_positions=positions,
    )


def _working(hw: Hardware, plan: Schedule, needed: Words) -> NDArray[np.int64]:
    """Outputs that each tile computes."""
    working = np.empty(plan.tiles, np.int64)
    rows, cols = hw.array.rows, hw.array.cols
    kernel.compiled.count_outputs(
        needed, len(needed), needed.shape[1] * WORD, plan.columns, plan.starts, plan.stops, rows, cols, working
    )
    return working


class Streams(NamedTuple):
    """What each tile streams, int64 [tiles]: windows that `skipping.blocks` does not drop, and K positions of them."""

    windows: NDArray[np.int64]
    positions: NDArray[np.int64]


def find_streams(hw: Hardware, gemm: MaskedGemm, plan: Schedule, width: int) -> Streams:
    """Find what each tile streams, in windows of `width` positions."""
    rows, cols, windows = hw.array.rows, hw.array.cols, -(-gemm.k // width)
    drop_a, drop_b = gemm.a_kind in hw.skipping.blocks, gemm.b_kind in hw.skipping.blocks
    streams = Streams(np.full(plan.tiles, windows), np.full(plan.tiles, gemm.k))
    if not (drop_a or drop_b):
        return streams
    present_a = np.ones((len(plan.starts), windows), bool)
    if drop_a:
        present_a = np.logical_or.reduceat(find_windows(gemm.a, gemm.k, width), np.arange(0, gemm.m, rows), axis=0)
    present_b = find_windows(gemm.columns, gemm.k, width) if drop_b else None
    kernel.compiled.count_streamed(
        present_a,
        present_b,
        gemm.m,
        gemm.n,
        gemm.k,
        width,
        plan.columns,
        plan.starts,
        plan.stops,
        rows,
        cols,
        *streams,
    )
    return streams


def find_windows(rows: Words, k: int, width: int) -> NDArray[np.bool_]:
    """Whether each row has a non-zero in each window of `width` positions: bool [rows, ceil(k / width)]."""
    present = np.empty((len(rows), -(-k // width)), bool)
    kernel.compiled.find_windows(np.ascontiguousarray(rows), len(rows), k, width, present)
    return present


def effectual_where_needed(a: Words, b: Words, needed: Words) -> int:
    """Count pairs of two non-zeros at the outputs that must be computed.

    Args:
        a, b: words [M, words] and [N, words], the operands' non-zeros along K.
        needed: words [M, ceil(N / 64)].
    """
    a, b = np.ascontiguousarray(a), np.ascontiguousarray(b)
    return kernel.compiled.effectual_where_needed(a, len(a), b, len(b), a.shape[1], needed)
