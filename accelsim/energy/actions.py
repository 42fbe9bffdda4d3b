"""What a machine does that costs energy: the counts of a pass, and the one list of actions with their prices.

The account, the action counts in Accelergy's form and the documentation are read from `ACTIONS`, so a new action is one
entry there, and one field of `Actions` where nothing counts it yet.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields

from accelsim.area import area
from accelsim.area.buffers import BufferShape, buffer_shapes, global_buffer_shape, keeps_masks
from accelsim.area.sram import width_factor
from accelsim.array.pe import pe_of
from accelsim.energy.table import EnergyTable
from accelsim.errors import AccelsimError
from accelsim.hardware.logic import EVENTS
from accelsim.hardware.model import Hardware


@dataclass(frozen=True)
class Actions:
    """Everything that the machine did in one pass.

    Attributes:
        cycles: duration, memory stalls included.
        macs_effectual: consumed pairs of two non-zeros.
        macs_ineffectual: consumed pairs with a zero.
        idle_slots: lane-cycles without a pair (edge, barrier, sync, starved, port, skew, memory).
        running_slots: lane-cycles of PEs whose group runs: with a pair, sync and starved.
        scan_windows: windows looked at by a PE's scanner (PEs x windows); 0 on a dense PE.
        outputs: that leave the array.
        buffer_a_read_words: from operand A's buffer (memory.buffers.weight_kib) to the array.
        buffer_b_read_words: from operand B's buffer (memory.buffers.input_kib) to the array.
        buffer_write_words: from DRAM into those two buffers.
        output_buffer_words: partial sums and outputs, each written and read once at the output buffer.
        global_buffer_words: words of operands' width that are written to or read from the global buffer.
        dram_read_bytes: bytes read from DRAM.
        dram_write_bytes: bytes written to DRAM.
        vector_ops: fp32 operations of the vector unit.
        comparisons: of candidates in updates of the masks.

    Raises:
        AccelsimError: a count is negative.
    """

    cycles: int = 0
    macs_effectual: int = 0
    macs_ineffectual: int = 0
    idle_slots: int = 0
    running_slots: int = 0
    scan_windows: int = 0
    outputs: int = 0
    buffer_a_read_words: int = 0
    buffer_b_read_words: int = 0
    buffer_write_words: int = 0
    output_buffer_words: int = 0
    global_buffer_words: int = 0
    dram_read_bytes: int = 0
    dram_write_bytes: int = 0
    vector_ops: int = 0
    comparisons: int = 0

    def __post_init__(self) -> None:
        for field in fields(self):
            if getattr(self, field.name) < 0:
                raise AccelsimError(f"{field.name} is {getattr(self, field.name)}, expected a count of at least 0")


@dataclass(frozen=True)
class Action:
    """Something that a component does, and what it costs.

    Attributes:
        component: who does it, as action counts call it.
        names: what it does; several, if each is done as often and costs the same. Accelergy's names (Wu, Emer, Sze,
            ICCAD 2019) where it has them: mac_random, mac_gated, read, write, idle, leak.
        charged_to: the part of an `EnergyBreakdown` that pays for it.
        unit: what one is, as action counts say it; a format string of the machine `hw`.
        means: what one is, in the documentation.
        cost: how its price follows, in the documentation; names the numbers of the energy table that it takes.
        count: how many of them a machine did, by each name; whole if all words and partial sums are.
        pj: price of one on a machine.
    """

    component: str
    names: tuple[str, ...]
    charged_to: str
    unit: str
    means: str
    cost: str
    count: Callable[[Hardware, Actions], float]
    pj: Callable[[EnergyTable, Hardware], float]


def leakage_uw(table: EnergyTable, hw: Hardware) -> float:
    """Static power of the machine, microwatts: logic by its area, buffers by their bits.

    DRAM's own background power is not counted. That of an idealised machine is NaN.
    """
    if hw.idealised:
        return math.nan
    beyond = global_buffer_shape(hw)
    kib = sum(buffer.kib for buffer in buffer_shapes(hw)) + (beyond.kib if beyond else 0)
    return area(hw).gate_equivalents * table.leakage.gate.value + kib * table.leakage.sram.value


def _events(hw: Hardware, did: Actions) -> Mapping[str, float]:
    """How often each of `EVENTS` happened."""
    pairs = did.macs_effectual + did.macs_ineffectual
    return {
        "cycle": did.running_slots / hw.array.lanes,
        "window": did.scan_windows,
        "pair": pairs,
        "product": pairs - _gated(hw, did),
        "output": did.outputs,
        "word": did.buffer_a_read_words + did.buffer_b_read_words,
    }


def _switching_pj(table: EnergyTable, hw: Hardware, event: str) -> float:
    """What logic switches at one event: gates that see new inputs, and flip-flops that are clocked."""
    parts = pe_of(hw).parts(hw.precision)
    gates = sum(part.switching.get(event, 0.0) for part in parts)
    flip_flops = sum(part.clocked.get(event, 0.0) for part in parts)
    return gates * table.logic.gate.value + flip_flops * table.logic.flip_flop.value


def _on(event: str, charged_to: str) -> Action:
    return Action(
        "logic",
        (event,),
        charged_to,
        unit=EVENTS[event],
        means=EVENTS[event],
        cost="by the parts of a PE: gates that see new inputs × `logic.gate` + flip-flops that are clocked ×"
        " `logic.flip_flop`",
        count=lambda hw, did: _events(hw, did)[event],
        pj=lambda table, hw: _switching_pj(table, hw, event),
    )


def _access_pj(table: EnergyTable, buffer: BufferShape, bits: int) -> float:
    return bits * table.sram_pj_per_bit(buffer.kib) * width_factor(buffer.kib, buffer.bits)


def _word_bits(hw: Hardware) -> int:
    return hw.precision.operand_bits + (1 if keeps_masks(hw) else 0)


def _read_pj(table: EnergyTable, hw: Hardware, number: int) -> float:
    return _access_pj(table, buffer_shapes(hw)[number], _word_bits(hw))


def _global_buffer_pj(table: EnergyTable, hw: Hardware) -> float:
    buffer = global_buffer_shape(hw)
    return _access_pj(table, buffer, hw.precision.operand_bits) if buffer else 0.0


def _gated(hw: Hardware, did: Actions) -> int:
    return did.macs_ineffectual if hw.skipping.gate_zeros else 0


def _dram_pj(table: EnergyTable, hw: Hardware) -> float:
    return 8 * table.dram_pj_per_bit(hw.memory.dram.kind) if hw.memory.dram else 0.0


def _comparison_pj(table: EnergyTable, hw: Hardware) -> float:
    number_format, add = hw.precision.number_format, table.add
    return {"bf16": add.bf16, "fp32": add.fp32, "int4": add.int16, "int8": add.int16}.get(number_format, add.fp16).value


_WORD = "word of {hw.precision.operand_bits} bits"
_STORED = "operand_bits (and 1 for its mask bit, where PEs skip)"

ARRAY_ACTIONS = (
    Action(
        "mac",
        ("mac_random",),
        "mac_pj",
        unit="multiply-accumulate",
        means="a consumed pair whose multiplier toggles: any, but with `skipping.gate_zeros` one of two non-zeros",
        cost="a multiply-accumulate: product in the number format (`multiply`) + sum in the accumulator's (`add`)",
        count=lambda hw, did: did.macs_effectual + did.macs_ineffectual - _gated(hw, did),
        pj=lambda table, hw: table.mac_pj(hw.precision),
    ),
    Action(
        "mac",
        ("mac_gated",),
        "gated_mac_pj",
        unit="multiply-accumulate",
        means="a consumed pair with a zero, with `skipping.gate_zeros`",
        cost="`lane.gated` of a multiply-accumulate",
        count=_gated,
        pj=lambda table, hw: table.mac_pj(hw.precision) * table.lane.gated.value,
    ),
    Action(
        "mac",
        ("idle",),
        "idle_pj",
        unit="lane and cycle",
        means="a lane in a cycle without a pair: edge, barrier, sync, starved, port, skew, memory",
        cost="`lane.idle` of a multiply-accumulate",
        count=lambda hw, did: did.idle_slots,
        pj=lambda table, hw: table.mac_pj(hw.precision) * table.lane.idle.value,
    ),
    _on("product", "mac_pj"),
    *(_on(event, "fifo_scan_pj") for event in EVENTS if event != "product"),
    Action(
        "weight_buffer",
        ("read",),
        "buffer_pj",
        unit=_WORD,
        means="a word of operand A, to the array, each scan pointer at a position of its own reading for itself",
        cost=f"{_STORED} × a bit's energy by `sram`, at the capacity of `memory.buffers.weight_kib` and the width of an"
        " access",
        count=lambda hw, did: did.buffer_a_read_words,
        pj=lambda table, hw: _read_pj(table, hw, 0),
    ),
    Action(
        "input_buffer",
        ("read",),
        "buffer_pj",
        unit=_WORD,
        means="a word of operand B, to the array, likewise",
        cost=f"{_STORED} × a bit's energy by `sram`, at the capacity of `memory.buffers.input_kib` and the width of an"
        " access",
        count=lambda hw, did: did.buffer_b_read_words,
        pj=lambda table, hw: _read_pj(table, hw, 1),
    ),
    Action(
        "operand_buffers",
        ("write",),
        "buffer_pj",
        unit=_WORD,
        means="a word from DRAM, into either of the two",
        cost="the mean of the two",
        count=lambda hw, did: did.buffer_write_words,
        pj=lambda table, hw: (_read_pj(table, hw, 0) + _read_pj(table, hw, 1)) / 2,
    ),
    Action(
        "output_buffer",
        ("write", "read"),
        "buffer_pj",
        unit="word of {hw.precision.accumulator_bits} bits",
        means="a partial sum or an output, written and read once each",
        cost="accumulator_bits × a bit's energy by `sram`, at the capacity of `memory.buffers.output_kib` and the width"
        " of a row of the array",
        count=lambda hw, did: did.output_buffer_words,
        pj=lambda table, hw: _access_pj(table, buffer_shapes(hw)[2], hw.precision.accumulator_bits),
    ),
    Action(
        "global_buffer",
        ("access",),
        "buffer_pj",
        unit=_WORD,
        means="a word that `memory.global_buffer` takes from DRAM or the array, or gives to either",
        cost="operand_bits × a bit's energy by `sram`, at the capacity of `memory.global_buffer.kib` and the width of"
        " the words that it passes on in a cycle",
        count=lambda hw, did: did.global_buffer_words,
        pj=_global_buffer_pj,
    ),
    Action(
        "dram",
        ("read",),
        "dram_pj",
        unit="byte",
        means="a byte",
        cost="8 × `dram`, of the kind that `memory.dram.kind` names",
        count=lambda hw, did: did.dram_read_bytes,
        pj=_dram_pj,
    ),
    Action(
        "dram",
        ("write",),
        "dram_pj",
        unit="byte",
        means="a byte",
        cost="8 × `dram`, of the kind that `memory.dram.kind` names",
        count=lambda hw, did: did.dram_write_bytes,
        pj=_dram_pj,
    ),
    Action(
        "machine",
        ("leak",),
        "leakage_pj",
        unit="cycle",
        means="a cycle of the whole machine, memory stalls included",
        cost="static power / clock: gate equivalents of the logic × `leakage.gate`, buffers × `leakage.sram`",
        count=lambda hw, did: did.cycles,
        pj=lambda table, hw: leakage_uw(table, hw) / hw.clock_mhz,  # uW / MHz = uW x us = pJ
    ),
)
"""What array, buffers and memory do: the action counts of a run."""

VECTOR_ACTIONS = (
    Action(
        "vector_unit",
        ("operate",),
        "vector_pj",
        unit="fp32 operation",
        means="an operation of the vector unit between the products",
        cost="mean of an fp32 product and sum (`multiply.fp32`, `add.fp32`)",
        count=lambda hw, did: did.vector_ops,
        pj=lambda table, hw: (table.multiply.fp32.value + table.add.fp32.value) / 2,
    ),
    Action(
        "vector_unit",
        ("compare",),
        "vector_pj",
        unit="comparison",
        means="a comparison in an update of the masks",
        cost="a sum at operand width (`add.fp16`, `add.bf16`, `add.fp32`; `add.int16` for int8 and int4, `add.fp16`"
        " for fp8, as tables have no narrower one)",
        count=lambda hw, did: did.comparisons,
        pj=_comparison_pj,
    ),
)
"""What the vector unit does between the array's passes, an estimate: `vector_work`, `mask_update`."""

ACTIONS = ARRAY_ACTIONS + VECTOR_ACTIONS
