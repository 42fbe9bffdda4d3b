"""The scanning PE: queues of non-zero pairs that PEs of a group fill from a shared scan pointer, a window at a time.

What a PE gets is tracked per window by the compiled kernel (docs/performance.md). What it lost to blocked or draining
cycles follows, since its lanes consume, starve or wait (`sync`) until its group ends.

Equal tiles take equal time: where an operand is dense its rows are alike, so few tiles differ, and each is run once.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from accelsim import kernel
from accelsim.hardware.model import Hardware
from accelsim.lowering.bits import Words
from accelsim.lowering.gemm import MaskedGemm
from accelsim.timing.dense import effectual_where_needed
from accelsim.timing.outcome import GemmTiming, Slots
from accelsim.timing.tiles import Schedule, distinct_tiles, schedule

_SYNC = ("pe", "row", "column", "array")

Integers = NDArray[np.int64]


class _Scanned(NamedTuple):
    """What the PEs of each tile did, int64 [tiles] each; in the order of the kernel's `ScanTotals`.

    Attributes:
        cycles, positions: cycles, and K positions streamed.
        outputs: PEs with an output.
        pairs: pairs consumed; 0 where they are known beforehand.
        starved: lane-cycles in which the scanner advanced and gave too little.
        busy: cycles until a PE's group ended, summed over PEs with an output.
        windows: windows looked at, summed over PEs.
    """

    cycles: Integers
    positions: Integers
    outputs: Integers
    pairs: Integers
    starved: Integers
    busy: Integers
    windows: Integers


def time_scanning(hw: Hardware, gemm: MaskedGemm) -> GemmTiming:
    """Time a GEMM on scanning PEs (timing contract: windows, queues, sync groups, dropped windows, output masks)."""
    plan = schedule(hw, gemm)
    needed = gemm.needed if hw.skipping.outputs else None
    if needed is not None:
        scanned = _scan(hw, gemm, gemm.a, gemm.b_of, plan, needed)
        pairs = int(scanned.pairs.sum())
        seen = all(kind in hw.skipping.tensors for kind in (gemm.a_kind, gemm.b_kind))
        effectual = pairs if seen else effectual_where_needed(gemm.a, gemm.columns, needed)
        return _timing(hw, gemm, plan, scanned, pairs, effectual)
    rows, row_of = distinct_tiles(_as_seen(hw, gemm.a_kind, gemm.a), hw.array.rows)
    columns, column_of = distinct_tiles(_as_seen(hw, gemm.b_kind, gemm.b), hw.array.cols, gemm.b_of)
    a = gemm.a if rows is None else gemm.a[rows]
    b_of = gemm.b_of
    if columns is not None:
        b_of = columns.astype(np.int32) if b_of is None else b_of[columns]
    every_column = _all_columns(hw, len(a), gemm.n if b_of is None else len(b_of))
    scanned = _scan(hw, gemm, a, b_of, every_column, None)
    if rows is not None or columns is not None:
        each = (row_of[:, None] * (column_of.max(initial=-1) + 1) + column_of).ravel()
        scanned = _Scanned(*(of_tile[each] for of_tile in scanned))
    known = known_pairs(hw, gemm)
    pairs = int(scanned.pairs.sum()) if known is None else known
    return _timing(hw, gemm, plan, scanned, pairs, gemm.effectual_macs)


def _as_seen(hw: Hardware, kind: str, rows: Words) -> Words:
    """What of an operand can make a difference: nothing, if its zeros are neither skipped nor dropped."""
    return rows if kind in hw.skipping.tensors or kind in hw.skipping.blocks else rows[:, :0]


def _all_columns(hw: Hardware, m: int, n: int) -> Schedule:
    row_tiles = -(-m // hw.array.rows)
    starts, stops = np.zeros(row_tiles, np.int64), np.full(row_tiles, n)
    return Schedule(np.arange(n), starts, stops, True, -(-stops // hw.array.cols))


def _scan(
    hw: Hardware, gemm: MaskedGemm, a: Words, b_of: NDArray[np.int32] | None, plan: Schedule, needed: Words | None
) -> _Scanned:
    """Run some rows and columns of a GEMM; `b_of` has the row of `gemm.b` for each column, None: its own."""
    skipping, array = hw.skipping, hw.array
    totals = np.zeros((len(_Scanned._fields), plan.tiles), np.int64)
    if not totals.size:
        return _Scanned(*totals)
    kernel.compiled.scan(
        len(a),
        len(gemm.b) if b_of is None else len(b_of),
        gemm.k,
        np.ascontiguousarray(a),
        np.ascontiguousarray(gemm.b),
        b_of,
        needed,
        plan.columns,
        plan.starts,
        plan.stops,
        array.rows,
        array.cols,
        array.lanes,
        skipping.scan_width,
        min(skipping.fifo_depth, max(gemm.k, skipping.scan_width)),  # a queue never holds more than K pairs
        _SYNC.index(skipping.sync),
        gemm.a_kind in skipping.tensors,
        gemm.b_kind in skipping.tensors,
        gemm.a_kind in skipping.blocks,
        gemm.b_kind in skipping.blocks,
        needed is None and not _pairs_are_known(hw, gemm),
        totals,
    )
    return _Scanned(*totals)


def _pairs_are_known(hw: Hardware, gemm: MaskedGemm) -> bool:
    """Whether all pairs that the scanner sees are consumed: no window is dropped that holds some."""
    skipping = hw.skipping
    return all(kind in skipping.tensors or kind not in skipping.blocks for kind in (gemm.a_kind, gemm.b_kind))


def known_pairs(hw: Hardware, gemm: MaskedGemm) -> int | None:
    """Pairs that the scanner sees in all outputs, counted without a simulation; None if dropped windows hold some."""
    if not _pairs_are_known(hw, gemm):
        return None
    sees_a, sees_b = (kind in hw.skipping.tensors for kind in (gemm.a_kind, gemm.b_kind))
    if sees_a and sees_b:
        return gemm.effectual_macs
    if sees_a or sees_b:
        seen, others = (gemm.a, gemm.n) if sees_a else (gemm.columns, gemm.m)
        return others * int(np.bitwise_count(seen).sum(dtype=np.int64))
    return gemm.macs


def _timing(
    hw: Hardware, gemm: MaskedGemm, plan: Schedule, scanned: _Scanned, pairs: int, effectual: int
) -> GemmTiming:
    array = hw.array
    heights, widths = plan.extents(hw, gemm)
    pes, busy, starved = array.rows * array.cols, int(scanned.busy.sum()), int(scanned.starved.sum())
    worked = int((scanned.outputs * scanned.cycles).sum())
    return GemmTiming(
        tile_cycles=scanned.cycles,
        tiles_per_row=plan.tiles_per_row,
        slots=Slots(
            effectual=effectual,
            ineffectual=pairs - effectual,
            edge=array.lanes * (pes * int(scanned.cycles.sum()) - worked),
            barrier=array.lanes * (worked - busy),
            sync=array.lanes * busy - pairs - starved,
            starved=starved,
        ),
        scan_windows=int(scanned.windows.sum()),
        fifo_pushes=pairs,
        streamed_a=int((heights * scanned.positions).sum()),
        streamed_b=int((widths * scanned.positions).sum()),
        outputs=int(scanned.outputs.sum()),
        tile_positions=scanned.positions,
    )
