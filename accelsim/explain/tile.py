"""One tile taken apart: which windows it streams, and how long each of its sync groups scans, stalls and drains."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from accelsim.hardware.model import Hardware
from accelsim.lowering.bits import Words
from accelsim.lowering.gemm import MaskedGemm
from accelsim.timing import pe_kind
from accelsim.timing.tiles import schedule

Mask = NDArray[np.bool_]
Counts = NDArray[np.int64]
_WINDOWS_AT_ONCE = 1024  # bounds the memory of [windows, R, C] counts


@dataclass(frozen=True)
class SyncGroup:
    """The slowest sync group of a tile of scanning PEs; its three kinds of cycles add up to the tile's.

    Attributes:
        pes: "row 3", "column 0", "PE (3, 0)" or "array".
        fullest_pe: (row, column) in the tile of its PE with the most pairs.
        pairs: pairs offered to that PE.
        scan_cycles: cycles in which the scanner took a window.
        stall_cycles: cycles in which a full queue held the scanner up.
        drain_cycles: cycles behind the last window, until its queues were empty.
    """

    pes: str
    fullest_pe: tuple[int, int]
    pairs: int
    scan_cycles: int
    stall_cycles: int
    drain_cycles: int

    @property
    def cycles(self) -> int:
        """How long the group works."""
        return self.scan_cycles + self.stall_cycles + self.drain_cycles


@dataclass(frozen=True)
class Tile:
    """What a tile works on.

    Attributes:
        a, b: non-zeros of its rows [rows, K] and columns [columns, K].
        wanted: outputs that are computed, [rows, columns].
        row_tile, first_row: which row tile, and its first row of A (in the order of `mapping.row_order`).
        columns: int64 [columns], the scheduled columns of B that it takes.
    """

    a: Mask
    b: Mask
    wanted: Mask
    row_tile: int
    first_row: int
    columns: Counts

    @property
    def most_effectual(self) -> int:
        """Pairs of two non-zeros of the PE that has the most of them."""
        pairs = self.a.astype(np.float64) @ self.b.T.astype(np.float64)  # exact up to 2^53
        return int((pairs * self.wanted).max())


def cut_tile(hw: Hardware, gemm: MaskedGemm, index: int) -> Tile:
    """Take one tile out of a GEMM; tiles count with row tiles outermost."""
    plan = schedule(hw, gemm)
    first = np.append(0, np.cumsum(plan.tiles_per_row))
    row_tile = int(np.searchsorted(first, index, side="right")) - 1
    low = int(plan.starts[row_tile]) + (index - int(first[row_tile])) * hw.array.cols
    columns = plan.columns[low : min(low + hw.array.cols, int(plan.stops[row_tile]))]
    rows = slice(row_tile * hw.array.rows, min((row_tile + 1) * hw.array.rows, gemm.m))
    wanted = np.ones((rows.stop - rows.start, columns.size), bool)
    if gemm.needed is not None and hw.skipping.outputs:
        wanted = _unpacked(gemm.needed[rows], gemm.n)[:, columns]
    a, b = _unpacked(gemm.a[rows], gemm.k), _unpacked(gemm.columns[columns], gemm.k)
    return Tile(a, b, wanted, row_tile, rows.start, columns)


def window_width(hw: Hardware) -> int:
    """K positions of a window: S of a scanning PE, L of any other."""
    return hw.skipping.scan_width if pe_kind(hw) == "scanning" else hw.array.lanes


def streamed_windows(hw: Hardware, gemm: MaskedGemm, tile: Tile) -> Counts:
    """Indices of the windows that the tile streams: all but those that `skipping.blocks` drops."""
    starts = np.arange(0, gemm.k, window_width(hw))
    kept = np.ones(starts.size, bool)
    for kind, operand in ((gemm.a_kind, tile.a), (gemm.b_kind, tile.b)):
        if kind in hw.skipping.blocks:
            kept &= np.logical_or.reduceat(operand.any(axis=0), starts)
    return np.flatnonzero(kept)


def slowest_group(hw: Hardware, gemm: MaskedGemm, tile: Tile) -> SyncGroup:
    """Run a tile on scanning PEs and return the sync group that ends last, the first of them if several do."""
    skipping, lanes = hw.skipping, hw.array.lanes
    shown_a = tile.a if gemm.a_kind in skipping.tensors else np.ones_like(tile.a)
    shown_b = tile.b if gemm.b_kind in skipping.tensors else np.ones_like(tile.b)
    axes = {"pe": (), "row": (1,), "column": (0,), "array": (0, 1)}[skipping.sync]
    windows = streamed_windows(hw, gemm, tile)
    queues = np.zeros(tile.wanted.shape, np.int64)
    pairs = np.zeros(tile.wanted.shape, np.int64)
    stalled: Counts = np.zeros(tile.wanted.shape, np.int64).max(axis=axes, keepdims=True)
    for first in range(0, windows.size, _WINDOWS_AT_ONCE):
        for offered in _offers(shown_a, shown_b, windows[first : first + _WINDOWS_AT_ONCE], skipping.scan_width):
            offer = offered * tile.wanted
            too_many = np.maximum((queues + offer).max(axis=axes, keepdims=True) - skipping.fifo_depth, 0)
            stall = -(-too_many // lanes)
            queues = np.maximum(np.maximum(queues - stall * lanes, 0) + offer - lanes, 0)
            stalled += stall
            pairs += offer
    drained = -(-queues.max(axis=axes, keepdims=True) // lanes)
    row, column = np.unravel_index(int((stalled + drained).argmax()), stalled.shape)
    name, members = {
        "pe": (f"PE ({row}, {column})", np.s_[row : row + 1, column : column + 1]),
        "row": (f"row {row}", np.s_[row : row + 1, :]),
        "column": (f"column {column}", np.s_[:, column : column + 1]),
        "array": ("array", np.s_[:, :]),
    }[skipping.sync]
    own = pairs[members]
    at_row, at_column = np.unravel_index(int(own.argmax()), own.shape)
    whole_rows, whole_columns = skipping.sync in ("column", "array"), skipping.sync in ("row", "array")
    return SyncGroup(
        pes=name,
        fullest_pe=(int(at_row + (0 if whole_rows else row)), int(at_column + (0 if whole_columns else column))),
        pairs=int(own.max()),
        scan_cycles=windows.size,
        stall_cycles=int(stalled[row, column]),
        drain_cycles=int(drained[row, column]),
    )


def _offers(a: Mask, b: Mask, windows: Counts, width: int) -> Counts:
    """Pairs that each window offers each PE, int64 [windows, rows, columns]."""
    positions = windows[:, None] * width + np.arange(width)
    inside = positions < a.shape[1]
    positions = np.where(inside, positions, 0)
    left = (a[:, positions] & inside).transpose(1, 0, 2).astype(np.float32)  # counts up to 4096 are exact
    right = b[:, positions].transpose(1, 2, 0).astype(np.float32)
    counts: Counts = (left @ right).astype(np.int64)
    return counts


def _unpacked(words: Words, count: int) -> Mask:
    """Rows of words as booleans, [rows, count]."""
    bits = np.unpackbits(np.ascontiguousarray(words).view(np.uint8), axis=1, count=count, bitorder="little")
    return bits.view(bool)
