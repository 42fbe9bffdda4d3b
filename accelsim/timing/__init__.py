"""GEMM on array → cycles and slots."""

from accelsim.timing.outcome import GemmTiming, Slots
from accelsim.timing.registry import PE_KINDS, pe_kind, time_gemm

__all__ = ["PE_KINDS", "GemmTiming", "Slots", "pe_kind", "time_gemm"]
