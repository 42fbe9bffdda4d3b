"""How long each sync group of a tile scans, stalls and drains: the rules of PEs once more, to be explained."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from accelsim.array.tile import Mask, Tile, streamed_windows
from accelsim.array.tiled import Integers

if TYPE_CHECKING:
    from accelsim.array.pe import PE

_WINDOWS_AT_ONCE = 1024  # bounds the memory of [windows, R, C] counts


@dataclass(frozen=True)
class SyncGroup:
    """The slowest sync group of a tile; its three kinds of cycles add up to the tile's.

    Attributes:
        pes: "row 3", "column 0", "PE (3, 0)" or "array".
        fullest_pe: (row, column) in the tile of its PE with the most pairs.
        pairs: pairs offered to that PE.
        scan_cycles: cycles in which the scanner took a window.
        stall_cycles: cycles in which there was no room for the next window.
        drain_cycles: cycles after the last window, until no pair was left.
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


def slowest_group(pe: PE[Any], sync: str, tile: Tile, too_many: Callable[[Integers, Integers], Integers]) -> SyncGroup:
    """Run a tile on PEs that take windows and return the sync group that ends last, the first of them if several do.

    Args:
        sync: PEs that share a scan pointer.
        too_many: pairs that each PE has to consume before a window may enter, given those that it holds and those that
            the window offers it, int64 [rows, columns]; asked once for each window, in order.
    """
    skipping, lanes = pe.skipping, pe.array.lanes
    shown_a = tile.a if tile.a_kind in skipping.tensors else np.ones_like(tile.a)
    shown_b = tile.b if tile.b_kind in skipping.tensors else np.ones_like(tile.b)
    axes = {"pe": (), "row": (1,), "column": (0,), "array": (0, 1)}[sync]
    windows = streamed_windows(skipping, tile, pe.window_positions)
    held = np.zeros(tile.wanted.shape, np.int64)
    pairs = np.zeros(tile.wanted.shape, np.int64)
    stalled: Integers = np.zeros(tile.wanted.shape, np.int64).max(axis=axes, keepdims=True)
    for first in range(0, windows.size, _WINDOWS_AT_ONCE):
        for offered in _offers(shown_a, shown_b, windows[first : first + _WINDOWS_AT_ONCE], pe.window_positions):
            offer = offered * tile.wanted
            stall = -(-np.maximum(too_many(held, offer).max(axis=axes, keepdims=True), 0) // lanes)
            held = np.maximum(np.maximum(held - stall * lanes, 0) + offer - lanes, 0)
            stalled += stall
            pairs += offer
    drained = -(-held.max(axis=axes, keepdims=True) // lanes)
    row, column = np.unravel_index(int((stalled + drained).argmax()), stalled.shape)
    name, members = {
        "pe": (f"PE ({row}, {column})", np.s_[row : row + 1, column : column + 1]),
        "row": (f"row {row}", np.s_[row : row + 1, :]),
        "column": (f"column {column}", np.s_[:, column : column + 1]),
        "array": ("array", np.s_[:, :]),
    }[sync]
    own = pairs[members]
    at_row, at_column = np.unravel_index(int(own.argmax()), own.shape)
    whole_rows, whole_columns = sync in ("column", "array"), sync in ("row", "array")
    return SyncGroup(
        pes=name,
        fullest_pe=(int(at_row + (0 if whole_rows else row)), int(at_column + (0 if whole_columns else column))),
        pairs=int(own.max()),
        scan_cycles=windows.size,
        stall_cycles=int(stalled[row, column]),
        drain_cycles=int(drained[row, column]),
    )


def _offers(a: Mask, b: Mask, windows: Integers, width: int) -> Integers:
    """Pairs that each window offers each PE, int64 [windows, rows, columns]."""
    positions = windows[:, None] * width + np.arange(width)
    inside = positions < a.shape[1]
    positions = np.where(inside, positions, 0)
    left = (a[:, positions] & inside).transpose(1, 0, 2).astype(np.float32)  # counts up to 4096 are exact
    right = b[:, positions].transpose(1, 2, 0).astype(np.float32)
    counts: Integers = (left @ right).astype(np.int64)
    return counts
