"""Area of a machine: gate equivalents of its logic, and mm2 of logic and buffers at 45 nm.

A gate equivalent is the area of a NAND gate of two inputs. mm2 are those of the NanGate 45 nm Open Cell Library
(NAND2_X1: 0.798 um2) with cells on 70 % of the area of the logic, and of CACTI's SRAMs at 45 nm, whatever the
technology of the machine's energy table: ratios between machines are what the model is for.

In it are PEs with all that their kind adds, registers that PEs share, the lanes of the vector unit (each a multiplier
and an adder of 32 bits with their registers), and the buffers. Not in it are the control of tiles, the interface
to DRAM, and wires beyond what the share of 70 % leaves for them.
"""

from __future__ import annotations

from dataclasses import dataclass

from accelsim.area.buffers import buffer_shapes, global_buffer_shape
from accelsim.area.sram import sram_mm2
from accelsim.array.pe import pe_of
from accelsim.hardware.logic import Logic, cells
from accelsim.hardware.model import Hardware

NODE = "45 nm"
NAND2_UM2 = 0.798
"""NAND2_X1 of the NanGate 45 nm Open Cell Library."""
_VECTOR_BITS = 32
PLACED = 0.7
"""Share of the logic's area that cells take, the rest being left for wires: an estimate, common in placement."""


@dataclass(frozen=True)
class PartArea:
    """Area of one part of a machine.

    Attributes:
        name: of the part.
        count: pieces in the machine.
        gate_equivalents: of all pieces; 0 for a buffer.
        mm2: of all pieces.
    """

    name: str
    count: int
    gate_equivalents: float
    mm2: float


@dataclass(frozen=True)
class Area:
    """Area of a machine, by parts."""

    parts: tuple[PartArea, ...]

    @property
    def gate_equivalents(self) -> float:
        """Logic of the machine, in NAND gates of two inputs."""
        return sum(part.gate_equivalents for part in self.parts)

    @property
    def mm2(self) -> float:
        """Logic and buffers, mm2 at `NODE`."""
        return sum(part.mm2 for part in self.parts)


def area(hw: Hardware) -> Area:
    """Return the area of a machine; that of an idealised one, which nobody could build, means nothing."""
    parts = [_laid_out(logic, hw.array.count) for logic in pe_of(hw).parts(hw.precision)]
    lane = cells("mac_lanes", L=1, W=_VECTOR_BITS, ACC=_VECTOR_BITS)
    vector = Logic("vector unit", hw.vector_lanes, lane.gates, lane.flip_flops, lane.equivalents_per_gate)
    parts.append(_laid_out(vector, 1))
    beyond = global_buffer_shape(hw)
    for buffer in (*buffer_shapes(hw), *([beyond] if beyond else [])):
        mm2 = buffer.banks * sram_mm2(buffer.kib / buffer.banks, buffer.bits)
        parts.append(PartArea(f"{buffer.name} buffer", buffer.banks, 0.0, mm2))
    return Area(tuple(parts))


def _laid_out(logic: Logic, times: int) -> PartArea:
    gate_equivalents = times * logic.gate_equivalents
    mm2 = gate_equivalents * NAND2_UM2 / PLACED / 1e6
    return PartArea(logic.name, times * logic.count, gate_equivalents, mm2)
