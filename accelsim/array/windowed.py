"""PEs whose groups take K a window at a time: what scanning and inner-join PEs have in common.

What a PE gets is tracked per window by the compiled kernel (docs/performance.md). What it lost to blocked or draining
cycles follows, since its lanes consume, starve or wait (`port`, `sync`) until its group ends.

Equal tiles take equal time: where an operand is dense its rows are alike, so few tiles differ, and each is run once.
"""

from __future__ import annotations

from abc import abstractmethod
from dataclasses import asdict, replace
from typing import TYPE_CHECKING, ClassVar, Literal, NamedTuple, TypeVar

import numpy as np
from pydantic import Field

from accelsim.array.equal_tiles import distinct_tiles
from accelsim.array.expected import all_are_consumed, consumed_pairs, known_pairs, most_pairs
from accelsim.array.outcome import GemmTiming, Slots
from accelsim.array.pe import PE, Forecast, TileAccount
from accelsim.array.sync_groups import SyncGroup
from accelsim.array.tiled import Integers, TiledGemm
from accelsim.array.windows import streamed_elements
from accelsim.hardware.parts import Array, Extent
from accelsim.hardware.skipping import Skipping
from accelsim.lowering.bits import Words

if TYPE_CHECKING:
    from accelsim.kernel._base import WindowKernel

_SMALL = 1 << 16  # multiply-accumulates of a GEMM in which looking for equal tiles costs more than it saves
SYNC = ("pe", "row", "column", "array")  # in the order of the kernel's numbers


class WindowedSkipping(Skipping):
    """What all PEs say that take K a window at a time."""

    scan_width: Extent = Field(16, description="S, K positions of a window, of which a PE looks at one in a cycle")
    sync: Literal["pe", "row", "column", "array"] = Field(
        "row", description="PEs that share one scan pointer, or windows; array by default where they are inner_join PEs"
    )

    def check_array(self, array: Array) -> None:
        super().check_array(array)
        if self.sync == "column" and array.segments > 1:
            raise ValueError("sync column has one pointer for a whole column of PEs, make array.segments 1")
        if not self.tensors:
            raise ValueError(
                f"{self.kind} PEs need at least one tensor whose zeros they skip, list it in skipping.tensors"
            )


Windowed = TypeVar("Windowed", bound=WindowedSkipping)


class _Scanned(NamedTuple):
    """What the PEs of each tile did, int64 [tiles] each; in the order of the kernel's `ScanTotals`.

    Attributes:
        cycles, positions: cycles, and K positions streamed.
        outputs: PEs with an output.
        pairs: pairs consumed; 0 where they are known beforehand.
        starved: lane-cycles in which the scanner advanced and gave too little.
        busy: cycles until a PE's group ended, summed over PEs with an output.
        windows: windows looked at, summed over PEs.
        waited: lane-cycles in which the PE's group waited for a port.
        a_reads, b_reads: words read from the buffers; 0 where one group reads each window once.
    """

    cycles: Integers
    positions: Integers
    outputs: Integers
    pairs: Integers
    starved: Integers
    busy: Integers
    windows: Integers
    waited: Integers
    a_reads: Integers
    b_reads: Integers


