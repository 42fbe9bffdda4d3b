"""Counts that need no simulation are those of a simulation."""

from __future__ import annotations

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from accelsim import Hardware, OpTrace
from accelsim.array import TiledGemm, pe_of, time_tiled
from accelsim.lowering import PASSES, Pass, lower
from accelsim.sampling.estimate import COUNTS, values_of
from tests.strategies import machines, operations


@pytest.mark.relations
@settings(deadline=None, max_examples=150)
@given(machines(), operations(largest=7), st.sampled_from(PASSES))
def test_known_counts_are_those_of_a_simulation(hw: Hardware, op: OpTrace, which: Pass) -> None:
    for gemm in lower(op, which):
        tiled = TiledGemm.of(hw, gemm)
        forecast = pe_of(hw).forecast(tiled)
        assume(forecast is not None and gemm.k)
        assert forecast is not None
        whole = time_tiled(hw, tiled)
        counts = dict(zip(COUNTS, values_of(whole).tolist(), strict=True))
        assert forecast.known == {name: counts[name] for name in forecast.known}
        predicted = forecast.cycles(tiled)
        assert predicted.shape == whole.tile_cycles.shape
        assert ((predicted > 0) | (whole.tile_cycles == 0)).all()
        if forecast.exact:
            assert predicted.tolist() == whole.tile_cycles.tolist()
