"""Shapes of tiles on an array whose column wires are cut into segments (`array.segments`).

Cut into s, each segment has R / s rows of PEs and C columns of B of its own, and all have the same R / s rows of A: the
array works as one of R / s x s C. A GEMM runs with as many segments as make it fastest, as far as is known beforehand.
"""

from __future__ import annotations

from accelsim.array.pe import pe_of
from accelsim.array.tiled import TiledGemm
from accelsim.hardware.model import Hardware
from accelsim.lowering.gemm import MaskedGemm

_WORTH = 7 / 8
"""Share of the cycles that more segments must be expected to take at most. Forecasts see no PE wait for a window that
comes through a port while another one still works, of which there is more in wider tiles."""


def fastest_shape(hw: Hardware, gemm: MaskedGemm) -> TiledGemm:
    """Tile a GEMM in the shape that is expected to take the fewest cycles; cut again only if it saves an eighth."""
    pe = pe_of(hw)

    def expected_cycles(tiled: TiledGemm) -> float:
        forecast = pe.forecast(tiled)
        return float(pe.run(tiled).cycles if forecast is None else forecast.cycles(tiled).sum())

    best, *others = (TiledGemm.shaped(hw, gemm, segments) for segments in hw.array.cuts)
    least = expected_cycles(best)
    for tiled in others:
        if (cycles := expected_cycles(tiled)) < _WORTH * least:
            best, least = tiled, cycles
    return best
