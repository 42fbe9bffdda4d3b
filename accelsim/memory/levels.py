"""What passes between a global buffer and the buffers of the array: a macro-tile, cut once more for them.

A macro-tile of the global buffer is a GEMM of its own, whose operands come from there as those of any GEMM come from
DRAM, and it is cut by the same search, for the fewest words. All macro-tiles of a GEMM are cut as a whole one is; words
of smaller ones, at the edges, are in proportion to what they hold.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import lru_cache

import numpy as np

from accelsim.memory.blocking import Blocking
from accelsim.memory.portions import cut_in_portions
from accelsim.memory.search import Candidate, candidates
from accelsim.memory.shape import Shape


@dataclass(frozen=True)
class Refill:
    """How the buffers of the array are filled while a macro-tile lies in the global buffer.

    Attributes:
        a_times, b_times: how often each word of A, and of B, is read from it.
        sum_visits: how often each sum is written to the output buffer: after each chunk of K, and when it comes back.
        sum_words: operand words that sums take which spill into it and come back, for each output.
    """

    a_times: float
    b_times: float
    sum_visits: int
    sum_words: float


@lru_cache(maxsize=4096)
def refill(shape: Shape, blocking: Blocking) -> Refill:
    """Return how the macro-tiles of a cut are passed on.

    Args:
        shape: of the whole GEMM, with the buffers of the array.
        blocking: how it is cut for the global buffer.
    """
    inner = _macro_tile(shape, blocking)
    b_words = inner.images * inner.image[0] * inner.image[1] * inner.channels
    found = candidates(inner)
    if not found:
        cut = cut_in_portions(inner)
        row_blocks, column_blocks = -(-inner.m // inner.rows), -(-inner.n // cut.columns)
        gathered = inner.n * inner.k / b_words
        return Refill(float(column_blocks), gathered * row_blocks, -(-inner.k // cut.chunk), 0.0)
    width = 2 * shape.accumulator_bits / shape.operand_bits  # there and back

    def words(one: Candidate) -> float:
        return one.a_words + one.b_words + width * one.spilled_sums

    best = min(found, key=words)
    cut, outputs = best.blocking, inner.m * inner.n
    blocks = -(-inner.m // (cut.row_tiles * inner.rows)) * -(-inner.n // cut.columns)
    return Refill(
        best.a_words / (inner.m * inner.k),
        best.b_words / b_words,
        max(1, best.steps // blocks) + best.spilled_sums // outputs,
        width * best.spilled_sums / outputs,
    )


def _macro_tile(shape: Shape, blocking: Blocking) -> Shape:
    """Return a whole macro-tile as a GEMM of its own; the image of its operand B is what it reads."""
    rows = min(blocking.row_tiles * shape.rows, shape.m)
    if blocking.gathered:  # a matrix
        columns, chunk = blocking.columns, blocking.chunk
        one = (0,)
        return replace(
            shape, m=rows, n=columns, k=chunk, grid_is_k=False, images=columns, image=(1, 1), grid=(1, 1), step=(1, 1),
            offset_y=one, offset_x=one, channels=chunk,
        )  # fmt: skip
    positions = blocking.chunk if shape.grid_is_k else blocking.columns
    width = blocking.window_width or min(shape.grid[1], positions)
    lines = -(-positions // width)
    height = min(lines, shape.grid[0])
    images = -(-lines // height)
    offsets = [
        tuple((np.array(taps) - min(taps)).tolist())
        for taps in (shape.offset_y[: blocking.kernel_rows], shape.offset_x)
    ]
    grid = height, width
    image = tuple((size - 1) * step + max(taps) + 1 for size, step, taps in zip(grid, shape.step, offsets, strict=True))
    along, kernel = images * height * width, len(offsets[0]) * len(offsets[1]) * blocking.block_channels
    return replace(
        shape,
        m=rows,
        n=kernel if shape.grid_is_k else along,
        k=along if shape.grid_is_k else kernel,
        images=images,
        image=(image[0], image[1]),
        grid=grid,
        offset_y=offsets[0],
        offset_x=offsets[1],
        channels=blocking.block_channels,
    )
