"""Counts that need no simulation are those of a simulation."""

from __future__ import annotations

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from accelsim import Hardware, OpTrace
from accelsim.lowering import PASSES, Pass, lower
from accelsim.sampling.estimate import COUNTS, values_of
from accelsim.sampling.known import known_counts
from accelsim.sampling.predict import predict_cycles
from accelsim.sampling.sampler import _narrowed, _window_positions
from accelsim.timing import pe_kind, time_gemm
from accelsim.timing.dense import find_streams
from accelsim.timing.tiles import schedule
from tests.strategies import machines, operations


@pytest.mark.relations
@settings(deadline=None, max_examples=150)
@given(machines(), operations(largest=7), st.sampled_from(PASSES))
def test_known_counts_are_those_of_a_simulation(hw: Hardware, op: OpTrace, which: Pass) -> None:
    for gemm in lower(op, which):
        narrowed = _narrowed(hw, gemm)
        assume(narrowed is not None and gemm.k)
        assert narrowed is not None
        whole, plan = time_gemm(hw, gemm), schedule(hw, gemm)
        streams = find_streams(hw, gemm, plan, _window_positions(hw))
        counts = dict(zip(COUNTS, values_of(whole).tolist(), strict=True))
        known = known_counts(narrowed, gemm, plan, streams)
        assert known == {name: counts[name] for name in known}
        predicted = predict_cycles(narrowed, gemm, plan, streams)
        assert predicted.shape == whole.tile_cycles.shape
        assert ((predicted > 0) | (whole.tile_cycles == 0)).all()
        if pe_kind(hw) == "dense":
            assert predicted.tolist() == whole.tile_cycles.tolist()
