"""What of a machine its array's cycles depend on: a sweep times a GEMM once for all machines that agree in it."""

from __future__ import annotations

from collections.abc import Hashable

from accelsim.hardware.model import Hardware
from accelsim.timing.registry import pe_kind

# Fields of `skipping` that each PE kind heeds; the other ones change energy at most.
HEEDED: dict[str, tuple[str, ...]] = {
    "dense": ("blocks", "outputs"),
    "scanning": ("tensors", "scan_width", "fifo_depth", "sync", "blocks", "outputs"),
    "systolic": (),
    "tensordash": ("tensors", "blocks", "outputs", "stage_depth", "advance"),
}


def timing_key(hw: Hardware) -> Hashable:
    """Return a key that two machines share only if `order_rows` and `time_gemm` give the same for both."""
    array, buffers, kind = hw.array, hw.memory.buffers, pe_kind(hw)
    given = (getattr(hw.skipping, name) for name in HEEDED[kind])
    heeded = tuple(frozenset(value) if isinstance(value, tuple) else value for value in given)
    ports = (buffers.weight_words_per_cycle, buffers.input_words_per_cycle)
    return kind, array.rows, array.cols, array.lanes, array.dataflow, heeded, ports, hw.mapping.row_order
