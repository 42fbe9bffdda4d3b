"""Dense machines that fit the area of another one: what an architect would build from its silicon instead.

A candidate has the machine's DRAM, clock, number formats, lanes, number of arrays and vector unit, and its buffers,
unless the array needs larger ones. Its ports read what its PEs take. It makes use of zeros as far as dense PEs can:
tensors are compressed where that pays, a zero holds its multiplier still, and what no PE of a tile needs is dropped
(windows of zeros, outputs that nobody needs). Its area has all of that.

Rows are powers of two and multiples of 8, as channels are. Columns are too, which divides images and channels best, or
as many as fit: in steps of 8 up to a third of the area may stay unused. No side is shorter than 8, unless no such array
fits, and then none is shorter than the machine's own: dropping windows of a row or two is skipping single zeros by
another name. So a dense machine of a few rows that drops windows is no candidate itself, but compared with these.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Collection, Iterator, Sequence
from functools import cache, lru_cache, partial

from accelsim.area import area
from accelsim.hardware.model import Hardware
from accelsim.hardware.parts import MOST_EXTENT, TensorKind
from accelsim.hardware.skipping import Skipping

_SHORTEST = 8
_SIDES = tuple(sorted({1 << power for power in range(13)} | set(range(8, MOST_EXTENT + 1, 8))))
_EVERY: tuple[TensorKind, ...] = ("weight", "activation", "gradient")


def candidates(hw: Hardware, compressed: Collection[TensorKind]) -> tuple[Hardware, ...]:
    """Return the dense machines to choose from; none for an idealised machine, which has no area.

    They are those to which neither rows nor columns can be added, of either choice of columns: with more of either a
    dense array never takes longer. A machine that skips no single zero is a candidate itself.

    Args:
        compressed: tensors whose compression pays.
    """
    return () if hw.idealised else _candidates(hw, frozenset(compressed))


@lru_cache(maxsize=256)
def _candidates(hw: Hardware, compressed: frozenset[TensorKind]) -> tuple[Hardware, ...]:
    room = area(hw).mm2
    fitting: dict[tuple[int, int], Hardware] = {}
    for least_rows, least_cols in ((_SHORTEST, _SHORTEST), (hw.array.rows, hw.array.cols)):
        down = [side for side in _SIDES if side >= min(_SHORTEST, least_rows)]
        least = min(_SHORTEST, least_cols)
        for across in ([side for side in _SIDES if side >= least], range(least, MOST_EXTENT + 1)):
            fitting |= {(one.array.rows, one.array.cols): one for one in _largest(hw, down, across, room, compressed)}
        if fitting:
            break
    return tuple(fitting.values()) if _skips_single_zeros(hw) else (hw, *fitting.values())


def _skips_single_zeros(hw: Hardware) -> bool:
    """Whether it does, by its PEs or since it drops windows, or outputs, of few rows or columns."""
    skipping, short = hw.skipping, min(hw.array.rows, hw.array.cols) < _SHORTEST
    return bool(skipping.tensors) or (short and (bool(skipping.blocks) or skipping.outputs))


def _largest(
    hw: Hardware, down: Sequence[int], across: Sequence[int], room: float, compressed: Collection[TensorKind]
) -> Iterator[Hardware]:
    """Yield the machines of such rows and columns that fit and to which neither can be added."""
    tallest: dict[int, Hardware] = {}
    for rows in down:
        across = across[: bisect_right(across, room, key=partial(_dense_mm2, hw, rows, compressed))]
        if not across:
            break
        tallest[across[-1]] = _dense(hw, rows, compressed, across[-1])
    yield from tallest.values()


def _dense_mm2(hw: Hardware, rows: int, compressed: Collection[TensorKind], cols: int) -> float:
    return area(_dense(hw, rows, compressed, cols)).mm2


def _dense(hw: Hardware, rows: int, compressed: Collection[TensorKind], cols: int) -> Hardware:
    array = hw.array.model_copy(update={"rows": rows, "cols": cols, "segments": 1})
    ports = {"weight_words_per_cycle": "window", "input_words_per_cycle": "window"}
    buffers = hw.memory.buffers.model_copy(update=ports).grown_to(array, hw.precision, given=True)
    compression = tuple(kind for kind in _EVERY if kind in compressed)
    return hw.model_copy(
        update={
            "name": f"dense {rows}x{cols}",
            "array": array,
            "skipping": _dropping(hw.skipping),
            "memory": hw.memory.model_copy(update={"buffers": buffers, "compression": compression}),
            "vector": hw.vector.model_copy(update={"lanes": hw.vector_lanes}),
        }
    )


@cache
def _dropping(skipping: Skipping) -> Skipping:
    """Return the dense PEs of a machine, making use of all zeros that they can; systolic ones can of none."""
    dense = skipping.dense()
    if dense.kind != "dense":
        return dense
    return dense.model_copy(update={"blocks": _EVERY, "outputs": True, "gate_zeros": True})
