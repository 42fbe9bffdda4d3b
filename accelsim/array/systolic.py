"""The systolic array: operands enter skewed, a PE after its neighbour, and every fold pays for filling and draining.

Which extents lie along the array's rows and columns and which one streams is the dataflow; a fold is one filling of
the array, and takes its whole time even where the array is only partly used. The counts are those of SCALE-Sim
(Samajdar et al. 2020) as its code has them, each fold counted whole; SCALE-Sim prints one cycle less in all.

Where an operand stays, each fold adds up R positions of K: its sums leave for the output buffer, from which the next
fold takes them up again.
"""

from __future__ import annotations

from typing import Literal, NamedTuple

import numpy as np
from pydantic import Field

from accelsim.array.outcome import GemmTiming, Slots
from accelsim.array.pe import PE, RtlArray
from accelsim.array.ports import Ports
from accelsim.array.tiled import TiledGemm
from accelsim.hardware.dataflows import Dataflow
from accelsim.hardware.logic import MULTIPLEXER_EQUIVALENTS, Logic
from accelsim.hardware.parts import Array, Precision
from accelsim.hardware.skipping import Skipping


class SystolicSkipping(Skipping):
    """PEs of a systolic array, which skip nothing."""

    kind: Literal["systolic"] = Field("systolic", exclude=True)

    def check_array(self, array: Array) -> None:
        if array.interconnect != "systolic":
            raise ValueError("systolic PEs need array.interconnect systolic")
        if self.skips:
            raise ValueError("a systolic array skips nothing, leave tensors and blocks empty and outputs false")

    def dense(self) -> SystolicSkipping:
        return SystolicSkipping.model_validate({})


class Folding(NamedTuple):
    """How a GEMM lies on a systolic array.

    Attributes:
        dataflow: what stays.
        along_rows, along_cols: extents laid out over the array's rows and columns.
        row_folds, col_folds: fillings of the array along each.
        steps: T, cycles in which a PE multiplies during one fold.
        overhead: o, cycles of fill and drain of one fold.
    """

    dataflow: Dataflow
    along_rows: int
    along_cols: int
    row_folds: int
    col_folds: int
    steps: int
    overhead: int

    @property
    def cycles(self) -> int:
        """Cycles of all folds, one after another."""
        return self.row_folds * self.col_folds * (self.steps + self.overhead)

    @property
    def passes(self) -> int:
        """How often each output's sum goes to the output buffer."""
        return 1 if self.dataflow == "output_stationary" else self.row_folds


