"""Strips cover a GEMM, and each does as a GEMM of its own what its tiles do in the whole one."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from accelsim import Hardware, OpTrace
from accelsim.lowering import PASSES, Pass, lower
from accelsim.sampling.estimate import values_of
from accelsim.sampling.sampler import _narrowed
from accelsim.sampling.strips import Strips
from accelsim.timing import time_gemm
from tests.strategies import machines, operations


@pytest.mark.relations
@settings(deadline=None, max_examples=60)
@given(machines(), operations(largest=7), st.sampled_from(PASSES), st.integers(1, 4))
def test_strips_add_up_to_the_gemm(hw: Hardware, op: OpTrace, which: Pass, longest: int) -> None:
    for gemm in lower(op, which):
        narrowed = _narrowed(hw, gemm)
        assume(narrowed is not None and gemm.k)
        assert narrowed is not None
        whole, strips = time_gemm(hw, gemm), Strips.of(hw, gemm, longest)
        parts = [time_gemm(narrowed, strips.gemm_of(strip)) for strip in range(len(strips))]
        assert strips.tiles.sum() == whole.tile_cycles.size
        assert strips.tiles.max(initial=1) <= longest
        cycles = [part.tile_cycles for part in parts]
        assert np.concatenate([*cycles, np.zeros(0, np.int64)]).tolist() == whole.tile_cycles.tolist()
        added = sum((values_of(part) for part in parts), np.zeros(values_of(whole).size))
        assert added.tolist() == values_of(whole).tolist()