class WindowedPE(PE[Windowed]):
    """PEs whose sync groups take K a window at a time, and that take up to L of a window's pairs in a cycle.

    Attributes:
        queues: whether pairs go through a queue.
    """

    queues: ClassVar[bool]

    @abstractmethod
    def kernel_call(self, k: int) -> tuple[WindowKernel, tuple[int, int, int]]:
        """Return the kernel that runs such PEs, and what it is told of them: from the window to the sync group.

        Args:
            k: of the GEMM.
        """

    @property
    def window_positions(self) -> int:
        return self.skipping.scan_width

    @property
    def takes_stacks(self) -> bool:
        return True

    @property
    def group_extent(self) -> tuple[int, int]:
        sync, rows, cols = self.skipping.sync, self.array.rows, self.array.cols
        return rows if sync in ("column", "array") else 1, cols if sync in ("row", "array") else 1

    def time(self, tiled: TiledGemm) -> GemmTiming:
        gemm = tiled.gemm
        if tiled.needed is not None:
            scanned = self._scan(tiled)
            seen = all(kind in self.skipping.tensors for kind in (gemm.a_kind, gemm.b_kind))
            pairs = int(scanned.pairs.sum())
            return self._timing(tiled, scanned, pairs, pairs if seen else tiled.effectual_macs)
        worth = gemm.stack == 1 and gemm.macs > _SMALL
        scanned = self._scan_distinct(tiled) if worth else self._scan(tiled)
        known = consumed_pairs(self.skipping, gemm)
        return self._timing(tiled, scanned, int(scanned.pairs.sum()) if known is None else known, gemm.effectual_macs)

    def forecast(self, tiled: TiledGemm) -> Forecast:
        """A scanner takes one cycle per window, a lane one per pair; the PE expected to have most pairs decides."""
        streams = self.streams(tiled)
        expected = np.maximum(streams.windows, most_pairs(self.skipping.tensors, tiled) / self.array.lanes)
        known = known_pairs(self.skipping, tiled)
        if self._reads_once:
            known |= streamed_elements(tiled, streams.positions)
        known["scan_windows"] = int((tiled.heights * tiled.widths * streams.windows).sum())
        if "ineffectual" in known or not self.queues:
            known["fifo_pushes"] = known["effectual"] + known["ineffectual"] if self.queues else 0
        return Forecast(self, expected, streams.positions, exact=False, known=known)

    @property
    def _reads_once(self) -> bool:
        """Whether each window is read once for a tile, by the one group of all PEs."""
        return self.skipping.sync == "array"

    def _as_seen(self, kind: str, rows: Words) -> Words:
        """What of an operand can make a difference: nothing, if its zeros are neither skipped nor dropped."""
        return rows if kind in self.skipping.tensors or kind in self.skipping.blocks else rows[:, :0]

    def _scan_distinct(self, tiled: TiledGemm) -> _Scanned:
        """Scan one of each kind of equal tiles."""
        gemm = tiled.gemm
        rows, row_of = distinct_tiles(self._as_seen(gemm.a_kind, gemm.a), tiled.rows)
        columns, column_of = distinct_tiles(self._as_seen(gemm.b_kind, gemm.b), tiled.cols, gemm.b_of)
        if rows is None and columns is None:
            return self._scan(tiled)
        a, b_of = gemm.a if rows is None else gemm.a[rows], gemm.b_of
        if columns is not None:
            b_of = columns.astype(np.int32) if b_of is None else b_of[columns]
        n = gemm.n if b_of is None else len(b_of)
        some = TiledGemm.whole(replace(gemm, m=len(a), n=n, a=a, b_of=b_of, needed=None), tiled.rows, tiled.cols)
        each = (row_of[:, None] * (column_of.max(initial=-1) + 1) + column_of).ravel()
        return _Scanned(*(of_tile[each] for of_tile in self._scan(some)))

    def _scan(self, tiled: TiledGemm) -> _Scanned:
        skipping, gemm = self.skipping, tiled.gemm
        totals = np.zeros((len(_Scanned._fields), tiled.tiles), np.int64)
        if not totals.size:
            return _Scanned(*totals)
        run, told = self.kernel_call(gemm.k)
        run(
            gemm.stack,
            gemm.m,
            gemm.n,
            gemm.k,
            np.ascontiguousarray(gemm.a),
            np.ascontiguousarray(gemm.b),
            gemm.b_of,
            tiled.needed,
            tiled.columns,
            tiled.starts,
            tiled.stops,
            tiled.rows,
            tiled.cols,
            self.array.lanes,
            *told,
            self.ports.a_words or 0,
            self.ports.b_words or 0,
            gemm.a_kind in skipping.tensors,
            gemm.b_kind in skipping.tensors,
            gemm.a_kind in skipping.blocks,
            gemm.b_kind in skipping.blocks,
            tiled.needed is None and not all_are_consumed(skipping, gemm),
            totals,
        )
        return _Scanned(*totals)

    def _timing(self, tiled: TiledGemm, scanned: _Scanned, pairs: int, effectual: int) -> GemmTiming:
        lanes, pes = self.array.lanes, tiled.rows * tiled.cols
        busy, starved, waited = int(scanned.busy.sum()), int(scanned.starved.sum()), int(scanned.waited.sum())
        reads = streamed_elements(tiled, scanned.positions)
        if not self._reads_once:
            reads = {"streamed_a": int(scanned.a_reads.sum()), "streamed_b": int(scanned.b_reads.sum())}
        worked = int((scanned.outputs * scanned.cycles).sum())
        return GemmTiming(
            tile_cycles=scanned.cycles,
            tiles_per_row=tiled.tiles_per_row,
            slots=Slots(
                effectual=effectual,
                ineffectual=pairs - effectual,
                edge=lanes * (pes * int(scanned.cycles.sum()) - worked),
                barrier=lanes * (worked - busy),
                sync=lanes * busy - pairs - starved - waited,
                starved=starved,
                port=waited,
            ),
            scan_windows=int(scanned.windows.sum()),
            fifo_pushes=pairs if self.queues else 0,
            **reads,
            outputs=int(scanned.outputs.sum()),
            tile_positions=scanned.positions,
        )


def explained(group: SyncGroup, stalled: str) -> TileAccount:
    """Return what a tile's slowest sync group did, in numbers and words.

    Args:
        stalled: what held its scanner up.
    """
    row, column = group.fullest_pe
    sentences = (
        f"slowest sync group, {group.pes}: {group.scan_cycles:,} scanning + {group.stall_cycles:,} {stalled} +"
        f" {group.drain_cycles:,} draining = {group.cycles:,} cycles",
        f"the fullest PE there, ({row}, {column}), has {group.pairs:,} pairs",
    )
    return TileAccount({"sync_group": asdict(group)}, sentences)
