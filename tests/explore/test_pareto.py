"""The front against its definition."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from accelsim.explore import front


@pytest.mark.reference
@given(
    st.integers(1, 4).flatmap(
        lambda n: arrays(np.int64, st.tuples(st.integers(1, 12), st.just(n)), elements=st.integers(0, 4))
    )
)
def test_equals_the_definition(costs: np.ndarray) -> None:
    expected = [not any((other <= row).all() and (other < row).any() for other in costs) for row in costs]
    assert front(costs).tolist() == expected


def test_nothing() -> None:
    assert front(np.empty((0, 3))).tolist() == []
