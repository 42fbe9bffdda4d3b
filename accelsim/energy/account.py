"""Action counts times an energy table: where the energy of a pass went."""

from __future__ import annotations

import math
from dataclasses import dataclass, fields

from accelsim.energy.table import EnergyTable
from accelsim.errors import AccelsimError
from accelsim.hardware.model import Hardware


@dataclass(frozen=True)
class Actions:
    """Everything that the machine did in one pass.

    Attributes:
        cycles: duration, memory stalls included.
        macs_effectual: consumed pairs of two non-zeros.
        macs_ineffectual: consumed pairs with a zero.
        idle_slots: lane-cycles without a pair (edge, barrier, sync, starved, memory).
        scan_windows: windows looked at by a PE's scanner (PEs x windows), each scan_width bits of two masks (16 with
            TensorDash); 0 on a dense PE.
        fifo_pushes: pairs pushed, each of which is popped once; 0 on a dense PE.
        buffer_a_read_bits: from operand A's buffer (memory.buffers.weight_kib) to the array.
        buffer_b_read_bits: from operand B's buffer (memory.buffers.input_kib) to the array.
        buffer_write_bits: from DRAM into those two buffers.
        output_buffer_bits: partial sums and outputs written and read at the output buffer.
        dram_read_bytes: bytes read from DRAM.
        dram_write_bytes: bytes written to DRAM.

    Raises:
        AccelsimError: a count is negative.
    """

    cycles: int = 0
    macs_effectual: int = 0
    macs_ineffectual: int = 0
    idle_slots: int = 0
    scan_windows: int = 0
    fifo_pushes: int = 0
    buffer_a_read_bits: int = 0
    buffer_b_read_bits: int = 0
    buffer_write_bits: int = 0
    output_buffer_bits: int = 0
    dram_read_bytes: int = 0
    dram_write_bytes: int = 0

    def __post_init__(self) -> None:
        for field in fields(self):
            if getattr(self, field.name) < 0:
                raise AccelsimError(f"{field.name} is {getattr(self, field.name)}, expected a count of at least 0")


@dataclass(frozen=True)
class EnergyBreakdown:
    """Energy by component, pJ; breakdowns add up. All are NaN for an idealised machine (`Hardware.idealised`).

    Attributes:
        mac_pj: multiply-accumulates whose multiplier toggles: all consumed pairs, or with skipping.gate_zeros the
            effectual ones.
        gated_mac_pj: consumed pairs with a zero, where skipping.gate_zeros holds the multiplier still.
        idle_pj: clock of the lanes in slots without a pair.
        fifo_scan_pj: scanners and queues.
        buffer_pj: on-chip buffers, read and written.
        dram_pj: DRAM, read and written.
        leakage_pj: static power of lanes, queues and buffers over all cycles.
        vector_pj: arithmetic of the vector unit, if vector work was asked for.
    """

    mac_pj: float = 0.0
    gated_mac_pj: float = 0.0
    idle_pj: float = 0.0
    fifo_scan_pj: float = 0.0
    buffer_pj: float = 0.0
    dram_pj: float = 0.0
    leakage_pj: float = 0.0
    vector_pj: float = 0.0

    @property
    def total_pj(self) -> float:
        """All components together."""
        return float(sum(getattr(self, field.name) for field in fields(self)))

    def __add__(self, other: EnergyBreakdown) -> EnergyBreakdown:
        return EnergyBreakdown(*(getattr(self, f.name) + getattr(other, f.name) for f in fields(self)))


NO_ENERGY = EnergyBreakdown(*[math.nan] * len(fields(EnergyBreakdown)))
"""What an idealised machine has."""


def account(table: EnergyTable, hw: Hardware, actions: Actions) -> EnergyBreakdown:
    """Energy of one pass on a machine; NO_ENERGY if that is idealised.

    The operand buffers' writes are charged at the mean of the two buffers, and a write costs what a read costs.
    """
    if hw.idealised:
        return NO_ENERGY
    mac_pj = table.mac_pj(hw.precision)
    gating = hw.skipping.gate_zeros
    toggling = actions.macs_effectual + (0 if gating else actions.macs_ineffectual)
    gated = actions.macs_ineffectual if gating else 0

    pair_bits = 2 * hw.precision.operand_bits
    fifo_pj = actions.fifo_pushes * 2 * pair_bits * table.queue.register_access.value
    scan_pj = actions.scan_windows * 2 * hw.skipping.window_positions * table.queue.scan.value

    buffers = hw.memory.buffers
    a_pj, b_pj = table.sram_pj_per_bit(buffers.weight_kib), table.sram_pj_per_bit(buffers.input_kib)
    buffer_pj = (
        actions.buffer_a_read_bits * a_pj
        + actions.buffer_b_read_bits * b_pj
        + actions.buffer_write_bits * (a_pj + b_pj) / 2
        + actions.output_buffer_bits * table.sram_pj_per_bit(buffers.output_kib)
    )
    return EnergyBreakdown(
        mac_pj=toggling * mac_pj,
        gated_mac_pj=gated * mac_pj * table.lane.gated.value,
        idle_pj=actions.idle_slots * mac_pj * table.lane.idle.value,
        fifo_scan_pj=fifo_pj + scan_pj,
        buffer_pj=buffer_pj,
        dram_pj=(actions.dram_read_bytes + actions.dram_write_bytes) * 8 * table.dram_pj_per_bit,
        leakage_pj=leakage_uw(table, hw) * actions.cycles / hw.clock_mhz,  # uW x cycles / MHz = uW x us = pJ
    )


def leakage_uw(table: EnergyTable, hw: Hardware) -> float:
    """Static power of the machine, microwatts: lanes, queues (only where a scanner feeds them) and buffers.

    A lane is a multiplier (operand_bits squared), an adder (accumulator_bits) and the registers of two operands and
    the accumulator; a scanning PE has a queue of fifo_depth pairs. DRAM's own background power is not counted. That of
    an idealised machine is NaN.
    """
    if hw.idealised:
        return math.nan
    leakage, array, precision, buffers = table.leakage, hw.array, hw.precision, hw.memory.buffers
    pair_bits = 2 * precision.operand_bits
    lane_uw = (
        leakage.multiplier.value * precision.operand_bits**2
        + leakage.adder.value * precision.accumulator_bits
        + leakage.register_bit.value * (pair_bits + precision.accumulator_bits)
    )
    queue_uw = leakage.register_bit.value * hw.skipping.fifo_depth * pair_bits if hw.skipping.tensors else 0.0
    sram_uw = leakage.sram.value * (buffers.weight_kib + buffers.input_kib + buffers.output_kib)
    return array.count * array.rows * array.cols * (array.lanes * lane_uw + queue_uw) + sram_uw
