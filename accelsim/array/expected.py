"""What counts of non-zeros tell about a GEMM's pairs without a simulation."""

from __future__ import annotations

from collections.abc import Collection

import numpy as np
from numpy.typing import NDArray

from accelsim.array.tiled import TiledGemm
from accelsim.hardware.skipping import Skipping
from accelsim.lowering.bits import Words
from accelsim.lowering.gemm import MaskedGemm

_CHUNKS = 16  # of K, in each of which non-zeros count as spread evenly
_ROWS_AT_ONCE = 1 << 14
Reals = NDArray[np.float64]


def known_pairs(skipping: Skipping, tiled: TiledGemm) -> dict[str, int]:
    """Return what is known of `Slots` where all outputs are computed."""
    if tiled.needed is not None:
        return {}
    effectual, pairs = tiled.effectual_macs, consumed_pairs(skipping, tiled.gemm)
    return {"effectual": effectual} | ({} if pairs is None else {"ineffectual": pairs - effectual})


def consumed_pairs(skipping: Skipping, gemm: MaskedGemm) -> int | None:
    """Count the pairs of all outputs with no zero in what `skipping.tensors` lists, which are those that are consumed.

    None if windows are dropped that hold some, so that only a simulation tells.
    """
    if not all_are_consumed(skipping, gemm):
        return None
    sees_a, sees_b = (kind in skipping.tensors for kind in (gemm.a_kind, gemm.b_kind))
    if sees_a and sees_b:
        return gemm.effectual_macs
    if sees_a or sees_b:
        shared = 1 if gemm.b_of is None else gemm.stack  # GEMMs that have the same columns
        seen, others = (gemm.a, gemm.n) if sees_a else (gemm.columns, shared * gemm.m)
        return others * int(np.bitwise_count(seen).sum(dtype=np.int64))
    return gemm.macs


def all_are_consumed(skipping: Skipping, gemm: MaskedGemm) -> bool:
    """Whether no window is dropped that holds a pair: only windows of what the scanner sees are."""
    return all(kind in skipping.tensors or kind not in skipping.blocks for kind in (gemm.a_kind, gemm.b_kind))


def most_pairs(tensors: Collection[str], tiled: TiledGemm) -> Reals:
    """Return the pairs that the PE with most is expected to see, in each tile: float64 [tiles].

    In each chunk of K a row of A and a column of B meet as often as if their non-zeros were spread evenly. Where
    columns differ, rows are not told apart: the mean of a tile's rows counts, times how much more the fullest has.

    Args:
        tensors: those whose zeros are seen.
    """
    gemm = tiled.gemm
    a = _counts(gemm.a, gemm.k) if gemm.a_kind in tensors else _positions(gemm.m, gemm.k)
    starts, size = np.arange(0, gemm.m, tiled.rows), _chunk(gemm.k)
    if gemm.k % size:
        a[:, -1] *= size // (gemm.k % size)  # the last chunk is smaller
    sees_b = gemm.b_kind in tensors
    kinds = len(gemm.b) if sees_b else 1
    if kinds * tiled.rows <= gemm.n:
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
    for own, start, stop in zip(pairs, tiled.starts.tolist(), tiled.stops.tolist(), strict=True):
        columns = tiled.columns[start:stop]
        of = np.zeros_like(columns) if not sees_b else columns if gemm.b_of is None else gemm.b_of[columns]
        padded = np.zeros(-(-columns.size // tiled.cols) * tiled.cols)
        padded[: columns.size] = own[of]
        most.append(padded.reshape(-1, tiled.cols).max(axis=1, initial=0))
    return np.concatenate([*most, np.zeros(0)])


def _chunk(k: int) -> int:
    """K positions of a chunk: whole bytes, and whole words where there are more chunks than bytes in a word."""
    return next((size for size in (8, 16, 32) if k <= size * _CHUNKS), 64 * -(-k // (64 * _CHUNKS)))


def _counts(rows: Words, k: int) -> Reals:
    """Non-zeros of each row in each chunk of K: float64 [rows, chunks]."""
    size, chunks = _chunk(k), -(-k // _chunk(k))
    parts = np.bitwise_count(rows.view(f"u{min(8, size // 8)}"))
    group = max(1, size // 64)
    if group == 1:
        return np.asarray(parts[:, :chunks], np.float64)
    padded = np.zeros((len(rows), chunks * group), np.uint8)
    padded[:, : parts.shape[1]] = parts
    return np.asarray(padded.reshape(len(rows), chunks, group).sum(axis=2, dtype=np.float64))


def _positions(rows: int, k: int) -> Reals:
    """Counts of rows without a zero."""
    size = _chunk(k)
    return np.tile(np.minimum(size, k - np.arange(0, k, size)).astype(np.float64), (rows, 1))
