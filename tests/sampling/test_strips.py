"""Strips cover a GEMM, and each does as a GEMM of its own what its tiles do in the whole one."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from accelsim import Hardware, OpTrace
from accelsim.array import TiledGemm, pe_of, time_tiled
from accelsim.lowering import PASSES, Pass, lower
from accelsim.sampling.estimate import values_of
from accelsim.sampling.strips import Strips
from tests.strategies import machines, operations


@pytest.mark.relations
@settings(deadline=None, max_examples=60)
@given(machines(), operations(largest=7), st.sampled_from(PASSES), st.integers(1, 4))
def test_strips_add_up_to_the_gemm(hw: Hardware, op: OpTrace, which: Pass, longest: int) -> None:
    for gemm in lower(op, which):
        tiled = TiledGemm.of(hw, gemm)
        forecast = pe_of(hw).forecast(tiled)
        assume(forecast is not None and gemm.k)
        assert forecast is not None
        whole, strips = time_tiled(hw, tiled), Strips.of(tiled, longest)
        each = map(strips.tiles_of, range(len(strips)))
        parts = [forecast.pe.run(strip) for strip in each]
        assert strips.tiles.sum() == whole.tile_cycles.size
        assert strips.tiles.max(initial=1) <= longest
        cycles = [part.tile_cycles for part in parts]
        assert np.concatenate([*cycles, np.zeros(0, np.int64)]).tolist() == whole.tile_cycles.tolist()
        added = sum((values_of(part) for part in parts), np.zeros(values_of(whole).size))
        assert added.tolist() == values_of(whole).tolist()
