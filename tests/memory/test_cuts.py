"""Blocks of an axis: every position is in one, amounts are shared out to the last."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from accelsim.memory.cuts import AxisCut


@pytest.mark.reference
@given(st.integers(1, 5), st.integers(1, 4), st.integers(1, 12), st.integers(1, 12))
def test_parts_equal_a_walk(periods: int, per_run: int, period: int, part: int) -> None:
    parts = -(-period // part)
    of_position = [(i // per_run) * parts + j // part for i in range(periods) for j in range(period)]
    cut = AxisCut(periods * period, per_run * period, period, part)
    assert cut.count == max(of_position) + 1
    assert cut.sizes.tolist() == np.bincount(of_position).tolist()
    assert np.repeat(cut.block, np.diff(cut.edges)).tolist() == of_position
    amounts = np.arange(len(of_position)) ** 2
    stretches = np.add.reduceat(amounts, cut.edges[:-1])
    assert cut.gather(stretches).tolist() == np.bincount(of_position, amounts).tolist()
    assert cut.gather(np.stack([stretches, stretches]))[1].tolist() == cut.gather(stretches).tolist()


@pytest.mark.closed_form
def test_runs() -> None:
    cut = AxisCut(10, 4)
    assert (cut.edges.tolist(), cut.sizes.tolist(), cut.count) == ([0, 4, 8, 10], [4, 4, 2], 3)
    assert cut.share(np.array([[[5], [6], [7]]]), np.array([[1, 1, 1]])).ravel().tolist() == [5, 6, 7]


@pytest.mark.closed_form
def test_amounts_are_shared_by_weight() -> None:
    """Two runs of three parts: 100 by weights 1, 0, 3 and 10 by weights 0, 2, 1."""
    cut = AxisCut(12, 6, 3, 1)
    shares = cut.share(np.array([[[100], [10]]]), np.array([[1, 0, 3, 0, 2, 1]]))
    assert shares.ravel().tolist() == [25, 0, 75, 0, 6, 4]
