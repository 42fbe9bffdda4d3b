"""The cut of a GEMM of which no macro-tile fits the buffers: they are passed in portions.

A macro-tile is one tile of the array and 64 positions of K, of which B's elements are gathered one by one. What is too
large even so goes through its buffer in portions: a step's operands come, and are multiplied, one portion of its K
positions after the other; outputs leave the array one portion after the other.
"""

from __future__ import annotations

from accelsim.memory.blocking import Blocking
from accelsim.memory.shape import Shape

POSITIONS = 64  # of K


def cut_in_portions(shape: Shape) -> Blocking:
    """Return the smallest macro-tile, in as few portions as it takes."""
    rows, columns, chunk = min(shape.rows, shape.m), min(shape.cols, shape.n), min(POSITIONS, shape.k)
    bits = (
        rows * chunk * shape.operand_bits,
        columns * chunk * shape.operand_bits,
        rows * columns * shape.accumulator_bits,
    )
    a, b, outputs = (-(-need // room) for need, room in zip(bits, shape.portion_bits, strict=True))
    row_blocks, column_blocks = -(-shape.m // rows), -(-shape.n // columns)
    # With one chunk the operand whose blocks are outermost stays while the other one's pass.
    a_words, b_words = shape.m * shape.k, shape.n * shape.k
    once_a = a_words * (column_blocks if a > 1 else 1) + b_words * row_blocks
    once_b = a_words * column_blocks + b_words * (row_blocks if b > 1 else 1)
    order = shape.order if shape.order != "any" else "rows" if once_a <= once_b else "columns"
    return Blocking(1, columns, chunk, order, gathered=True, a_portions=a, b_portions=b, output_portions=outputs)
