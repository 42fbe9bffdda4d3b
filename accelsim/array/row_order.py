"""The order of A's rows (`mapping.row_order`); any is free in hardware, as a row is an address in the buffer."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from accelsim import kernel
from accelsim.hardware.model import Hardware
from accelsim.lowering.bits import Words
from accelsim.lowering.gemm import MaskedGemm

Integers = NDArray[np.int64]


def in_order(hw: Hardware, gemm: MaskedGemm, rows: int, cols: int) -> MaskedGemm:
    """Return a GEMM with its rows in the order in which a machine takes them; one that is alone, unless it is natural.

    Args:
        rows, cols: of a tile.
    """
    match hw.mapping.row_order:
        case "density":
            return _taken(gemm, np.argsort(-np.bitwise_count(gemm.a).sum(axis=1, dtype=np.int64), kind="stable"))
        case "packed" if gemm.needed is not None and hw.skipping.outputs and gemm.a_kind not in hw.skipping.blocks:
            order = pack_rows(gemm.needed, rows)
            before, after = (_column_tiles(needed, rows, cols) for needed in (gemm.needed, gemm.needed[order]))
            return _taken(gemm, order) if after < before else gemm
        case _:
            return gemm


def pack_rows(needed: Words, rows: int) -> Integers:
    """Return an order of rows of which each tile's worth wants few columns together, greedily: int64 [rows].

    Each tile begins with the row, of those left, that wants the most columns; then come, one by one, those that add the
    fewest to the columns wanted so far. Of equal rows the one that wants more comes first, then the one that was.

    Args:
        needed: words, outputs that must be computed.
        rows: of a tile.
    """
    left = np.argsort(-np.bitwise_count(needed).sum(axis=1, dtype=np.int64), kind="stable")
    waiting = needed[left]
    order = np.empty(left.size, np.int64)
    wanted = np.zeros(needed.shape[1], np.uint64)
    for place in range(left.size):
        chosen = 0
        if place % rows:
            chosen = int(np.bitwise_count(waiting & ~wanted).sum(axis=1, dtype=np.int64).argmin())
        else:
            wanted = np.zeros_like(wanted)
        wanted |= waiting[chosen]
        order[place] = left[chosen]
        left, waiting = np.delete(left, chosen), np.delete(waiting, chosen, axis=0)
    return order


def want_columns(needed: Words, stack: int, m: int, rows: int) -> tuple[Words, Integers]:
    """Return the columns that each row tile wants, as bits and counted: words [row tiles, words], int64 [row tiles]."""
    row_tiles, words = stack * -(-m // rows), needed.shape[1]
    wanted, counts = np.empty((row_tiles, words), np.uint64), np.empty(row_tiles, np.int64)
    kernel.compiled.want_columns(needed, stack, m, words, rows, wanted, counts)
    return wanted, counts


def _column_tiles(needed: Words, rows: int, cols: int) -> int:
    _, counts = want_columns(needed, 1, needed.shape[0], rows)
    return int((-(-counts // cols)).sum())


def _taken(gemm: MaskedGemm, order: Integers) -> MaskedGemm:
    return replace(gemm, a=gemm.a[order], needed=None if gemm.needed is None else gemm.needed[order])
