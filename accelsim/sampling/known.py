"""Counts of a GEMM that need no simulation."""

from __future__ import annotations

from accelsim.hardware.model import Hardware
from accelsim.lowering import MaskedGemm
from accelsim.timing import pe_kind
from accelsim.timing.dense import Streams
from accelsim.timing.scan import known_pairs
from accelsim.timing.tiles import Schedule


def known_counts(hw: Hardware, gemm: MaskedGemm, plan: Schedule, streams: Streams) -> dict[str, int]:
    """Return the totals that are known, by their names in `COUNTS`; `hw` skips with the operand that it schedules.

    What tiles stream and scan follows from the windows that are dropped; pairs are counted over the whole GEMM, which
    is quick where all outputs are computed.
    """
    heights, widths = plan.extents(hw, gemm)
    known = {
        "streamed_a": int((heights * streams.positions).sum()),
        "streamed_b": int((widths * streams.positions).sum()),
    }
    everything = gemm.needed is None or not hw.skipping.outputs
    if everything:
        known["effectual"] = gemm.effectual_macs
    kind = pe_kind(hw)
    pairs = known_pairs(hw, gemm) if everything and kind != "dense" else None
    if pairs is not None:
        known["ineffectual"] = pairs - gemm.effectual_macs
    if kind == "scanning":
        known["scan_windows"] = int((heights * widths * streams.windows).sum())
        if pairs is not None:
            known["fifo_pushes"] = pairs
    if kind == "tensordash":
        known["fifo_pushes"] = (known["streamed_a"] + known["streamed_b"]) // 2
    return known
