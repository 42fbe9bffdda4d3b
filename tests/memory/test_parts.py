"""Sizes of blocks against counts of single elements."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from accelsim.array import TiledGemm, time_tiled
from accelsim.hardware.model import Hardware
from accelsim.lowering import PASSES, lower
from accelsim.lowering.bits import Words
from accelsim.memory.blocking import Blocking
from accelsim.memory.parts import Parts
from accelsim.trace.record import OpTrace
from tests.strategies import operations, small_machines


def unpacked(rows: Words, count: int) -> np.ndarray:
    return np.unpackbits(rows.view(np.uint8), axis=1, count=count, bitorder="little")


@pytest.mark.reference
@settings(deadline=None)
@given(operations(largest=12), small_machines(), st.sampled_from(PASSES), st.integers(1, 3), st.integers(1, 9))
def test_blocks_hold_their_elements(op: OpTrace, hw: Hardware, which: str, row_tiles: int, columns: int) -> None:
    """Blocks of B are runs of columns, whose elements are gathered."""
    for lowered in lower(op, which):
        tiled = TiledGemm.of(hw, lowered)
        gemm, cut = tiled.gemm, Blocking(row_tiles, columns, chunk=3, order="rows", gathered=True)
        parts = Parts(hw, tiled, cut)
        a, b, (outputs, stored) = parts.operand_a(), parts.operand_b(), parts.outputs()
        a_bits, b_bits = unpacked(gemm.a, gemm.k), unpacked(gemm.columns, gemm.k)
        needed = np.ones((gemm.m, gemm.n), bool)
        masked = gemm.needed is not None and hw.skipping.outputs
        if masked:
            needed = unpacked(gemm.needed, gemm.n)
        rows = hw.array.rows * row_tiles
        for blocks, bits, size in ((a, a_bits, rows), (b, b_bits, columns)):
            held = blocks_of(bits, size, 3)
            sizes, nonzeros = (
                np.array([[measure(one) for one in row] for row in held]) for measure in (np.size, np.sum)
            )
            packed = -(-sizes // 8) + 2 * nonzeros
            assert (blocks.elements == sizes).all()
            assert (blocks.size_bytes == (packed if packed.sum() <= 2 * sizes.sum() else 2 * sizes)).all()
        held = blocks_of(needed, rows, columns)
        sizes, computed = (np.array([[measure(one) for one in row] for row in held]) for measure in (np.size, np.sum))
        packed = -(-sizes // 8) + 2 * computed
        assert (outputs == computed).all()
        assert (stored == (packed if masked and packed.sum() <= 2 * sizes.sum() else 2 * sizes)).all()


def blocks_of(matrix: np.ndarray, rows: int, columns: int) -> list[list[np.ndarray]]:
    return [
        [matrix[row : row + rows, column : column + columns] for column in range(0, matrix.shape[1], columns)]
        for row in range(0, matrix.shape[0], rows)
    ]


@pytest.mark.reference
@settings(deadline=None)
@given(
    operations(largest=12),
    small_machines(),
    st.sampled_from(PASSES),
    st.integers(0, 5),
    st.integers(1, 3),
    st.integers(1, 9),
)
def test_tiles_are_dealt_in_turn_and_end_in_one_block(
    op: OpTrace, hw: Hardware, which: str, first_tile: int, row_tiles: int, columns: int
) -> None:
    for lowered in lower(op, which):
        tiled = TiledGemm.of(hw, lowered)
        parts, timing = Parts(hw, tiled, Blocking(row_tiles, columns, tiled.gemm.k, "rows")), time_tiled(hw, tiled)
        expected = np.zeros_like(parts.cycles(timing.tile_cycles, first_tile))
        tile = 0
        for row_tile, (start, stop) in enumerate(zip(tiled.starts, tiled.stops, strict=True)):
            for low in range(start, stop, hw.array.cols):
                last = tiled.columns[min(low + hw.array.cols, stop) - 1]
                expected[(row_tile // row_tiles, last // columns, (first_tile + tile) % hw.array.count)] += (
                    timing.tile_cycles[tile]
                )
                tile += 1
        assert (parts.cycles(timing.tile_cycles, first_tile) == expected).all()
