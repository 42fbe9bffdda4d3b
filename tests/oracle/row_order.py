"""The order of A's rows as docs/timing.md words it, on sets of columns; slow, for tests."""

from __future__ import annotations

from accelsim.hardware.model import Hardware
from tests.oracle.lowering import PlainGemm


def plain_order(hw: Hardware, gemm: PlainGemm) -> list[int]:
    """Rows of A in the order in which a machine takes them."""
    every = list(range(len(gemm.a)))
    if hw.mapping.row_order == "density":
        return sorted(every, key=lambda row: -int(gemm.a[row].sum()))
    if hw.mapping.row_order == "packed" and hw.skipping.outputs and gemm.a_kind not in hw.skipping.blocks:
        wanted = [{column for column, needed in enumerate(row) if needed} for row in gemm.needed]
        packed = _packed(wanted, hw.array.rows)
        if _tiles(hw, wanted, packed) < _tiles(hw, wanted, every):
            return packed
    return every


def _packed(wanted: list[set[int]], rows: int) -> list[int]:
    left, order = set(range(len(wanted))), list[int]()
    union = set[int]()
    while left:
        if len(order) % rows == 0:
            union = set()
            row = min(left, key=lambda row: (-len(wanted[row]), row))
        else:
            row = min(left, key=lambda row: (len(wanted[row] - union), -len(wanted[row]), row))
        union |= wanted[row]
        order.append(row)
        left.remove(row)
    return order


def _tiles(hw: Hardware, wanted: list[set[int]], order: list[int]) -> int:
    tiles = 0
    for first in range(0, len(order), hw.array.rows):
        columns = set[int]().union(*(wanted[row] for row in order[first : first + hw.array.rows]))
        tiles += -(-len(columns) // hw.array.cols)
    return tiles