class SystolicPE(PE[SystolicSkipping]):
    """A systolic array: row folds · column folds · (T + o) cycles."""

    configuration = SystolicSkipping

    @property
    def window_positions(self) -> int:
        return 0

    @property
    def ports(self) -> Ports:
        """Operands enter at the edges, a word per row and column and cycle: its ports are made for that."""
        return Ports(None, None)

    @property
    def output_rows_per_cycle(self) -> int:
        """Two where sums of one fold leave while those of the fold before come back."""
        return 2 if any(name != "output_stationary" for name in self.array.dataflows) else 1

    def fold(self, m: int, n: int, k: int) -> Folding:
        """Lay O[M, N] = A[M, K] · B[K, N] on the array: by the dataflow of the fewest cycles.

        Of several, by the one that passes the fewest partial sums through the output buffer, then by the first listed.
        """
        ways = [self._fold(name, m, n, k) for name in self.dataflows]
        return min(ways, key=lambda way: (self._with_drain(way, m), way.passes))

    def _fold(self, dataflow: Dataflow, m: int, n: int, k: int) -> Folding:
        rows, cols = self.array.rows, self.array.cols
        through = rows + cols - 2  # from the first PE's first operand to the last PE's
        load = rows  # cycles that shift the stationary operand in, one row of PEs per cycle
        down, across, steps, overhead = {
            "output_stationary": (m, n, k, through),
            "weight_stationary": (k, m, n, load + through),
            "input_stationary": (k, n, m, load + through),
        }[dataflow]
        return Folding(dataflow, down, across, -(-down // rows), -(-across // cols), steps, overhead)

    def _with_drain(self, folding: Folding, m: int) -> int:
        """Cycles of a GEMM of M rows: an exposed drain follows each fold of outputs that stay."""
        exposed = self.array.drain == "exposed" and folding.dataflow == "output_stationary"
        return folding.cycles + (folding.col_folds * m if exposed else 0)

    def dataflow(self, tiled: TiledGemm) -> Dataflow:
        return self.fold(tiled.gemm.m, tiled.gemm.n, tiled.gemm.k).dataflow

    def own_parts(self, precision: Precision) -> tuple[Logic, ...]:
        """Return what hands operands on, and what lets the array change its dataflow.

        Registers by which a PE hands its operands on (rtl/systolic_pe.sv) are clocked in each cycle of its work. One
        of them, no longer clocked, holds an operand that stays. Where outputs may stay too, a multiplexer in each PE
        gives its adder either its own sum or that of the PE above. Operands that stay are shifted down the columns, as
        B is where outputs stay: where A may be the one, a multiplexer at each row and column chooses its operand.
        """
        array, known = self.array, self.array.dataflows
        pes, bits = array.rows * array.cols, precision.operand_bits
        registers = 2 * bits + 1
        parts = [Logic("operand hand-on", pes, 0, registers, clocked={"cycle": registers})]
        if "output_stationary" in known and len(known) > 1:
            sums = precision.accumulator_bits
            parts.append(Logic("choice of sums", pes, sums, 0, MULTIPLEXER_EQUIVALENTS, {"product": sums}))
        if "weight_stationary" in known and len(known) > 1:
            edges = array.rows + array.cols
            parts.append(Logic("choice of operands", edges, bits, 0, MULTIPLEXER_EQUIVALENTS, {"word": bits}))
        return tuple(parts)

    def time(self, tiled: TiledGemm) -> GemmTiming:
        """Time a GEMM.

        With stationary outputs a fold is a tile of outputs. With a stationary operand it is a part of K for a whole row
        or column of outputs, which ends none of them; the memory model, which counts tiles of outputs, then sees the
        GEMM's cycles spread evenly over them, so that the sums are exact.
        """
        gemm = tiled.gemm
        folding = self.fold(gemm.m, gemm.n, gemm.k)
        fold_cycles = folding.steps + folding.overhead
        used = folding.along_rows * folding.along_cols
        streamed_a, streamed_b = {
            "output_stationary": (folding.col_folds, folding.row_folds),
            "weight_stationary": (1, folding.col_folds),
            "input_stationary": (folding.col_folds, 1),
        }[folding.dataflow]
        return GemmTiming(
            tile_cycles=np.diff(np.arange(tiled.tiles + 1) * folding.cycles // tiled.tiles),
            tiles_per_row=tiled.tiles_per_row,
            slots=Slots(
                effectual=gemm.effectual_macs,
                ineffectual=gemm.macs - gemm.effectual_macs,
                edge=(folding.row_folds * folding.col_folds * tiled.rows * tiled.cols - used) * fold_cycles,
                skew=used * folding.overhead,
            ),
            scan_windows=0,
            fifo_pushes=0,
            streamed_a=streamed_a * gemm.m * gemm.k,
            streamed_b=streamed_b * gemm.n * gemm.k,
            outputs=gemm.m * gemm.n,
            buffered_sums=folding.passes * gemm.m * gemm.n,
        )

    def dense_formula(self, m: int, n: int, k: int) -> tuple[str, int]:
        folding = self.fold(m, n, k)
        text = f"{folding.row_folds:,} × {folding.col_folds:,} folds × ({folding.steps:,} + {folding.overhead:,})"
        cycles = self._with_drain(folding, m)
        if cycles > folding.cycles:
            text += f" + {folding.col_folds:,} column folds × {m:,} rows that drain"
        if len(self.dataflows) > 1:
            text = f"{folding.dataflow}: {text}"
        return text, cycles

    def rtl(self) -> RtlArray:
        return RtlArray("systolic", 1, 1)
