"""The scanning PE: queues of non-zero pairs that PEs of a group fill from a shared scan pointer, a window at a time."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

from pydantic import Field, ValidationInfo, field_validator, model_validator

from accelsim import kernel
from accelsim.array.pe import RtlArray, TileAccount
from accelsim.array.sync_groups import slowest_group
from accelsim.array.tile import cut_tile
from accelsim.array.tiled import TiledGemm
from accelsim.array.windowed import SYNC, WindowedPE, WindowedSkipping, explained
from accelsim.hardware.logic import Logic, cells
from accelsim.hardware.parts import MOST_EXTENT, Depth, Precision
from accelsim.hardware.skipping import MOST_BUILT_DEPTH

if TYPE_CHECKING:
    from accelsim.kernel._base import WindowKernel


class ScanningSkipping(WindowedSkipping):
    """PEs that look at a window of masks in a cycle and queue its pairs of non-zeros."""

    kind: Literal["scanning"] = Field("scanning", exclude=True)
    fifo_depth: Depth = Field(
        16,
        validate_default=True,
        description="D, pairs that a PE's queue holds; at least scan_width, and by default 16 or scan_width; above"
        f" {MOST_BUILT_DEPTH} the machine is idealised: it has cycles, but no energy",
    )

    @model_validator(mode="before")
    @classmethod
    def _deepens_with_the_window(cls, given: Any) -> Any:
        """A wide window without a word about the queue gets the smallest queue that takes it."""
        if isinstance(given, dict) and "fifo_depth" not in given:
            width = given.get("scan_width", 16)
            if isinstance(width, int) and 16 < width <= MOST_EXTENT:
                return given | {"fifo_depth": width}
        return given

    @field_validator("fifo_depth")
    @classmethod
    def _takes_a_window(cls, depth: int, info: ValidationInfo) -> int:
        width = info.data.get("scan_width", depth)
        if depth < width:
            raise ValueError(f"a full window of scan_width {width} pairs would never fit, make it at least {width}")
        return depth

    @property
    def idealised(self) -> bool:
        """Whether queues are too deep to be built: they are there to never fill, and would leak nearly all energy."""
        return self.fifo_depth > MOST_BUILT_DEPTH


class ScanningPE(WindowedPE[ScanningSkipping]):
    """Scanning PEs (timing contract: windows, queues, sync groups, dropped windows, output masks)."""

    configuration = ScanningSkipping
    queues = True

    def kernel_call(self, k: int) -> tuple[WindowKernel, tuple[int, int, int]]:
        skipping, width = self.skipping, self.skipping.scan_width
        depth = min(skipping.fifo_depth, max(k, width))  # a queue never holds more than K pairs
        return kernel.compiled.scan, (width, depth, SYNC.index(skipping.sync))

    def own_parts(self, precision: Precision) -> tuple[Logic, ...]:
        """Scanner, crossbar and queue of each PE (rtl/scan_queue.sv).

        A scanner's gates see each window. A pair goes from its position to one of D places, past the crossbar's gates
        of that position, and leaves by the moves of one lane. All registers of a queue are clocked as long as the group
        runs.
        """
        array, skipping = self.array, self.skipping
        sizes = {"S": skipping.scan_width, "D": skipping.fifo_depth, "L": array.lanes, "W": precision.operand_bits}
        scanner, crossbar, queue = (cells(part, **sizes) for part in ("scanner", "crossbar", "pair_queue"))
        pes = array.rows * array.cols
        return (
            Logic(
                "scanners",
                pes,
                scanner.gates,
                scanner.flip_flops,
                scanner.equivalents_per_gate,
                switching={"window": scanner.gates},
                clocked={"cycle": scanner.flip_flops},
            ),
            Logic(
                "crossbars",
                pes,
                crossbar.gates,
                crossbar.flip_flops,
                crossbar.equivalents_per_gate,
                switching={"pair": crossbar.gates / skipping.scan_width},
            ),
            Logic(
                "queues",
                pes,
                queue.gates,
                queue.flip_flops,
                queue.equivalents_per_gate,
                switching={"pair": queue.gates / array.lanes},
                clocked={"cycle": queue.flip_flops},
            ),
        )

    def explain_tile(self, tiled: TiledGemm, index: int) -> TileAccount:
        skipping, tile = self.skipping, cut_tile(tiled, index)
        group = slowest_group(self, skipping.sync, tile, lambda held, offered: held + offered - skipping.fifo_depth)
        return explained(group, "stalled by a full queue")

    def rtl(self) -> RtlArray:
        skipping = self.skipping
        return RtlArray("scanning", skipping.scan_width, skipping.fifo_depth, skipping.sync)
