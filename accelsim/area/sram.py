"""SRAMs by capacity and width: area, and how the energy of a bit depends on the width of an access.

The figures are those of `sram.csv`, which `experiments/sram/run.py` writes: CACTI 7 (Balasubramonian et al., ACM TACO
2017) at 45 nm. Between its points both are powers of capacity and width (straight lines between logarithms).
"""

from __future__ import annotations

import csv
from bisect import bisect_right
from collections.abc import Iterator, Mapping
from functools import cache
from importlib.resources import files
from itertools import count, takewhile
from math import exp, log
from typing import Literal

Measure = Literal["read_pj", "mm2"]
LEAST_WORDS = 32
"""Words of the table's shallowest memory."""


def sram_mm2(kib: float, bits: float) -> float:
    """Return the area of one bank, mm2: of as many memories side by side (1, 2, 4, ...) as take the least.

    Args:
        kib: its capacity; it takes at least the area of `LEAST_WORDS` words. Beyond the table's capacities the area per
            bit is that of the nearest one.
        bits: width of an access.
    """
    widths = [width for row in _table().values() for width in row]
    powers: Iterator[int] = (2**power for power in count())
    splits = takewhile(lambda beside: beside == 1 or bits / beside >= min(widths), powers)
    fitting = [beside for beside in splits if bits / beside <= max(widths)]
    return min(beside * _memory_mm2(kib / beside, bits / beside) for beside in fitting)


def _memory_mm2(kib: float, bits: float) -> float:
    sizes = list(_table())
    kib = max(kib, LEAST_WORDS * bits / 8192)
    within = min(max(kib, sizes[0]), sizes[-1])
    return kib / within * _between("mm2", within, bits)


def width_factor(kib: float, bits: float) -> float:
    """Return the energy of a bit read in an access of a width, over that of a bit read 64 at a time."""
    kib = min(max(kib, min(_table())), max(_table()))
    width = _held(kib, bits)
    return (_between("read_pj", kib, width) / width) / (_between("read_pj", kib, 64) / 64)


def _held(kib: float, bits: float) -> float:
    """Return a width as the table has it: at least 16 bits, at most what leaves the memory `LEAST_WORDS` deep."""
    widths = [bits for row in _table().values() for bits in row]
    return min(max(bits, min(widths)), max(widths), 8192 * kib / LEAST_WORDS)


def _between(measure: Measure, kib: float, bits: float) -> float:
    table = _table()
    low, high, share = _neighbours(list(table), kib)
    logs = []
    for size in (low, high):
        row = table[size]
        left, right, part = _neighbours(list(row), _held(size, bits))
        logs.append((1 - part) * log(row[left][measure]) + part * log(row[right][measure]))
    return exp((1 - share) * logs[0] + share * logs[1])


def _neighbours(points: list[float], value: float) -> tuple[float, float, float]:
    """Return the points beside a value, and how far it lies from the first to the second, by logarithms."""
    right = min(max(bisect_right(points, value), 1), len(points) - 1)
    low, high = points[right - 1], points[right]
    return low, high, log(value / low) / log(high / low)


@cache
def _table() -> Mapping[float, Mapping[float, Mapping[Measure, float]]]:
    table: dict[float, dict[float, dict[Measure, float]]] = {}
    for kib, bits, read_pj, mm2 in _rows():
        table.setdefault(kib, {})[bits] = {"read_pj": read_pj, "mm2": mm2}
    return table


def _rows() -> Iterator[tuple[float, ...]]:
    lines = (files("accelsim.area") / "sram.csv").read_text(encoding="utf-8").splitlines()
    for row in csv.reader(lines[1:]):
        yield tuple(map(float, row))
