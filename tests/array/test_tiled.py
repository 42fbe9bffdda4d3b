"""Tiles against plain lists of columns."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from accelsim.array import TiledGemm
from accelsim.hardware.model import Hardware
from accelsim.lowering import PASSES, lower
from accelsim.trace.record import OpTrace
from tests.strategies import machines, operations


@pytest.mark.reference
@settings(deadline=None)
@given(operations(largest=12), machines(), st.sampled_from(PASSES))
def test_columns_of_each_row_tile(op: OpTrace, hw: Hardware, which: str) -> None:
    rows, cols = hw.array.rows, hw.array.cols
    for lowered in lower(op, which):
        tiled = TiledGemm.of(hw, lowered)
        gemm = tiled.gemm
        wanted = np.ones((gemm.m, gemm.n), bool)
        if gemm.needed is not None and hw.skipping.outputs:
            wanted = np.unpackbits(gemm.needed.view(np.uint8), axis=1, count=gemm.n, bitorder="little").astype(bool)
        for tile, first in enumerate(range(0, gemm.m, rows)):
            expected = [column for column in range(gemm.n) if wanted[first : first + rows, column].any()]
            assert tiled.columns[tiled.starts[tile] : tiled.stops[tile]].tolist() == expected
            parts = [expected[at : at + cols] for at in range(0, len(expected), cols)]
            assert tiled.tiles_per_row[tile] == len(parts)
