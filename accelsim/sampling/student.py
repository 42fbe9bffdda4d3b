"""Quantiles of Student's t, for any number of degrees of freedom."""

from __future__ import annotations

import math
from functools import lru_cache

import numpy as np

_NODES, _WEIGHTS = np.polynomial.legendre.leggauss(64)
_PANELS = 16


@lru_cache(maxsize=4096)
def t_quantile(confidence: float, freedom: float) -> float:
    """Return the bound that |t| stays below with probability `confidence`.

    P(|t| < x) = c ∫ cos(θ)^(ν − 1) dθ from 0 to atan(x / √ν), with c = 2 Γ((ν + 1) / 2) / (√π Γ(ν / 2))
    (Abramowitz and Stegun, 26.7.1, with t = √ν tan θ); solved for the angle by bisection.

    Args:
        confidence: above 0, below 1.
        freedom: at least 1; beyond 1000 degrees as good as normal, and taken as 1000.
    """
    freedom = min(freedom, 1000.0)
    scale = 2 * math.exp(math.lgamma((freedom + 1) / 2) - math.lgamma(freedom / 2)) / math.sqrt(math.pi)
    low, high = 0.0, math.pi / 2
    for _ in range(60):
        middle = (low + high) / 2
        if scale * _integral(middle, freedom) < confidence:
            low = middle
        else:
            high = middle
    return math.sqrt(freedom) * math.tan(low)


def _integral(angle: float, freedom: float) -> float:
    """Integrate cos^(freedom − 1) from 0 to `angle`: Gauss-Legendre in panels."""
    half = angle / _PANELS / 2
    middles = half * (2 * np.arange(_PANELS) + 1)
    values = np.cos(middles[:, None] + half * _NODES) ** (freedom - 1)
    return float(half * (values @ _WEIGHTS).sum())
