"""A pass's actions by component, with what each costs: the energy account in the terms of Accelergy.

Component and action names follow Accelergy's (Wu, Emer, Sze, ICCAD 2019) where it has one: mac_random, mac_gated, read,
write, idle, leak.
"""

from __future__ import annotations

from dataclasses import dataclass

from accelsim.energy.account import Actions, leakage_uw
from accelsim.energy.table import EnergyTable
from accelsim.hardware.model import Hardware


@dataclass(frozen=True)
class ActionCount:
    """How often a component did something.

    Attributes:
        component: mac, queue, scanner, weight_buffer, input_buffer, operand_buffers, output_buffer, dram or machine.
        action: what it did.
        unit: what one of them is.
        count: how many.
        pj: energy of one; count x pj summed over all actions is the pass's energy.
    """

    component: str
    action: str
    unit: str
    count: int
    pj: float


def count_actions(table: EnergyTable, hw: Hardware, actions: Actions) -> list[ActionCount]:
    """Return a pass's actions; their number and order depend on the machine alone, so passes add up entry by entry."""
    mac_pj, gating, precision = table.mac_pj(hw.precision), hw.skipping.gate_zeros, hw.precision
    word, accumulator, pair = precision.operand_bits, precision.accumulator_bits, 2 * precision.operand_bits
    buffers, window = hw.memory.buffers, hw.skipping.window_positions
    a_pj, b_pj = (table.sram_pj_per_bit(kib) for kib in (buffers.weight_kib, buffers.input_kib))
    entry_pj = pair * table.queue.register_access.value
    words, word_pj = f"word of {word} bits", (a_pj + b_pj) / 2 * word
    sums, sum_pj = f"word of {accumulator} bits", table.sram_pj_per_bit(buffers.output_kib) * accumulator
    partial_sums = actions.output_buffer_bits // (2 * accumulator)  # each written once and read once
    toggling = actions.macs_effectual + (0 if gating else actions.macs_ineffectual)
    gated, lane = actions.macs_ineffectual if gating else 0, table.lane
    return [
        ActionCount("mac", "mac_random", "multiply-accumulate", toggling, mac_pj),
        ActionCount("mac", "mac_gated", "multiply-accumulate", gated, mac_pj * lane.gated.value),
        ActionCount("mac", "idle", "lane and cycle", actions.idle_slots, mac_pj * lane.idle.value),
        ActionCount("queue", "write", "pair of operands", actions.fifo_pushes, entry_pj),
        ActionCount("queue", "read", "pair of operands", actions.fifo_pushes, entry_pj),
        ActionCount(
            "scanner", "scan", f"window of 2 x {window} bits", actions.scan_windows, 2 * window * table.queue.scan.value
        ),
        ActionCount("weight_buffer", "read", words, actions.buffer_a_read_bits // word, a_pj * word),
        ActionCount("input_buffer", "read", words, actions.buffer_b_read_bits // word, b_pj * word),
        ActionCount("operand_buffers", "write", words, actions.buffer_write_bits // word, word_pj),
        ActionCount("output_buffer", "write", sums, partial_sums, sum_pj),
        ActionCount("output_buffer", "read", sums, partial_sums, sum_pj),
        ActionCount("dram", "read", "byte", actions.dram_read_bytes, 8 * table.dram_pj_per_bit),
        ActionCount("dram", "write", "byte", actions.dram_write_bytes, 8 * table.dram_pj_per_bit),
        ActionCount("machine", "leak", "cycle", actions.cycles, leakage_uw(table, hw) / hw.clock_mhz),
    ]
