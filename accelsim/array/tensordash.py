"""TensorDash (Mahmoud et al., MICRO 2020): 16 lanes whose operands move up in time and across lanes, past zeros.

One of the two operands is scheduled, one schedule per array row (A) or column (B). A schedule sees the next windows of
16 positions; in a cycle each lane takes the first of its eight candidates that is non-zero and still there, and the
windows left empty move out. Every non-zero of the scheduled operand is consumed once, whatever its partner is.
"""

from __future__ import annotations

from typing import Annotated, Literal, NamedTuple

import numpy as np
from pydantic import Field, StrictInt

from accelsim import kernel
from accelsim.array.dense import DensePE, DenseSkipping
from accelsim.array.expected import known_pairs, most_pairs
from accelsim.array.outcome import GemmTiming, Slots
from accelsim.array.pe import PE, Forecast, RtlArray, TileAccount
from accelsim.array.tiled import TiledGemm
from accelsim.array.windows import find_present, streamed_elements
from accelsim.hardware.logic import MULTIPLEXER_EQUIVALENTS, Cells, Logic, cells
from accelsim.hardware.parts import Array, Depth, Precision
from accelsim.hardware.skipping import MOST_BUILT_DEPTH, Skipping
from accelsim.lowering.bits import Words
from accelsim.lowering.gemm import MaskedGemm

LANES = 16  # its moves and lane levels are defined for 16


class TensorDashSkipping(Skipping):
    """PEs of 16 lanes whose operands move past zeros; the sparser operand of `tensors` is scheduled."""

    kind: Literal["tensordash"] = Field("tensordash", exclude=True)
    scheduler: Literal["tensordash"] = Field("tensordash", description="the former spelling of `kind: tensordash`")
    stage_depth: Annotated[StrictInt, Field(ge=1, le=3)] = Field(
        3, description="windows of 16 K positions that a schedule sees; the most it advances in a cycle"
    )
    advance: Literal["together", "alone"] = Field(
        "together",
        description="whether all schedules of a tile move on by the same windows, or each alone: then each PE stages"
        " both of its operands",
    )
    fifo_depth: Depth = Field(16, description="plays no part, except that above 4,096 the machine is idealised")

    energy_only = Skipping.energy_only | {"fifo_depth"}

    @property
    def idealised(self) -> bool:
        return self.fifo_depth > MOST_BUILT_DEPTH

    def check_array(self, array: Array) -> None:
        super().check_array(array)
        if array.segments > 1:
            raise ValueError("tensordash has one schedule for a whole column of PEs, make array.segments 1")
        if not self.tensors:
            raise ValueError("tensordash needs at least one tensor to schedule, list it in skipping.tensors")
        if array.lanes != LANES:
            raise ValueError(f"scheduler tensordash needs array.lanes {LANES}, not {array.lanes}")


class _Did(NamedTuple):
    """What schedules did, in the order of the kernel's totals: lane-cycles, of PEs, by what became of them.

    Attributes:
        pairs: with a pair.
        waited: in which the schedule waited for a port.
        working_slots: all of PEs with an output.
        outputs: PEs with an output.
        scanned: windows of schedules, each counted once for all PEs that follow it.
        a_reads, b_reads: words read from the buffers.
    """

    pairs: int
    sync: int
    starved: int
    barrier: int
    waited: int
    working_slots: int
    outputs: int
    scanned: int
    a_reads: int
    b_reads: int


