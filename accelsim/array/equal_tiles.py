"""Which tiles of an operand's rows are equal: they take equal time, so each kind is run once."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from accelsim.lowering.bits import Words

_LOOKED_AT = 256  # rows that tell whether most rows differ


def distinct_tiles(
    rows: Words, size: int, of: NDArray[np.int32] | None = None
) -> tuple[NDArray[np.int64] | None, NDArray[np.int64]]:
    """Find the tiles of `size` consecutive rows that differ.

    Args:
        rows: words [rows, words].
        size: rows of a tile.
        of: where given, the row meant at each place.

    Returns:
        The places of one tile of each kind, one tile after another (one that is not full comes last; None if all tiles
        count as different), and each tile's kind, int64 [tiles].
    """
    count = len(rows) if of is None else len(of)
    kinds = _kinds(rows)
    if kinds is None and of is None:
        return None, np.arange(-(-count // size))
    kinds = np.arange(len(rows)) if kinds is None else kinds
    padded = np.full(-(-count // size) * size, -1, np.int64)
    padded[:count] = kinds if of is None else kinds[of]
    tiles = padded.reshape(-1, size)
    _, first, kind = np.unique(tiles, axis=0, return_index=True, return_inverse=True)
    order = np.argsort(first)  # by first appearance: a tile that is not full is the last
    rank = np.empty_like(order)
    rank[order] = np.arange(len(order))
    chosen = (first[order][:, None] * size + np.arange(size)).ravel()
    return chosen[chosen < count], rank[kind.ravel()]


def _kinds(rows: Words) -> NDArray[np.int64] | None:
    """Number the rows so that equal rows have equal numbers; None if most rows seem to differ.

    Looking for equal ones would then cost more than it saves.
    """
    if not rows.shape[1]:
        return np.zeros(len(rows), np.int64)
    if len(rows) > _LOOKED_AT and len({row.tobytes() for row in rows[:_LOOKED_AT]}) > _LOOKED_AT // 2:
        return None
    if (rows == rows[:1]).all():
        return np.zeros(len(rows), np.int64)
    # A row as one item: with `axis=0`, long rows are slow.
    whole = np.dtype((np.void, rows.dtype.itemsize * rows.shape[1]))
    _, kinds = np.unique(np.ascontiguousarray(rows).view(whole).ravel(), return_inverse=True)
    return kinds
