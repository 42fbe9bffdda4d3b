"""Which windows of K each tile streams: all but those that `skipping.blocks` drops."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from accelsim import kernel
from accelsim.array.tiled import Integers, TiledGemm
from accelsim.hardware.skipping import Skipping
from accelsim.lowering.bits import Words

Flags = NDArray[np.bool_]


class Streams(NamedTuple):
    """What each tile streams, int64 [tiles]: windows that are not dropped, and K positions of them."""

    windows: Integers
    positions: Integers


class Present(NamedTuple):
    """Windows that hold a non-zero; None of an operand whose empty windows are not dropped.

    Attributes:
        a: bool [row tiles, windows], in any row of the row tile.
        b: bool [columns, windows].
    """

    a: Flags | None
    b: Flags | None


def find_streams(skipping: Skipping, tiled: TiledGemm, width: int) -> Streams:
    """Find what each tile streams, in windows of `width` positions."""
    gemm, windows = tiled.gemm, -(-tiled.gemm.k // width)
    streams = Streams(np.full(tiled.tiles, windows), np.full(tiled.tiles, gemm.k))
    if gemm.a_kind not in skipping.blocks and gemm.b_kind not in skipping.blocks:
        return streams
    kernel.compiled.count_streamed(
        np.ascontiguousarray(gemm.a) if gemm.a_kind in skipping.blocks else None,
        np.ascontiguousarray(gemm.columns) if gemm.b_kind in skipping.blocks else None,
        gemm.stack,
        gemm.m,
        gemm.n,
        gemm.k,
        width,
        gemm.b_of is not None,
        tiled.columns,
        tiled.starts,
        tiled.stops,
        tiled.rows,
        tiled.cols,
        *streams,
    )
    return streams


def streamed_elements(tiled: TiledGemm, positions: Integers) -> dict[str, int]:
    """Return `streamed_a` and `streamed_b` of `GemmTiming`, given the K positions that each tile streams."""
    return {
        "streamed_a": int((tiled.heights * positions).sum()),
        "streamed_b": int((tiled.widths * positions).sum()),
    }


def find_present(skipping: Skipping, tiled: TiledGemm, width: int) -> Present:
    """Find the windows of `width` positions that hold a non-zero, where empty ones are dropped."""
    gemm, a, b = tiled.gemm, None, None
    if gemm.a_kind in skipping.blocks:
        rows = find_windows(gemm.a, gemm.k, width)
        a = np.logical_or.reduceat(rows, np.arange(0, gemm.m, tiled.rows), axis=0)
    if gemm.b_kind in skipping.blocks:
        b = find_windows(gemm.columns, gemm.k, width)
    return Present(a, b)


def find_windows(rows: Words, k: int, width: int) -> Flags:
    """Whether each row has a non-zero in each window of `width` positions: bool [rows, ceil(k / width)]."""
    present = np.empty((len(rows), -(-k // width)), bool)
    kernel.compiled.find_windows(np.ascontiguousarray(rows), len(rows), k, width, present)
    return present
