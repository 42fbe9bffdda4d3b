"""What each tile is expected to take, from counts of non-zeros alone: what strips are sorted by and compared with.

A prediction decides how sure an estimate is, not whether it is right: totals are ratios of simulated to predicted
cycles in strata of like predictions, and their variance is that of what the prediction leaves open. It costs a few
per cent of a simulation.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from accelsim.hardware.model import TENSORDASH_LANES, Hardware
from accelsim.lowering import MaskedGemm
from accelsim.lowering.bits import Words
from accelsim.sampling.strips import Strips
from accelsim.timing import pe_kind
from accelsim.timing.dense import Streams
from accelsim.timing.ports import port_cycles
from accelsim.timing.tiles import Schedule

_CHUNKS = 16  # of K, in each of which non-zeros count as spread evenly
_ROWS_AT_ONCE = 1 << 14
Cycles = NDArray[np.float64]


def predict_cycles(hw: Hardware, gemm: MaskedGemm, plan: Schedule, streams: Streams) -> Cycles:
    """Return the cycles that each tile is expected to take: float64 [tiles]; of dense PEs they are exact.

    A scanner takes a cycle a window, a lane one a pair; with TensorDash `stage_depth` windows at most leave in a cycle.
    The PE that is expected to have most pairs decides.
    """
    if pe_kind(hw) == "dense":
        expected = streams.windows.astype(np.float64)
    elif pe_kind(hw) == "tensordash":
        expected = np.maximum(streams.windows / hw.skipping.stage_depth, _most_pairs(hw, gemm, plan) / TENSORDASH_LANES)
    else:
        expected = np.maximum(streams.windows, _most_pairs(hw, gemm, plan) / hw.array.lanes)
    return np.maximum(expected, port_cycles(hw, gemm, plan, streams.positions))


def refine(predicted: Cycles, strips: Strips, chosen: NDArray[np.int64], simulated: Cycles) -> Cycles:
    """Return the predictions, or the same for every tile if simulated strips agree better with that.

    A prediction that says nothing then does no harm (TensorDash's cycles may be the same whatever the masks are).
    Tiles that are expected to take nothing still are. A line fitted to the strips would follow the few that differ.

    Args:
        predicted: float64 [tiles].
        chosen: the simulated strips.
        simulated: float64 [chosen], their cycles.
    """
    some = (predicted > 0).astype(np.float64)
    tiles, cycles = strips.sums(some)[chosen], strips.sums(predicted)[chosen]
    tiles, cycles, simulated = tiles[cycles > 0], cycles[cycles > 0], simulated[cycles > 0]
    if not simulated.any():
        return predicted
    each, ratio = simulated / tiles, simulated / cycles
    return some if each.std() / each.mean() < ratio.std() / ratio.mean() else predicted


def _most_pairs(hw: Hardware, gemm: MaskedGemm, plan: Schedule) -> Cycles:
    """Pairs that the PE with most is expected to see, in each tile: float64 [tiles].

    In each chunk of K a row of A and a column of B meet as often as if their non-zeros were spread evenly. Where
    columns differ, rows are not told apart: the mean of a tile's rows counts, times how much more the fullest has.
    """
    a = _counts(gemm.a, gemm.k) if gemm.a_kind in hw.skipping.tensors else _positions(gemm.m, gemm.k)
    starts, size = np.arange(0, gemm.m, hw.array.rows), _chunk(gemm.k)
    if gemm.k % size:
        a[:, -1] *= size // (gemm.k % size)  # the last chunk is smaller
    sees_b = gemm.b_kind in hw.skipping.tensors
    kinds = len(gemm.b) if sees_b else 1
    if kinds * hw.array.rows <= gemm.n:
        b = _counts(gemm.b, gemm.k) if sees_b else _positions(1, gemm.k)
        pairs = np.maximum.reduceat(a @ b.T, starts, axis=0) / size
    else:
        of_tile, of_row = np.add.reduceat(a, starts, axis=0), a.sum(axis=1)
        fullest = np.maximum.reduceat(of_row, starts) / np.maximum(1, of_tile.sum(axis=1))  # over the rows' sum
        pairs = np.empty((starts.size, kinds))
        for low in range(0, kinds, _ROWS_AT_ONCE):
            high = min(low + _ROWS_AT_ONCE, kinds)
            np.matmul(of_tile, _counts(gemm.b[low:high], gemm.k).T, out=pairs[:, low:high])  # whole: exact in any order
        pairs *= (fullest / size)[:, None]
    most = []
    for own, start, stop in zip(pairs, plan.starts.tolist(), plan.stops.tolist(), strict=True):
        columns = plan.columns[start:stop]
        of = np.zeros_like(columns) if not sees_b else columns if gemm.b_of is None else gemm.b_of[columns]
        padded = np.zeros(-(-columns.size // hw.array.cols) * hw.array.cols)
        padded[: columns.size] = own[of]
        most.append(padded.reshape(-1, hw.array.cols).max(axis=1, initial=0))
    return np.concatenate([*most, np.zeros(0)])


def _chunk(k: int) -> int:
    """K positions of a chunk: whole bytes, and whole words where there are more chunks than bytes in a word."""
    return next((size for size in (8, 16, 32) if k <= size * _CHUNKS), 64 * -(-k // (64 * _CHUNKS)))


def _counts(rows: Words, k: int) -> Cycles:
    """Non-zeros of each row in each chunk of K: float64 [rows, chunks]."""
    size, chunks = _chunk(k), -(-k // _chunk(k))
    parts = np.bitwise_count(rows.view(f"u{min(8, size // 8)}"))
    group = max(1, size // 64)
    if group == 1:
        return np.asarray(parts[:, :chunks], np.float64)
    padded = np.zeros((len(rows), chunks * group), np.uint8)
    padded[:, : parts.shape[1]] = parts
    return np.asarray(padded.reshape(len(rows), chunks, group).sum(axis=2, dtype=np.float64))


def _positions(rows: int, k: int) -> Cycles:
    """Counts of rows without a zero."""
    size = _chunk(k)
    return np.tile(np.minimum(size, k - np.arange(0, k, size)).astype(np.float64), (rows, 1))
