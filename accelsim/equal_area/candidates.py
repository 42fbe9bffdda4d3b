"""Dense machines that fit the area of another one: what an architect would build from its silicon instead.

A candidate has the machine's DRAM, clock, number formats, lanes, number of arrays and vector unit, and its buffers,
unless the array needs larger ones. Its ports read what its PEs take. It makes use of zeros as far as dense PEs can:
tensors are compressed where that pays, a zero holds its multiplier still, and what no PE of a tile needs is dropped
(windows of zeros, outputs that nobody needs). Its area has all of that.

Sides are powers of two and multiples of 8. None is shorter than 8, or than the machine's own: dropping windows in
arrays of a row or two is skipping single zeros by another name.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Collection
from functools import cache, lru_cache

from accelsim.area import area
from accelsim.hardware.model import Hardware
from accelsim.hardware.parts import MOST_EXTENT, TensorKind
from accelsim.hardware.skipping import Skipping

_SHORTEST = 8
_SIDES = tuple(sorted({1 << power for power in range(13)} | set(range(8, MOST_EXTENT + 1, 8))))
_EVERY: tuple[TensorKind, ...] = ("weight", "activation", "gradient")


def candidates(hw: Hardware, compressed: Collection[TensorKind]) -> tuple[Hardware, ...]:
    """Return the dense machines to choose from; none for an idealised machine, which has no area.

    They are those to which neither rows nor columns can be added: more of either never take a dense array longer. A
    machine whose PEs skip no single zero is a candidate itself.

    Args:
        compressed: tensors whose compression pays.
    """
    return () if hw.idealised else _candidates(hw, frozenset(compressed))


@lru_cache(maxsize=256)
def _candidates(hw: Hardware, compressed: frozenset[TensorKind]) -> tuple[Hardware, ...]:
    room = area(hw).mm2
    rows, cols = (min(_SHORTEST, side) for side in (hw.array.rows, hw.array.cols))
    across = [side for side in _SIDES if side >= cols]
    fitting = bisect_right(across, room, key=lambda side: area(_dense(hw, rows, side, compressed)).mm2)
    tallest: dict[int, Hardware] = {}
    for down in (side for side in _SIDES if side >= rows):
        while fitting and area(one := _dense(hw, down, across[fitting - 1], compressed)).mm2 > room:
            fitting -= 1
        if not fitting:
            break
        tallest[across[fitting - 1]] = one
    found = tuple(tallest.values())
    return found if hw.skipping.tensors else (hw, *found)


def _dense(hw: Hardware, rows: int, cols: int, compressed: Collection[TensorKind]) -> Hardware:
    array = hw.array.model_copy(update={"rows": rows, "cols": cols})
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
