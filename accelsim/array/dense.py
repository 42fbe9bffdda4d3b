"""The dense PE: L positions of K per cycle, whatever they hold, less the windows dropped by `skipping.blocks`."""

from __future__ import annotations

from typing import Literal

import numpy as np
from pydantic import Field

from accelsim.array.outcome import GemmTiming, Slots
from accelsim.array.pe import PE, Forecast, RtlArray
from accelsim.array.ports import port_cycles, through_ports
from accelsim.array.tiled import TiledGemm
from accelsim.array.windows import Streams, streamed_elements
from accelsim.hardware.parts import Array
from accelsim.hardware.skipping import Skipping


class DenseSkipping(Skipping):
    """PEs that multiply every pair they get."""

    kind: Literal["dense"] = Field("dense", exclude=True)

    def check_array(self, array: Array) -> None:
        super().check_array(array)
        if self.tensors:
            raise ValueError(f"dense PEs see no zeros, leave tensors ({', '.join(self.tensors)}) empty or kind out")


class DensePE(PE[DenseSkipping]):
    """Dense PEs: ceil(K / L) cycles per tile, less dropped windows."""

    configuration = DenseSkipping

    @property
    def takes_stacks(self) -> bool:
        return True

    def time(self, tiled: TiledGemm) -> GemmTiming:
        return through_ports(self.ports, self.array, tiled, self._unhindered(tiled), self.window_positions)

    def _unhindered(self, tiled: TiledGemm) -> GemmTiming:
        """Time a GEMM whose windows can be read as soon as they are wanted."""
        gemm, blocks = tiled.gemm, self.skipping.blocks
        if tiled.needed is None and gemm.a_kind not in blocks and gemm.b_kind not in blocks:
            return self._time_whole(tiled)
        return self._time_streams(tiled, self.streams(tiled))

    def forecast(self, tiled: TiledGemm) -> Forecast | None:
        """Outputs that are left out must be counted, which takes a look at their mask; all others are a closed form."""
        if tiled.needed is None:
            return None
        streams = self.streams(tiled)
        known = streamed_elements(tiled, streams.positions)
        read = port_cycles(self.ports, tiled, streams.positions, self.window_positions)
        expected = np.maximum(streams.windows, read).astype(np.float64)
        return Forecast(self, expected, streams.positions, exact=True, known=known)

    def rtl(self) -> RtlArray:
        return RtlArray("dense", self.array.lanes, self.array.lanes)

    def _time_whole(self, tiled: TiledGemm) -> GemmTiming:
        """Time a GEMM of which nothing is left out: as many cycles for every tile, whatever the masks."""
        gemm, lanes, tiles = tiled.gemm, self.array.lanes, tiled.tiles
        row_tiles, column_tiles, windows = len(tiled.starts), -(-gemm.n // tiled.cols), -(-gemm.k // lanes)
        outputs = gemm.stack * gemm.m * gemm.n
        return GemmTiming(
            tile_cycles=np.full(tiles, windows),
            tiles_per_row=tiled.tiles_per_row,
            slots=Slots(
                effectual=gemm.effectual_macs,
                ineffectual=gemm.macs - gemm.effectual_macs,
                edge=lanes * (tiled.rows * tiled.cols * tiles - outputs) * windows,
                starved=outputs * (lanes * windows - gemm.k),
            ),
            scan_windows=0,
            fifo_pushes=0,
            streamed_a=gemm.stack * gemm.m * column_tiles * gemm.k,
            streamed_b=gemm.n * row_tiles * gemm.k,
            outputs=outputs,
        )

    def _time_streams(self, tiled: TiledGemm, streams: Streams) -> GemmTiming:
        """Time a GEMM of which windows or outputs are left out."""
        lanes, (cycles, positions) = self.array.lanes, streams
        working = tiled.outputs
        pairs = int((working * positions).sum())
        return GemmTiming(
            tile_cycles=cycles,
            tiles_per_row=tiled.tiles_per_row,
            slots=Slots(
                effectual=tiled.effectual_macs,
                ineffectual=pairs - tiled.effectual_macs,
                edge=lanes * int(((tiled.rows * tiled.cols - working) * cycles).sum()),
                starved=int((working * (lanes * cycles - positions)).sum()),
            ),
            scan_windows=0,
            fifo_pushes=0,
            **streamed_elements(tiled, positions),
            outputs=int(working.sum()),
            tile_positions=positions,
        )
