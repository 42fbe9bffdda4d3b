"""Which PE a machine has; a new kind is one file with a function like `time_dense`, and one line here."""

from __future__ import annotations

from collections.abc import Callable

from accelsim.hardware.model import Hardware
from accelsim.lowering.gemm import MaskedGemm
from accelsim.timing.dense import time_dense
from accelsim.timing.outcome import GemmTiming
from accelsim.timing.ports import through_ports
from accelsim.timing.scan import time_scanning
from accelsim.timing.systolic import time_systolic
from accelsim.timing.tensordash import time_tensordash

PE_KINDS: dict[str, Callable[[Hardware, MaskedGemm], GemmTiming]] = {
    "dense": time_dense,
    "scanning": time_scanning,
    "systolic": time_systolic,
    "tensordash": time_tensordash,
}


def pe_kind(hw: Hardware) -> str:
    """Name the PE kind of a machine."""
    if hw.array.interconnect == "systolic":
        return "systolic"
    if hw.skipping.scheduler is not None:
        return hw.skipping.scheduler
    return "scanning" if hw.skipping.tensors else "dense"


def time_gemm(hw: Hardware, gemm: MaskedGemm) -> GemmTiming:
    """Run one GEMM on the machine's array, memory aside."""
    timing = PE_KINDS[pe_kind(hw)](hw, gemm)
    buffers = hw.memory.buffers
    if buffers.weight_words_per_cycle is None and buffers.input_words_per_cycle is None:
        return timing
    return through_ports(hw, gemm, timing)
