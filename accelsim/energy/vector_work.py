"""The work between the products (normalisation, activation functions, softmax, pooling, optimiser) on a vector unit.

A unit of `vector.lanes` fp32 lanes stands beside the array. A lane does one operation a cycle, while the elements move
between DRAM and chip once more; the longer of the two counts. It works between the array's passes, not at the same
time: a normalisation needs the whole output of the layer before it, and is needed whole by the layer after it. Two
things do overlap: the sums of a forward normalisation are taken as outputs leave the array, and activation functions,
sums of two tensors and dropout are applied as their input is written, so neither moves anything of its own.

All of it is an estimate: operations are counted from the formulas, see `PRICES`. The dense baselines do the same work.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from math import ceil

from accelsim.energy.account import Actions, EnergyBreakdown, account
from accelsim.energy.table import EnergyTable
from accelsim.hardware.model import Hardware
from accelsim.trace.other_work import KINDS

EXPONENTIAL_OPS = 4
"""An exponential, error function, root or reciprocal: into the table's range, look-up, and a linear piece (2)."""

_SOFTMAX, _ACTIVATION = 4 + EXPONENTIAL_OPS, 2 + 2 * EXPONENTIAL_OPS


@dataclass(frozen=True)
class Price:
    """What an element costs.

    Attributes:
        row: what tables add it up under, one of `ROWS`.
        ops: additions, multiplications and comparisons.
        moves: words of operand_bits read from DRAM or written to it.
        fp32_moves: words of 32 bits.
        rule: how these follow.
    """

    row: str
    ops: int
    moves: int
    fp32_moves: int
    rule: str


PRICES: Mapping[str, Price] = {
    "batch_norm": Price("norm", 5, 2, 0, "sum and sum of squares 3, scale and shift 2; read and written"),
    "batch_norm_backward": Price(
        "norm", 9, 5, 0, "normalised input again 2, sums of dy and dy·x 3, dx = a·dy + b·x + c 4; dy and x read twice"
    ),
    "group_norm": Price("norm", 7, 2, 0, "as batch norm, then a weight and a bias of their own 2"),
    "group_norm_backward": Price("norm", 13, 5, 0, "as batch norm, then dy·weight 1, sums for weight and bias 3"),
    "layer_norm": Price("norm", 7, 2, 0, "as group norm"),
    "layer_norm_backward": Price("norm", 13, 3, 0, "as group norm, but a row stays on the chip: dy and x read once"),
    "relu": Price("activation", 1, 0, 0, "a comparison"),
    "relu_backward": Price("activation", 1, 0, 0, "a comparison"),
    "gelu": Price("activation", 4 + EXPONENTIAL_OPS, 0, 0, "x/2·(1 + erf(x/√2)): an error function and 4"),
    "gelu_backward": Price(
        "activation", 8 + 2 * EXPONENTIAL_OPS, 1, 0, "an error function, an exponential and 8; the input read again"
    ),
    "activation": Price("activation", _ACTIVATION, 0, 0, "an exponential, a reciprocal and 2, as x·sigmoid(x)"),
    "activation_backward": Price("activation", _ACTIVATION + 3, 1, 0, "the same again and 3; the input read again"),
    "softmax": Price("softmax", _SOFTMAX, 2, 0, "maximum, difference, exponential, sum, product; read and written"),
    "softmax_backward": Price("softmax", 4, 3, 0, "dy·y, its sum, difference, product; dy and y read, dx written"),
    "pooling": Price("pooling", 2, 2, 0, "a comparison or sum along either axis; read, and written, which is less"),
    "pooling_backward": Price("pooling", 1, 2, 0, "a product or choice; read and written"),
    "add": Price("add", 1, 1, 0, "a sum; the other tensor is read"),
    "dropout": Price("dropout", 2, 0, 0, "a comparison and a product"),
    "sgd": Price("optimizer", 4, 1, 3, "decay 2, step 2; w and g read, w written in fp32 and as an operand"),
    "momentum": Price("optimizer", 6, 1, 5, "decay 2, momentum 2, step 2; w, m, g read, w, m written, w as an operand"),
    "adam": Price(
        "optimizer",
        12 + 2 * EXPONENTIAL_OPS,
        1,
        7,
        "decay 2, m 3, v 4, a root, a reciprocal, step 3; w, m, v, g read, w, m, v written, w as an operand",
    ),
}
"""Of each kind of `accelsim.trace.other_work.KINDS`."""

ROWS = tuple(dict.fromkeys(price.row for price in PRICES.values()))

assert PRICES.keys() == KINDS


@dataclass(frozen=True)
class VectorWork:
    """What a vector unit does.

    Attributes:
        ops: additions, multiplications and comparisons.
        dram_bytes: bytes read from and written to DRAM; 0 on a machine with ideal memory.
        cycles: the longer of computing (ops / lanes) and moving (dram_bytes / bytes_per_cycle).
    """

    ops: int
    dram_bytes: int
    cycles: int

    @classmethod
    def on(cls, hw: Hardware, ops: int, moved_bits: int) -> VectorWork:
        """Time some operations beside what they move."""
        compute_cycles = ceil(ops / hw.vector_lanes)
        if hw.memory.dram is None:
            return cls(ops, 0, compute_cycles)
        dram_bytes = ceil(moved_bits / 8)
        return cls(ops, dram_bytes, max(compute_cycles, ceil(dram_bytes / hw.memory.dram.bytes_per_cycle)))

    def __add__(self, other: VectorWork) -> VectorWork:
        return VectorWork(self.ops + other.ops, self.dram_bytes + other.dram_bytes, self.cycles + other.cycles)


def vector_work(hw: Hardware, tally: Mapping[str, int]) -> dict[str, VectorWork]:
    """Return the work of some elements by kind, added up by row, one of `ROWS`.

    Args:
        hw: the machine.
        tally: elements by kind, see `accelsim.trace.other_work`.
    """
    rows: dict[str, VectorWork] = {}
    for kind, elements in tally.items():
        price = PRICES[kind]
        bits = price.moves * hw.precision.operand_bits + 32 * price.fp32_moves
        work = VectorWork.on(hw, price.ops * elements, bits * elements)
        rows[price.row] = rows.get(price.row, VectorWork(0, 0, 0)) + work
    return {row: rows[row] for row in ROWS if row in rows}


def vector_energy(table: EnergyTable, hw: Hardware, work: VectorWork) -> EnergyBreakdown:
    """Energy of vector work: operations half fp32 multiplications, half additions, DRAM and leakage."""
    return account(table, hw, Actions(cycles=work.cycles, vector_ops=work.ops, dram_read_bytes=work.dram_bytes))
