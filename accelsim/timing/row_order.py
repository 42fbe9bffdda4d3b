"""Load balance: rows of like density share a tile, so that fewer PEs wait for a dense one at its end."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from accelsim.hardware.model import Hardware
from accelsim.lowering.gemm import MaskedGemm


def order_rows(hw: Hardware, gemm: MaskedGemm) -> MaskedGemm:
    """With `mapping.row_order: density`, sort operand A's rows from most to fewest non-zeros; ties keep their order."""
    if hw.mapping.row_order == "natural":
        return gemm
    order = np.argsort(-np.bitwise_count(gemm.a).sum(axis=1, dtype=np.int64), kind="stable")
    return replace(gemm, a=gemm.a[order], needed=None if gemm.needed is None else gemm.needed[order])
