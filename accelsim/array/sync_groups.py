"""How long each sync group of a tile scans, stalls and drains: the scanning PE's rule once more, to be explained."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from accelsim.array.tile import Mask, Tile, streamed_windows
from accelsim.array.tiled import Integers

if TYPE_CHECKING:
    from accelsim.array.scanning import ScanningSkipping

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
        drain_cycles: cycles after the last window, until its queues were empty.
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


def slowest_group(skipping: ScanningSkipping, lanes: int, tile: Tile) -> SyncGroup:
    """Run a tile on scanning PEs and return the sync group that ends last, the first of them if several do."""
    shown_a = tile.a if tile.a_kind in skipping.tensors else np.ones_like(tile.a)
    shown_b = tile.b if tile.b_kind in skipping.tensors else np.ones_like(tile.b)
    axes = {"pe": (), "row": (1,), "column": (0,), "array": (0, 1)}[skipping.sync]
    windows = streamed_windows(skipping, tile, skipping.scan_width)
    queues = np.zeros(tile.wanted.shape, np.int64)
    pairs = np.zeros(tile.wanted.shape, np.int64)
    stalled: Integers = np.zeros(tile.wanted.shape, np.int64).max(axis=axes, keepdims=True)
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


def _offers(a: Mask, b: Mask, windows: Integers, width: int) -> Integers:
    """Pairs that each window offers each PE, int64 [windows, rows, columns]."""
    positions = windows[:, None] * width + np.arange(width)
    inside = positions < a.shape[1]
    positions = np.where(inside, positions, 0)
    left = (a[:, positions] & inside).transpose(1, 0, 2).astype(np.float32)  # counts up to 4096 are exact
    right = b[:, positions].transpose(1, 2, 0).astype(np.float32)
    counts: Integers = (left @ right).astype(np.int64)
    return counts
