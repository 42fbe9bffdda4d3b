"""Lists and ranges."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from accelsim.explore.values import expand


@pytest.mark.closed_form
@pytest.mark.parametrize(
    ("given", "values"),
    [
        ([16, 8], [16, 8]),
        ("row", ["row"]),
        (None, [None]),
        ([[], ["weight"]], [[], ["weight"]]),
        ({"from": 4, "to": 12, "step": 4}, [4, 8, 12]),
        ({"from": 4, "to": 11, "step": 4}, [4, 8]),
        ({"from": 8, "to": 64, "factor": 2}, [8, 16, 32, 64]),
        ({"from": 8, "to": 63, "factor": 2}, [8, 16, 32]),
        ({"from": 5, "to": 5, "step": 1}, [5]),
    ],
)
def test_values(given: object, values: list[object]) -> None:
    assert expand(given) == values
    assert all(type(one) is type(other) for one, other in zip(expand(given), values, strict=True))


def test_ends_of_a_range_of_fractions() -> None:
    assert expand({"from": 0.1, "to": 0.3, "step": 0.1}) == pytest.approx([0.1, 0.2, 0.3])
    assert expand({"from": 0.5, "to": 4, "factor": 2}) == [0.5, 1, 2, 4]


@given(st.integers(1, 1000), st.integers(0, 1000), st.integers(1, 50), st.integers(2, 10))
@pytest.mark.relations
def test_a_range_goes_as_far_as_it_can(start: int, more: int, step: int, factor: int) -> None:
    assert expand({"from": start, "to": start + more, "step": step}) == list(range(start, start + more + 1, step))
    grown = expand({"from": start, "to": start + more, "factor": factor})
    assert grown[0] == start
    assert grown[-1] <= start + more < grown[-1] * factor
    assert all(right == left * factor for left, right in pairwise(grown))


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ([], "empty list"),
        ([8, 16, 8], "value 8 twice"),
        ({"from": 1}, "has the keys from, expected a list"),
        ({"from": 1, "to": 5, "step": 0}, "above 0"),
        ({"from": 1, "to": 5, "factor": 1}, "factor above 1"),
        ({"from": 0, "to": 5, "factor": 2}, "from above 0"),
        ({"from": 5, "to": 1, "step": 1}, "at least 'from'"),
        ({"from": "a", "to": 1, "step": 1}, "expected a number"),
        ({"from": 0, "to": float("inf"), "step": 1}, "expected a number"),
        ({"from": 0, "to": 1e9, "step": 1}, "at most 10000"),
    ],
)
def test_what_is_no_range(given: object, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        expand(given)


def test_one_and_true_are_two_values() -> None:
    assert expand([1, True, 1.5]) == [1, True, 1.5]
