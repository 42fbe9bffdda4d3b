"""Quantities in a few digits, as tables show them."""

from __future__ import annotations

import math
from collections.abc import Sequence

_Units = Sequence[tuple[float, str]]
_COUNTS: _Units = ((1e15, "P"), (1e12, "T"), (1e9, "G"), (1e6, "M"), (1e3, "k"), (1, ""))
_PICOJOULES: _Units = ((1e12, " J"), (1e9, " mJ"), (1e6, " µJ"), (1e3, " nJ"), (1, " pJ"))
_SECONDS: _Units = ((1, " s"), (1e-3, " ms"), (1e-6, " µs"), (1e-9, " ns"))


def count(value: float) -> str:
    """A count in three digits and a decimal prefix: 1234567 → 1.23M."""
    return _in_three_digits(value, _COUNTS)


def joules(picojoules: float | None) -> str:
    """An energy in three digits: 1.2e9 pJ → 1.2 mJ; a dash where there is none."""
    return "–" if picojoules is None or math.isnan(picojoules) else _in_three_digits(picojoules, _PICOJOULES)


def seconds(value: float) -> str:
    """A time in three digits: 0.0123 s → 12.3 ms."""
    return _in_three_digits(value, _SECONDS)


def times(factor: float | None) -> str:
    """A speedup: 2.345 → 2.35x."""
    return "–" if factor is None or not math.isfinite(factor) else f"{factor:.2f}x"


def share(part: float, whole: float) -> str:
    """A percentage with one decimal."""
    return f"{100 * part / whole:.1f}%" if whole else "–"


def _in_three_digits(value: float, units: _Units) -> str:
    """Return a value in the largest unit of which it is one or more once it is rounded; in the smallest otherwise."""
    size, unit = next((one for one in units if abs(value) >= 0.9995 * one[0]), units[-1])
    number = value / size
    return f"{number:.3g}{unit}" if abs(number) < 999.5 else f"{number:.0f}{unit}"
