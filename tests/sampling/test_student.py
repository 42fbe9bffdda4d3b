"""Quantiles of Student's t against printed tables."""

from __future__ import annotations

import math

import pytest

from accelsim.sampling.student import t_quantile


@pytest.mark.parametrize(
    ("freedom", "quantile"), [(1, 12.7062), (2, 4.30265), (3, 3.18245), (10, 2.22814), (24, 2.06390), (120, 1.97993)]
)
def test_printed_values(freedom: int, quantile: float) -> None:
    assert t_quantile(0.95, freedom) == pytest.approx(quantile, abs=1e-4)


def test_between_printed_values_it_falls() -> None:
    assert t_quantile(0.95, 2) > t_quantile(0.95, 2.5) > t_quantile(0.95, 3)


def test_far_out_it_is_as_good_as_normal() -> None:
    assert t_quantile(0.95, math.inf) == pytest.approx(1.95996, rel=2e-3)
