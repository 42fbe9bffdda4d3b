"""The work between the convolutions (batch norm, ReLU, optimiser), an estimate that may be added to a simulation.

It assumes the commonest training set-up: every convolution is followed by a batch norm and a ReLU, and SGD with
momentum and weight decay updates the weights. A vector unit with one fp32 lane a column of the array (where the outputs
leave it) does one operation a lane and cycle, while the data moves once more between DRAM and chip. It runs between
the convolutions, not at the same time.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import ceil
from typing import Literal

from accelsim.energy.account import Actions, EnergyBreakdown, account
from accelsim.energy.table import EnergyTable
from accelsim.errors import AccelsimError
from accelsim.hardware.model import Hardware

# Operations an element, counted from the formulas.
# Forward: sum and sum of squares (3: +, x, +), scale and shift (2: x, +), ReLU (1: compare).
FORWARD_OPS = 6
# Backward: ReLU's mask (1); normalised input again (2); sums of dy and of dy * x (3); dx = a dy + b x + c (4).
BACKWARD_OPS = 10
# Update: g + decay * w (2); m = momentum * m + g (2); w - rate * m (2).
UPDATE_OPS = 6
# Elements moved: forward reads and writes once (the sums are taken as outputs leave the array); backward reads dy and x
# twice (sums, then dx) and writes dx; the update reads w, m and g and writes w and m in fp32, then w as an operand.
FORWARD_MOVES, BACKWARD_MOVES, UPDATE_FP32_MOVES = 2, 5, 5


@dataclass(frozen=True)
class VectorWork:
    """What a vector unit does for one operation and pass.

    Attributes:
        ops: fp32 additions, multiplications and comparisons.
        dram_bytes: bytes read from and written to DRAM; 0 on a machine with ideal memory.
        cycles: the longer of computing (ops / array.cols) and moving (dram_bytes / bytes_per_cycle).
    """

    ops: int
    dram_bytes: int
    cycles: int


def vector_work(
    hw: Hardware,
    elements_activation: int,
    elements_weight: int,
    passes: Literal["forward", "backward", "update"],
) -> VectorWork:
    """Estimate the vector work that belongs to one convolution or linear layer.

    Args:
        hw: the machine; its columns are the vector lanes.
        elements_activation: elements of the layer's output, N x Cout x P x Q; used by forward and backward.
        elements_weight: the layer's weights; used by update, once a step and weight tensor.
        passes: forward (batch norm, ReLU), backward (of both), update (SGD with momentum).

    Raises:
        AccelsimError: a count is negative, or the pass is none of the three.
    """
    if elements_activation < 0 or elements_weight < 0:
        raise AccelsimError(f"elements are {elements_activation} and {elements_weight}, expected counts of at least 0")
    bits = hw.precision.operand_bits
    match passes:
        case "forward":
            ops, moved_bits = FORWARD_OPS * elements_activation, FORWARD_MOVES * bits * elements_activation
        case "backward":
            ops, moved_bits = BACKWARD_OPS * elements_activation, BACKWARD_MOVES * bits * elements_activation
        case "update":
            ops, moved_bits = UPDATE_OPS * elements_weight, (UPDATE_FP32_MOVES * 32 + bits) * elements_weight
        case _:
            raise AccelsimError(f"vector work of pass {passes!r} is unknown, expected forward, backward or update")
    compute_cycles = ceil(ops / hw.array.cols)
    if hw.memory.dram is None:
        return VectorWork(ops, 0, compute_cycles)
    dram_bytes = ceil(moved_bits / 8)
    return VectorWork(ops, dram_bytes, max(compute_cycles, ceil(dram_bytes / hw.memory.dram.bytes_per_cycle)))


def vector_energy(table: EnergyTable, hw: Hardware, work: VectorWork) -> EnergyBreakdown:
    """Energy of vector work: operations half fp32 multiplications, half additions, DRAM and leakage."""
    return account(table, hw, Actions(cycles=work.cycles, vector_ops=work.ops, dram_read_bytes=work.dram_bytes))
