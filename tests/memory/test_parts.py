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
from accelsim.memory.parts import Parts
from accelsim.trace.record import OpTrace
from tests.strategies import operations, small_machines


def unpacked(rows: Words, count: int) -> np.ndarray:
    return np.unpackbits(rows.view(np.uint8), axis=1, count=count, bitorder="little")


def stored_bytes(elements: int, nonzeros: int) -> int:
    """Bytes of a compressed tensor with words of 16 bits."""
    return -(-elements // 8) + 2 * nonzeros


@pytest.mark.reference
@settings(deadline=None)
@given(operations(largest=12), small_machines(), st.sampled_from(PASSES))
def test_blocks_hold_their_elements(op: OpTrace, hw: Hardware, which: str) -> None:
    for lowered in lower(op, which):
        tiled = TiledGemm.of(hw, lowered)
        gemm, parts = tiled.gemm, Parts(hw, tiled)
        a, (outputs, stored) = parts.operand_a(), parts.outputs()
        a_bits, needed = unpacked(gemm.a, gemm.k), np.ones((gemm.m, gemm.n), bool)
        masked = gemm.needed is not None and hw.skipping.outputs
        if masked:
            needed = unpacked(gemm.needed, gemm.n)
        rows, cols = hw.array.rows * parts.blocking.row_tiles, parts.blocking.columns
        for i, row in enumerate(range(0, gemm.m, rows)):
            for j, start in enumerate(range(0, gemm.k, parts.blocking.chunk)):
                block = a_bits[row : row + rows, start : start + parts.blocking.chunk]
                assert a.elements[i, j] == block.size
                assert a.size_bytes[i, j] == stored_bytes(block.size, block.sum())
            for j, column in enumerate(range(0, gemm.n, cols)):
                block = needed[row : row + rows, column : column + cols]
                assert outputs[i, j] == block.sum()
                assert stored[i, j] == (stored_bytes(block.size, block.sum()) if masked else 2 * block.size)


@pytest.mark.reference
@settings(deadline=None)
@given(operations(largest=12), small_machines(), st.sampled_from(PASSES), st.integers(0, 5))
def test_tiles_are_dealt_in_turn_and_end_in_one_block(op: OpTrace, hw: Hardware, which: str, first_tile: int) -> None:
    for lowered in lower(op, which):
        tiled = TiledGemm.of(hw, lowered)
        parts, timing = Parts(hw, tiled), time_tiled(hw, tiled)
        expected = np.zeros_like(parts.cycles(timing.tile_cycles, first_tile))
        tile = 0
        for row_tile, (start, stop) in enumerate(zip(tiled.starts, tiled.stops, strict=True)):
            for low in range(start, stop, hw.array.cols):
                last = tiled.columns[min(low + hw.array.cols, stop) - 1]
                block = row_tile // parts.blocking.row_tiles, last // parts.blocking.columns
                expected[(*block, (first_tile + tile) % hw.array.count)] += timing.tile_cycles[tile]
                tile += 1
        assert (parts.cycles(timing.tile_cycles, first_tile) == expected).all()
