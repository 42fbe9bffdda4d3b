"""GEMM on array → cycles and slots."""

from accelsim.timing.alike import timing_key
from accelsim.timing.outcome import GemmTiming, Slots
from accelsim.timing.registry import PE_KINDS, pe_kind, time_gemm
from accelsim.timing.row_order import order_rows

__all__ = ["PE_KINDS", "GemmTiming", "Slots", "order_rows", "pe_kind", "time_gemm", "timing_key"]
