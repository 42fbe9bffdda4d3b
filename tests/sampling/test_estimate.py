"""Totals and variances of strata, against every sample that could have been drawn."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from accelsim.sampling.estimate import COUNTS, Stratum, Variance
from accelsim.sampling.student import t_quantile


def stratum(sizes: list[float], cycles: list[float], drawn: tuple[int, ...]) -> Stratum:
    values = np.zeros((len(drawn), len(COUNTS)))
    values[:, 0] = [cycles[strip] for strip in drawn]
    return Stratum(len(sizes), sum(sizes), np.array([sizes[strip] for strip in drawn]), values)


CYCLES = np.eye(1, len(COUNTS))


@pytest.mark.parametrize("drawn", [2, 3, 5])
def test_over_all_samples_total_and_variance_are_right(drawn: int) -> None:
    """Of equal sizes: the mean estimate is the total, the mean variance is that of the estimates."""
    cycles = [3.0, 7.0, 1.0, 12.0, 5.0, 6.0, 20.0]
    every = [stratum([1.0] * 7, cycles, chosen) for chosen in itertools.combinations(range(7), drawn)]
    totals = [one.totals()[0] for one in every]
    assert np.mean(totals) == pytest.approx(sum(cycles))
    assert np.mean([one.variances(CYCLES)[0] for one in every]) == pytest.approx(np.var(totals))


def test_strips_that_differ_in_size_alone_have_no_variance() -> None:
    one = stratum([2.0, 3.0, 3.0, 2.0], [20.0, 30.0, 30.0, 20.0], (0, 1))
    assert one.totals()[0] == pytest.approx(100)
    assert one.variances(CYCLES)[0] == pytest.approx(0)


def test_a_stratum_drawn_in_full_is_exact() -> None:
    one = stratum([2.0, 3.0], [5.0, 30.0], (0, 1))
    assert one.totals()[0] == pytest.approx(35)
    assert one.variances(CYCLES)[0] == 0


def test_variances_add_up_and_so_do_their_degrees_of_freedom() -> None:
    each = Variance(4.0, 16.0 / 3)  # four strips drawn
    assert each.half_width == pytest.approx(2 * t_quantile(0.95, 3))
    assert (each + each).half_width == pytest.approx(8**0.5 * t_quantile(0.95, 6))
    assert each.scaled(3).half_width == pytest.approx(3 * each.half_width)
    assert Variance().half_width == 0
