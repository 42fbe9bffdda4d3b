"""The buffers as memories: capacity, masks included, width of an access, banks."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal

from accelsim.array.pe import pe_of
from accelsim.hardware.model import Hardware

Name = Literal["weight", "input", "output", "global"]


@dataclass(frozen=True)
class BufferShape:
    """One on-chip buffer.

    Attributes:
        name: "weight" (operand A), "input" (operand B), "output" or "global".
        kib: capacity, mask bits included.
        bits: width of an access: what is read at one position, mask bits included.
        banks: accesses in a cycle, each in a bank of its own.
    """

    name: Name
    kib: float
    bits: int
    banks: int


def keeps_masks(hw: Hardware) -> bool:
    """Whether the operand buffers hold a mask bit beside each word: where PEs skip single zeros or windows."""
    return bool(hw.skipping.tensors or hw.skipping.blocks)


def buffer_shapes(hw: Hardware) -> tuple[BufferShape, BufferShape, BufferShape]:
    """Return the three buffers of a machine, or the three parts of its one, shared by its arrays.

    Words that PEs read at the same position lie side by side: a window of each row (column) of PEs that share a scan
    pointer is one access, at most as wide as the port. A port that delivers several accesses in a cycle has a bank for
    each; one that was left unlimited has a bank for every scan pointer. Outputs leave a row of the array at a time;
    where an operand stays in the PEs, partial sums leave for one bank while others come back from a second one. All of
    it is for one array; each of several reads and writes as much in the same cycle, in as many banks again.
    """
    array, buffers, pe = hw.array, hw.memory.buffers, pe_of(hw)
    mask = 1 if keeps_masks(hw) else 0
    word = hw.precision.operand_bits + mask
    window = max(1, pe.window_positions)
    group_rows, group_cols = pe.group_extent
    groups_down, groups_across = array.rows // group_rows, array.cols // group_cols
    share = 1 + mask / hw.precision.operand_bits
    shapes = []
    for name, kib, port, lines, line_groups, readers in (
        ("weight", buffers.weight_kib, pe.ports.a_words, group_rows, groups_down, groups_across),
        ("input", buffers.input_kib, pe.ports.b_words, group_cols, groups_across, groups_down),
    ):
        together = lines * window
        words = port or together * line_groups * readers
        access = min(together, words)
        banks = array.count * -(-words // access)
        shapes.append(BufferShape(name, share * kib, access * word, banks))  # type: ignore[arg-type]
    row = array.cols * hw.precision.accumulator_bits
    three = shapes[0], shapes[1], BufferShape("output", buffers.output_kib, row, array.count * pe.output_rows_per_cycle)
    if buffers.unified_kib is None:
        return three
    of_a_bit = buffers.unified_kib * share / sum(shape.bits * shape.banks for shape in three)
    a, b, output = (replace(shape, kib=of_a_bit * shape.bits * shape.banks) for shape in three)
    return a, b, output


def global_buffer_shape(hw: Hardware) -> BufferShape | None:
    """Return the global buffer of a machine, if it has one: a bank as wide as what it passes on in a cycle."""
    level = hw.memory.global_buffer
    if level is None:
        return None
    return BufferShape("global", level.kib, level.words_per_cycle * hw.precision.operand_bits, 1)