class TensorDashPE(PE[TensorDashSkipping]):
    """TensorDash PEs (timing contract: staged windows, moves, dropped windows, output masks)."""

    configuration = TensorDashSkipping

    @property
    def port_positions(self) -> int:
        return LANES * self.skipping.stage_depth

    @property
    def group_extent(self) -> tuple[int, int]:
        return (self.array.rows, self.array.cols) if self.skipping.advance == "together" else (1, 1)

    def scheduled_operand(self, gemm: MaskedGemm) -> Literal["a", "b"] | None:
        """Name the operand that a GEMM's schedules follow, "a" or "b"; None if `skipping.tensors` lists neither.

        Of two listed operands it is the one with the larger share of zeros (padding included), A if they are equal. All
        of the GEMM counts, also what output masks and dropped windows leave out.
        """
        listed_a, listed_b = gemm.a_kind in self.skipping.tensors, gemm.b_kind in self.skipping.tensors
        if not (listed_a and listed_b):
            return "a" if listed_a else "b" if listed_b else None
        return "a" if _nonzeros(gemm.a) * gemm.n <= _nonzeros(gemm.columns) * gemm.m else "b"

    def own_parts(self, precision: Precision) -> tuple[Logic, ...]:
        """Schedules and staging registers of rows and columns, their control, two multiplexers a lane (rtl/).

        Each row and column has a scheduler, as either operand may be scheduled; those of one operand work, and a PE's
        cycle is charged its share of one. A row or column stages its words once, where all schedules move on together;
        else each PE stages both of its operands. All registers of a stage are clocked in each cycle in which it moves
        on. In a PE multiplexers choose whose schedule it follows, too.
        """
        array, depth, width = self.array, self.skipping.stage_depth, precision.operand_bits
        together, pes, lines = self.skipping.advance == "together", array.rows * array.cols, array.rows + array.cols
        schedule, stage = cells("schedule", V=depth), cells("staged_windows", V=depth, W=width)
        control = cells("stage_group", V=depth, MEMBERS=lines if together else 1)
        pick, follows = cells("lane_pick", V=depth, W=width), 4 * LANES  # whether a lane takes, and its choice of eight
        line_share = lines / 2 / pes  # of schedules that work, to a PE
        stages, stage_share = (lines, lines / pes) if together else (2 * pes, 2)
        controls, control_share = (1, 1 / pes) if together else (lines, line_share)
        return (
            _each_cycle("schedules", lines, schedule, line_share),
            _each_cycle("staging registers", stages, stage, stage_share),
            _each_cycle("stage control", controls, control, control_share),
            Logic(
                "operand multiplexers",
                pes,
                2 * pick.gates + follows,
                equivalents_per_gate=MULTIPLEXER_EQUIVALENTS,
                switching={"pair": (2 * pick.gates + follows) / LANES},
            ),
        )

    def time(self, tiled: TiledGemm) -> GemmTiming:
        operand = self.scheduled_operand(tiled.gemm)
        if operand is None:
            return self._unscheduled().time(tiled)
        gemm, skipping = tiled.gemm, self.skipping
        tile_cycles, tile_positions = np.zeros((2, tiled.tiles), np.int64)
        rows = np.ascontiguousarray(gemm.a if operand == "a" else gemm.columns)
        did = _Did(
            *kernel.compiled.tensordash(
                gemm.m,
                gemm.n,
                gemm.k,
                rows.view(np.uint16),  # words are little-endian: each holds four windows of 16 positions
                operand == "b",
                tiled.needed,
                tiled.columns,
                tiled.starts,
                tiled.stops,
                tiled.rows,
                tiled.cols,
                skipping.stage_depth,
                skipping.advance == "together",
                self.ports.a_words or 0,
                self.ports.b_words or 0,
                *find_present(skipping, tiled, LANES),
                tile_cycles,
                tile_positions,
            )
        )
        return GemmTiming(
            tile_cycles=tile_cycles,
            tiles_per_row=tiled.tiles_per_row,
            slots=Slots(
                effectual=tiled.effectual_macs,
                ineffectual=did.pairs - tiled.effectual_macs,
                edge=tiled.rows * tiled.cols * LANES * int(tile_cycles.sum()) - did.working_slots,
                barrier=did.barrier,
                sync=did.sync,
                starved=did.starved,
                port=did.waited,
            ),
            # A schedule serves a whole row or column of PEs: each of its windows is looked at once.
            scan_windows=did.scanned,
            fifo_pushes=0,
            streamed_a=did.a_reads,
            streamed_b=did.b_reads,
            outputs=did.outputs,
            tile_positions=tile_positions,
        )

    def forecast(self, tiled: TiledGemm) -> Forecast | None:
        """At most `stage_depth` windows leave in a cycle; the PE that is expected to have most pairs decides.

        The operand that is scheduled is chosen by the whole GEMM, so some of its tiles have to be told; they cannot be
        if both operands are of one kind.
        """
        operand, gemm = self.scheduled_operand(tiled.gemm), tiled.gemm
        if operand is None or gemm.a_kind == gemm.b_kind:
            return None
        tensors = (gemm.a_kind if operand == "a" else gemm.b_kind,)
        narrowed = TensorDashSkipping.model_validate(self.skipping.model_dump() | {"tensors": tensors})
        streams = self.streams(tiled)
        expected = np.maximum(streams.windows / self.skipping.stage_depth, most_pairs(tensors, tiled) / LANES)
        known = known_pairs(narrowed, tiled)
        if self.skipping.advance == "together":
            known |= streamed_elements(tiled, streams.positions)
        known["fifo_pushes"] = 0
        return Forecast(
            TensorDashPE(self.array, narrowed, self.buffers), expected, streams.positions, exact=False, known=known
        )

    def explain_tile(self, tiled: TiledGemm, index: int) -> TileAccount:
        operand, cycles = self.scheduled_operand(tiled.gemm), int(self.time(tiled).tile_cycles[index])
        sentence = f"its schedules step over the zeros of {(operand or '').upper()}: {cycles:,} cycles"
        return TileAccount({"scheduled": operand}, (sentence,) if operand else ())

    def rtl(self) -> RtlArray:
        sync = "array" if self.skipping.advance == "together" else "row"
        return RtlArray("tensordash", LANES, LANES, sync, self.skipping.stage_depth)

    def _unscheduled(self) -> DensePE:
        """The same PEs on a GEMM whose zeros they do not see."""
        unscheduled = {"blocks": self.skipping.blocks, "outputs": self.skipping.outputs}
        return DensePE(self.array, DenseSkipping.model_validate(unscheduled), self.buffers)


def _each_cycle(name: str, count: int, built: Cells, share: float) -> Logic:
    """Return pieces that work in each cycle; a PE's cycle is charged that share of one."""
    return Logic(
        name,
        count,
        built.gates,
        built.flip_flops,
        built.equivalents_per_gate,
        switching={"cycle": built.gates * share},
        clocked={"cycle": built.flip_flops * share},
    )


def _nonzeros(words: Words) -> int:
    return int(np.bitwise_count(words).sum(dtype=np.int64))
