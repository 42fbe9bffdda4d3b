"""The shape of a GEMM, its source tensor and the buffers: all that the candidates for its cut depend on."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np

from accelsim.hardware.model import Hardware
from accelsim.hardware.parts import Buffers
from accelsim.lowering.gemm import MaskedGemm
from accelsim.lowering.inside import Taps


@dataclass(frozen=True)
class Shape:
    """All that the candidates depend on.

    Attributes:
        may_spill: whether partial sums may leave the chip; where they would lie in a DRAM with rows is not modelled.
        step, offset_y, offset_x: see `Taps`.
    """

    rows: int
    cols: int
    operand_bits: int
    accumulator_bits: int
    buffers: Buffers
    order: Literal["any", "rows", "columns"]
    may_spill: bool
    m: int
    n: int
    k: int
    grid_is_k: bool
    images: int
    image: tuple[int, int]
    grid: tuple[int, int]
    step: tuple[int, int]
    offset_y: tuple[int, ...]
    offset_x: tuple[int, ...]
    channels: int

    @classmethod
    def of(cls, hw: Hardware, gemm: MaskedGemm) -> Shape:
        """Return the shape of one GEMM on one machine, with the buffers that DRAM fills."""
        footprint, taps = gemm.footprint, gemm.footprint.taps
        return cls(
            rows=hw.array.rows,
            cols=hw.array.cols,
            operand_bits=hw.precision.operand_bits,
            accumulator_bits=hw.precision.accumulator_bits,
            buffers=hw.memory.filled_from_dram,
            order=hw.mapping.order,
            may_spill=not hw.memory.dram_has_rows,
            m=gemm.m,
            n=gemm.n,
            k=gemm.k,
            grid_is_k=footprint.along == "k",
            images=footprint.images,
            image=taps.image,
            grid=taps.grid,
            step=taps.step,
            offset_y=tuple(taps.offset_y.tolist()),
            offset_x=tuple(taps.offset_x.tolist()),
            channels=footprint.channels,
        )

    @property
    def room_bits(self) -> tuple[int, int, int, int]:
        """Bits that a macro-tile may take: of A, of B, of sums, and in all; half of each double buffer."""
        if self.buffers.unified_kib is not None:
            return (self.buffers.unified_kib * self._kib_bits,) * 4
        return *self.portion_bits, sum(self.portion_bits)

    @property
    def portion_bits(self) -> tuple[int, int, int]:
        """Bits that a portion of A, of B and of sums may take: one of them all is divided by three."""
        buffers = self.buffers
        if buffers.unified_kib is not None:
            return (buffers.unified_kib * self._kib_bits // 3,) * 3
        a, b, sums = (kib * self._kib_bits for kib in (buffers.weight_kib, buffers.input_kib, buffers.output_kib))
        return a, b, sums

    @property
    def _kib_bits(self) -> int:
        """Bits of a KiB of buffer that a macro-tile may take."""
        return 1024 * 8 // self.buffers.halves

    @property
    def taps(self) -> Taps:
        """Where the kernel's taps read the source."""
        return Taps(self.image, self.grid, self.step, np.array(self.offset_y), np.array(self.offset_x))
