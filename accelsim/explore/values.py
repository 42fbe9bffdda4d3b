"""The values of one swept key: written as a list, a range, or one value."""

from __future__ import annotations

import math
from typing import Any

_MOST = 10_000  # of one key: more is a slip of the keyboard
_RANGE_KEYS = ({"from", "to", "step"}, {"from", "to", "factor"})


def expand(given: Any) -> list[Any]:
    """Return the values of a key.

    Args:
        given: a list; `{from: 4, to: 64, step: 4}` or `{from: 8, to: 64, factor: 2}`, both ends included where they
            are met; or a single value.

    Raises:
        ValueError: an empty list, a value given twice, or no range; says what would be right.
    """
    values = _range(given) if isinstance(given, dict) else list(given) if isinstance(given, list) else [given]
    if not values:
        raise ValueError("is an empty list, expected at least one value")
    texts = [repr(value) for value in values]  # 1, 1.0 and true are equal to Python, but not to a machine's keys
    if len(set(texts)) != len(texts):
        twice = next(text for text in texts if texts.count(text) > 1)
        raise ValueError(f"has the value {twice} twice")
    return values


def _range(given: dict[str, Any]) -> list[int | float]:
    if set(given) not in _RANGE_KEYS:
        raise ValueError(
            f"has the keys {', '.join(given) or 'none'}, expected a list, {{from: 4, to: 64, step: 4}} or"
            " {from: 8, to: 64, factor: 2}"
        )
    for name, number in given.items():
        if isinstance(number, bool) or not isinstance(number, int | float) or not math.isfinite(number):
            raise ValueError(f"has {name}: {number}, expected a number")
    start, end = given["from"], given["to"]
    if end < start:
        raise ValueError(f"runs from {start} to {end}, expected 'to' to be at least 'from'")
    limit = end + 1e-9 * abs(end)  # so that 0.1, 0.2, 0.3 ends at 0.3
    if "step" in given:
        step = given["step"]
        if step <= 0:
            raise ValueError(f"has step: {step}, expected a number above 0")
        count = math.floor((limit - start) / step) + 1
    else:
        factor = given["factor"]
        if factor <= 1 or start <= 0:
            raise ValueError(f"has from: {start} and factor: {factor}, expected from above 0 and factor above 1")
        count = math.floor(math.log(limit / start) / math.log(factor) + 1e-9) + 1
    if count > _MOST:
        raise ValueError(f"has {count} values, expected at most {_MOST}")
    if "step" in given:
        return [start + place * given["step"] for place in range(count)]
    return [start * given["factor"] ** place for place in range(count)]
