"""The inner-join PE: a sync group holds windows of its operands once, and each PE picks its pairs out of them.

A PE has no queue and no crossbar: it keeps a mask of the pairs that are left of each window that its group holds, finds
the first ones and takes their operands through multiplexers (an inner join as in SparTen, Gondimalla et al., MICRO
2019, with operands that PEs share). The compiled kernel works a window at a time (docs/performance.md).
"""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING, Literal

from pydantic import Field

from accelsim import kernel
from accelsim.array.pe import RtlArray, TileAccount
from accelsim.array.sync_groups import slowest_group
from accelsim.array.tile import cut_tile
from accelsim.array.tiled import Integers, TiledGemm
from accelsim.array.windowed import SYNC, WindowedPE, WindowedSkipping, explained
from accelsim.hardware.logic import Logic, cells
from accelsim.hardware.parts import Precision

if TYPE_CHECKING:
    from accelsim.kernel._base import WindowKernel


class InnerJoinSkipping(WindowedSkipping):
    """PEs that take their pairs of non-zeros out of windows which their sync group holds once."""

    kind: Literal["inner_join"] = "inner_join"
    windows: Literal[1, 2, 4] = Field(
        2,
        description="V, windows of its operands that a sync group holds; a PE done with one goes on in the next",
    )
    sync: Literal["pe", "row", "column", "array"] = Field("array", description="PEs that share the windows")


class InnerJoinPE(WindowedPE[InnerJoinSkipping]):
    """Inner-join PEs (docs/timing.md: windows held, dropped windows, output masks)."""

    configuration = InnerJoinSkipping
    queues = False

    def kernel_call(self, k: int) -> tuple[WindowKernel, tuple[int, int, int]]:
        skipping = self.skipping
        return kernel.compiled.inner_join, (skipping.scan_width, skipping.windows, SYNC.index(skipping.sync))

    @property
    def held_positions(self) -> int:
        return self.skipping.windows * self.skipping.scan_width

    def own_parts(self, precision: Precision) -> tuple[Logic, ...]:
        """What each PE has left and picks (rtl/inner_join_pe.sv), what a group holds (held_windows.sv, join_group.sv).

        A PE's mask is clocked in each cycle of its group. Its encoder sees new inputs with each pair, which comes
        through two multiplexers of V · S operands. A word that is read is written to one held window of its row or
        column; the registers of the other windows are clock-gated.
        """
        array, skipping, width = self.array, self.skipping, precision.operand_bits
        places, held = skipping.windows * skipping.scan_width, skipping.windows
        join = cells("window_join", S=skipping.scan_width, V=held, L=array.lanes)
        pick = cells("operand_pick", S=skipping.scan_width, V=held, L=array.lanes, W=width)
        rows, cols = self.group_extent
        group = cells("join_group", V=held, MEMBERS=rows * cols)
        pes, groups = array.rows * array.cols, array.rows * array.cols // (rows * cols)
        return (
            Logic(
                "joins",
                pes,
                join.gates,
                join.flip_flops,
                join.equivalents_per_gate,
                switching={"pair": join.gates, "window": 2 * skipping.scan_width},
                clocked={"cycle": join.flip_flops},
            ),
            Logic(
                "operand multiplexers",
                pes,
                2 * pick.gates,
                equivalents_per_gate=pick.equivalents_per_gate,
                switching={"pair": 2 * pick.gates / array.lanes},
            ),
            Logic(
                "held windows",
                array.rows * (array.cols // cols) + array.cols * (array.rows // rows),
                0,
                places * width,
                clocked={"word": width},
            ),
            Logic(
                "window control",
                groups,
                group.gates,
                group.flip_flops,
                group.equivalents_per_gate,
                switching={"cycle": group.gates / (rows * cols)},
                clocked={"cycle": group.flip_flops / (rows * cols)},
            ),
        )

    def explain_tile(self, tiled: TiledGemm, index: int) -> TileAccount:
        skipping = self.skipping
        younger: deque[Integers] = deque(maxlen=skipping.windows - 1)  # pairs of the windows that may stay

        def too_many(held: Integers, offered: Integers) -> Integers:
            left = held - sum(younger)
            younger.append(offered)
            return left

        group = slowest_group(self, skipping.sync, cut_tile(tiled, index), too_many)
        return explained(group, "stalled until the oldest window was done")

    def rtl(self) -> RtlArray:
        skipping = self.skipping
        width = skipping.scan_width
        return RtlArray("inner_join", width, width, skipping.sync, skipping.windows)
