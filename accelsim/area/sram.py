"""SRAMs by capacity and width: area, and how the energy of a bit depends on the width of an access.

The figures are those of `sram.csv`, which `experiments/sram/run.py` writes: CACTI 7 (Balasubramonian et al., ACM TACO
2017) at 45 nm. Between its points both are powers of capacity and width (straight lines between logarithms).
"""

from __future__ import annotations

import csv
from bisect import bisect_right
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache, lru_cache
from importlib.resources import files
from itertools import count, groupby, takewhile
from math import exp, log
from operator import itemgetter
from typing import Literal

Measure = Literal["read_pj", "mm2"]
LEAST_WORDS = 32
"""Words of the table's shallowest memory."""


@lru_cache(maxsize=1 << 14)
def sram_mm2(kib: float, bits: float) -> float:
    """Return the area of one bank, mm2: of as many memories side by side (1, 2, 4, ...) as take the least.

    Args:
        kib: its capacity; it takes at least the area of `LEAST_WORDS` words. Beyond the table's capacities the area per
            bit is that of the nearest one.
        bits: width of an access.
    """
    least, most = _table().widths
    powers: Iterator[int] = (2**power for power in count())
    splits = takewhile(lambda beside: beside == 1 or bits / beside >= least, powers)
    return min(beside * _memory_mm2(kib / beside, bits / beside) for beside in splits if bits / beside <= most)


def _memory_mm2(kib: float, bits: float) -> float:
    sizes = _table().kib
    kib = max(kib, LEAST_WORDS * bits / 8192)
    within = min(max(kib, sizes[0]), sizes[-1])
    return kib / within * _between("mm2", within, bits)


def width_factor(kib: float, bits: float) -> float:
    """Return the energy of a bit read in an access of a width, over that of a bit read 64 at a time."""
    sizes = _table().kib
    kib = min(max(kib, sizes[0]), sizes[-1])
    width = _held(kib, bits)
    return (_between("read_pj", kib, width) / width) / (_between("read_pj", kib, 64) / 64)


def _held(kib: float, bits: float) -> float:
    """Return a width as the table has it: at least 16 bits, at most what leaves the memory `LEAST_WORDS` deep."""
    least, most = _table().widths
    return min(max(bits, least), most, 8192 * kib / LEAST_WORDS)


def _between(measure: Measure, kib: float, bits: float) -> float:
    table = _table()
    low, share = _neighbours(table.kib, kib)
    logs = []
    for row in (low, low + 1):
        left, part = _neighbours(table.bits[row], _held(table.kib[row], bits))
        values = table.logs[measure][row]
        logs.append((1 - part) * values[left] + part * values[left + 1])
    return exp((1 - share) * logs[0] + share * logs[1])


def _neighbours(points: Sequence[float], value: float) -> tuple[int, float]:
    """Return the place of the point below a value, and how far it lies from there to the next, by logarithms."""
    right = min(max(bisect_right(points, value), 1), len(points) - 1)
    low, high = points[right - 1], points[right]
    return right - 1, log(value / low) / log(high / low)


@dataclass(frozen=True)
class _Table:
    """The table's points.

    Attributes:
        kib: capacities, ascending.
        bits: widths of each capacity, ascending.
        logs: natural logarithm of each measure, for each capacity and width.
        widths: the least and the most of all widths.
    """

    kib: tuple[float, ...]
    bits: tuple[tuple[float, ...], ...]
    logs: Mapping[Measure, tuple[tuple[float, ...], ...]]
    widths: tuple[float, float]


@cache
def _table() -> _Table:
    rows = [tuple(row) for _, row in groupby(_rows(), key=itemgetter(0))]
    bits = tuple(tuple(width for _, width, *_ in row) for row in rows)
    read_pj = tuple(tuple(log(value) for _, _, value, _ in row) for row in rows)
    mm2 = tuple(tuple(log(value) for *_, value in row) for row in rows)
    widths = [width for row in bits for width in row]
    kib = tuple(row[0][0] for row in rows)
    return _Table(kib, bits, {"read_pj": read_pj, "mm2": mm2}, (min(widths), max(widths)))


def _rows() -> Iterator[tuple[float, ...]]:
    lines = (files("accelsim.area") / "sram.csv").read_text(encoding="utf-8").splitlines()
    for row in csv.reader(lines[1:]):
        yield tuple(map(float, row))
