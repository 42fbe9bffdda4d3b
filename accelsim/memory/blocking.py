"""How a GEMM is cut into macro-tiles whose operands and outputs fit the on-chip buffers."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, fields
from itertools import groupby
from typing import Any, Literal

Order = Literal["rows", "columns"]


@dataclass(frozen=True)
class Blocking:
    """A macro-tile: `row_tiles` tiles of A's rows, `columns` columns of B, `chunk` positions of K.

    Attributes:
        order: which blocks the outer loop walks; the other operand is fetched again for each of them.
        gathered: whether just the elements of B that the GEMM multiplies are loaded, instead of the lines they lie in.
        kernel_rows, block_channels: where K (in weight_grad: the columns) is cut by rows of the kernel and by
            channels, how many of each a block has; 0: it is cut in runs of positions.
        window_width: positions of each grid line that a block of columns (in weight_grad: of K) has; 0: it is a run.
        stays: whether all K positions of the operand that `order` keeps stay on chip while the other one's blocks pass.
        spills: whether chunks of K are outermost: partial sums leave for DRAM after each and come back for the next.
        a_portions, b_portions, output_portions: portions in which a step's part of A, of B and a macro-tile's outputs
            go through their buffers; 1 where they fit. An operand in several does not stay for the next step.
    """

    row_tiles: int
    columns: int
    chunk: int
    order: Order
    gathered: bool = False
    kernel_rows: int = 0
    block_channels: int = 0
    window_width: int = 0
    stays: bool = False
    spills: bool = False
    a_portions: int = 1
    b_portions: int = 1
    output_portions: int = 1

    @property
    def portions(self) -> int:
        """Portions of a step's K positions: each loads and multiplies its share."""
        return max(self.a_portions, self.b_portions)

    def __str__(self) -> str:
        """Return what `read_blockings` reads: `name=value`, and the names of what is so; defaults are left out."""
        told = []
        for part in fields(self):
            value = getattr(self, part.name)
            if value is True:
                told.append(part.name)
            elif value is not False and value != part.default:
                told.append(f"{part.name}={value}")
        return " ".join(told)


def tell_blockings(blockings: Iterable[Blocking]) -> str:
    """Return the cuts of a pass's GEMMs as text; of neighbours that are cut alike one, with their number."""
    runs = [(blocking, len(list(alike))) for blocking, alike in groupby(blockings)]
    if len(runs) == 1:
        return str(runs[0][0])
    return "; ".join(f"{count}x {blocking}" if count > 1 else str(blocking) for blocking, count in runs)


def read_blockings(text: str) -> tuple[Blocking, ...]:
    """Read what `tell_blockings` wrote.

    Raises:
        ValueError: it is no such text; says what would be right.
    """
    return tuple(blocking for part in text.split(";") for blocking in _read_run(part.split()))


def _read_run(words: list[str]) -> Iterator[Blocking]:
    count = 1
    if words and words[0].endswith("x") and words[0][:-1].isdecimal():
        count, words = int(words[0][:-1]), words[1:]
    given: dict[str, Any] = {}
    for word in words:
        name, _, value = word.partition("=")
        if name not in _KINDS:
            raise ValueError(f"{name!r} is no part of a mapping, expected some of {', '.join(_KINDS)}")
        given[name] = _KINDS[name](name, value)
    if lacking := [name for name in ("row_tiles", "columns", "chunk", "order") if name not in given]:
        raise ValueError(f"it lacks {', '.join(lacking)}")
    blocking = Blocking(**given)
    if not blocking.gathered and not (blocking.kernel_rows and blocking.block_channels):
        raise ValueError("it needs kernel_rows and block_channels, or gathered")
    if blocking.stays and blocking.spills:
        raise ValueError("an operand that stays for all of K leaves no sums to spill: give one of stays and spills")
    if blocking.spills and max(blocking.portions, blocking.output_portions) > 1:
        raise ValueError("sums that spill leave whole: leave out spills or the portions")
    yield from [blocking] * count


def _count(name: str, value: str) -> int:
    if not value.isdecimal() or not 0 < int(value) < 1 << 31:
        raise ValueError(f"{name} is {value!r}, expected a whole number above 0")
    return int(value)


def _order(name: str, value: str) -> str:
    if value not in ("rows", "columns"):
        raise ValueError(f"{name} is {value!r}, expected rows or columns")
    return value


def _flag(name: str, value: str) -> bool:
    if value:
        raise ValueError(f"{name} is given {value!r}, expected the name alone")
    return True


_KINDS = {
    part.name: {"order": _order}.get(part.name, _flag if part.default is False else _count) for part in fields(Blocking)
}
