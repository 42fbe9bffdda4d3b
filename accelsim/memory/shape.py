"""The shape of a GEMM, its source tensor and the buffers: all that the candidates for its cut depend on."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from accelsim.hardware.model import Hardware
from accelsim.hardware.parts import Buffers
from accelsim.lowering.footprint import lines_reached
from accelsim.lowering.gemm import MaskedGemm
from accelsim.lowering.inside import Taps
from accelsim.memory.blocking import KIB, Lines


@dataclass(frozen=True)
class Shape:
    """All that the candidates depend on.

    Attributes:
        step, offset_y, offset_x: see `Taps`.
    """

    rows: int
    cols: int
    operand_bits: int
    accumulator_bits: int
    buffers: Buffers
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
        """Return the shape of one GEMM on one machine."""
        footprint, taps = gemm.footprint, gemm.footprint.taps
        return cls(
            rows=hw.array.rows,
            cols=hw.array.cols,
            operand_bits=hw.precision.operand_bits,
            accumulator_bits=hw.precision.accumulator_bits,
            buffers=hw.memory.buffers,
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
    def room(self) -> tuple[int, int, int]:
        """Words of A, words of B and sums that fit half of their buffers."""
        buffers = self.buffers
        return (
            buffers.weight_kib * KIB * 4 // self.operand_bits,
            buffers.input_kib * KIB * 4 // self.operand_bits,
            buffers.output_kib * KIB * 4 // self.accumulator_bits,
        )

    @property
    def taps(self) -> Taps:
        """Where the kernel's taps read the source."""
        return Taps(self.image, self.grid, self.step, np.array(self.offset_y), np.array(self.offset_x))

    def lines(self, low: int, high: int) -> Lines:
        """Lines of operand B that some rows of the kernel read, their non-zeros left out."""
        image = np.arange(self.images)[:, None] * self.image[0]
        first, last = ((image + lines).ravel() for lines in lines_reached(self.taps, low, high))
        return Lines(self.grid[1], first, last, np.zeros(self.images * self.image[0], np.int64))
