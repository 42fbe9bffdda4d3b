"""The dense PE: L positions of K a cycle, whatever they hold, less the windows dropped by `skipping.blocks`."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from accelsim.compile import kernel, popcount
from accelsim.hardware.model import Hardware
from accelsim.lowering.bits import Words
from accelsim.lowering.gemm import MaskedGemm
from accelsim.timing.outcome import GemmTiming, Slots
from accelsim.timing.tiles import Schedule, schedule
from accelsim.timing.windows import count_windows, cut_windows


def time_dense(hw: Hardware, gemm: MaskedGemm) -> GemmTiming:
    """Time a GEMM on dense PEs: ceil(K / L) cycles a tile, less dropped windows."""
    masked = gemm.needed is not None and hw.skipping.outputs
    if masked or {gemm.a_kind, gemm.b_kind} & set(hw.skipping.blocks):
        return _time_streams(hw, gemm, gemm.needed if masked else None)
    return _time_whole(hw, gemm)


def _time_whole(hw: Hardware, gemm: MaskedGemm) -> GemmTiming:
    """Time a GEMM of which nothing is left out: as many cycles for every tile, whatever the masks."""
    rows, cols, lanes = hw.array.rows, hw.array.cols, hw.array.lanes
    row_tiles, column_tiles, windows = -(-gemm.m // rows), -(-gemm.n // cols), count_windows(gemm.k, lanes)
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
    cycles, positions = _streamed(hw, gemm, plan)
    pairs = int((working * positions).sum())
    effectual = gemm.effectual_macs if needed is None else int(effectual_where_needed(gemm.a, gemm.columns, needed))
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
    working = np.zeros(plan.tiles, np.int64)
    _count_needed(needed, plan.columns, plan.starts, plan.stops, hw.array.rows, hw.array.cols, working)
    return working


def _streamed(hw: Hardware, gemm: MaskedGemm, plan: Schedule) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Cycles and K positions of each tile."""
    lanes = hw.array.lanes
    windows = count_windows(gemm.k, lanes)
    drop_a, drop_b = gemm.a_kind in hw.skipping.blocks, gemm.b_kind in hw.skipping.blocks
    cycles, positions = np.full(plan.tiles, windows), np.full(plan.tiles, gemm.k)
    if not (drop_a or drop_b):
        return cycles, positions
    sizes = np.full(windows, lanes)
    sizes[-1] = gemm.k - (windows - 1) * lanes
    parts = -(-lanes // 64)

    def present(rows: Words) -> NDArray[np.bool_]:
        cut = cut_windows(rows, gemm.k, lanes)
        return np.asarray(cut.reshape(len(rows), windows, parts).any(axis=2))

    any_a = np.ones((len(plan.starts), windows), bool)
    if drop_a:
        any_a = np.logical_or.reduceat(present(gemm.a), np.arange(0, gemm.m, hw.array.rows), axis=0)
    any_b = present(gemm.columns) if drop_b else np.ones((1, windows), bool)
    _count_kept(any_a, any_b, drop_b, plan.columns, plan.starts, plan.stops, hw.array.cols, sizes, cycles, positions)
    return cycles, positions


@kernel
def _count_kept(
    any_a: NDArray[np.bool_],
    any_b: NDArray[np.bool_],
    drop_b: bool,
    columns: NDArray[np.int64],
    starts: NDArray[np.int64],
    stops: NDArray[np.int64],
    cols: int,
    sizes: NDArray[np.int64],
    cycles: NDArray[np.int64],
    positions: NDArray[np.int64],
) -> None:
    index = 0
    for tile in range(starts.size):
        alone_cycles, alone_positions = 0, 0
        for window in range(sizes.size):
            if any_a[tile, window]:
                alone_cycles += 1
                alone_positions += sizes[window]
        for low in range(starts[tile], stops[tile], cols):
            if drop_b:
                cycles[index], positions[index] = 0, 0
                for window in range(sizes.size):
                    if any_a[tile, window]:
                        for at in range(low, min(low + cols, stops[tile])):
                            if any_b[columns[at], window]:
                                cycles[index] += 1
                                positions[index] += sizes[window]
                                break
            else:
                cycles[index], positions[index] = alone_cycles, alone_positions
            index += 1


@kernel
def _count_needed(
    needed: Words,
    columns: NDArray[np.int64],
    starts: NDArray[np.int64],
    stops: NDArray[np.int64],
    rows: int,
    cols: int,
    working: NDArray[np.int64],
) -> None:
    index = 0
    for tile in range(starts.size):
        for low in range(starts[tile], stops[tile], cols):
            for row in range(tile * rows, min((tile + 1) * rows, needed.shape[0])):
                for at in range(low, min(low + cols, stops[tile])):
                    bit = needed[row, columns[at] >> 6] >> np.uint64(columns[at] & 63)
                    working[index] += np.int64(bit & np.uint64(1))
            index += 1


@kernel
def effectual_where_needed(a: Words, b: Words, needed: Words) -> np.int64:
    """Count pairs of two non-zeros at the outputs that must be computed."""
    total = np.int64(0)
    for row in range(a.shape[0]):
        for col in range(b.shape[0]):
            if (needed[row, col >> 6] >> np.uint64(col & 63)) & np.uint64(1):
                for word in range(a.shape[1]):
                    total += np.int64(popcount(a[row, word] & b[col, word]))
    return total
