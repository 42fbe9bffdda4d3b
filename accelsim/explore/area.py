"""A stand-in for chip area, until a synthesis says better: transistors of multipliers, queues and buffers.

Transistors of one bit of each, as the usual static CMOS cells of a textbook have them (Weste and Harris, CMOS VLSI
Design): a full adder is the mirror adder with 28, a cell of an array multiplier that adder and an AND gate with 6, a
flip-flop two transmission-gate latches with their clock inverters, 24, an SRAM bit the cell with 6. Wires, control,
scanners and what surrounds the SRAM cells are left out.
"""

from __future__ import annotations

from accelsim.hardware.model import Hardware

MULTIPLIER_CELL = 34  # one partial-product bit
ADDER_BIT = 28
REGISTER_BIT = 24
SRAM_BIT = 6


def area_proxy(hw: Hardware) -> int:
    """Return a machine's transistors, by rule of thumb.

    A lane is an integer multiplier of operand_bits squared cells and an adder of accumulator_bits; a PE has one
    accumulator register, and, where it scans, a queue of fifo_depth operand pairs in registers (TensorDash: stage_depth
    windows of 16 pairs). Buffers are SRAM, shared by all arrays.
    """
    array, buffers = hw.array, hw.memory.buffers
    operand, accumulator = hw.precision.operand_bits, hw.precision.accumulator_bits
    lane = MULTIPLIER_CELL * operand**2 + ADDER_BIT * accumulator
    pe = array.lanes * lane + REGISTER_BIT * (accumulator + 2 * operand * hw.skipping.queued_pairs)
    sram_bits = 8 * 1024 * (buffers.weight_kib + buffers.input_kib + buffers.output_kib)
    return array.count * array.rows * array.cols * pe + SRAM_BIT * sram_bits
