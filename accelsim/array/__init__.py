"""GEMM on array → cycles and slots: a GEMM as an array takes it, what a kind of PE must answer, one file per kind."""

from accelsim.array.outcome import GemmTiming, Slots
from accelsim.array.pe import PE, Forecast, RtlArray, TileAccount, pe_of, time_gemm, time_tiled, timing_key
from accelsim.array.tiled import TiledGemm

__all__ = [
    "PE",
    "Forecast",
    "GemmTiming",
    "RtlArray",
    "Slots",
    "TileAccount",
    "TiledGemm",
    "pe_of",
    "time_gemm",
    "time_tiled",
    "timing_key",
]
