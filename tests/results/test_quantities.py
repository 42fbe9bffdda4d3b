"""Numbers as people read them."""

from __future__ import annotations

import pytest

from accelsim.results.quantities import count, joules, seconds, share, times


@pytest.mark.parametrize(
    ("value", "shown"),
    [(0, "0"), (0.25, "0.25"), (999, "999"), (999.6, "1k"), (1234, "1.23k"), (999_600, "1M"), (-12_345_678, "-12.3M")],
)
def test_count(value: float, shown: str) -> None:
    assert count(value) == shown


def test_counts_beyond_all_prefixes_are_written_out() -> None:
    assert (count(1e15), count(1.2346e19)) == ("1P", "12346P")


@pytest.mark.parametrize(
    ("picojoules", "shown"),
    [(0, "0 pJ"), (12.3, "12.3 pJ"), (1.234e9, "1.23 mJ"), (9.996e8, "1 mJ"), (5e12, "5 J"), (1.2346e15, "1235 J")],
)
def test_joules(picojoules: float, shown: str) -> None:
    """9.996e8 pJ was shown as 1e+03 µJ."""
    assert joules(picojoules) == shown
    assert joules(None) == joules(float("nan")) == "–"


def test_seconds() -> None:
    assert (seconds(0.0123), seconds(0.99962), seconds(4000), seconds(1e-10)) == ("12.3 ms", "1 s", "4000 s", "0.1 ns")


def test_ratios() -> None:
    assert (times(2.345), times(None), times(float("inf"))) == ("2.35x", "–", "–")
    assert (share(1, 3), share(1, 0)) == ("33.3%", "–")
