"""What simulating costs, about: where sampling pays, and how a sample is best shared out.

Fitted by hand to the scanning PE on one core of a server; ratios matter, and they are alike elsewhere. A rule that read
the clock would draw another sample each time.
"""

from __future__ import annotations

from accelsim.sampling.strips import Strips

_START_NS = 300_000.0  # one call of `time_gemm`
_ROW_NS = 0.5  # one K position of a row or column, cut into windows
_TILE_NS = 2.0  # one K position of a tile


def strip_cost(strips: Strips) -> float:
    """Nanoseconds to simulate a strip, about."""
    tiled = strips.tiled
    tiles = tiled.tiles / len(strips)
    return _START_NS + tiled.gemm.k * (_ROW_NS * (tiled.rows + tiled.cols * tiles) + _TILE_NS * tiles)


def whole_cost(strips: Strips) -> float:
    """Nanoseconds to simulate the whole GEMM, about."""
    gemm = strips.tiled.gemm
    return _START_NS + gemm.k * (_ROW_NS * (gemm.m + gemm.n) + _TILE_NS * strips.tiled.tiles)


def saves_half(strips: Strips, drawn: int) -> bool:
    """Whether simulating that many strips takes less than half as long as simulating the whole GEMM."""
    return 2 * drawn * strip_cost(strips) < whole_cost(strips)
