"""The GEMMs of a pass by shape: how many, how dense, how they are tiled, and what dense PEs would take for them."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np

from accelsim.array import PE, GemmTiming, TiledGemm
from accelsim.lowering.gemm import MaskedGemm

_Key = tuple[int, int, int, tuple[int, int], int]


@dataclass(frozen=True)
class GemmShapes:
    """All GEMMs of one shape and stride phase, one per group of the convolution, in tiles of one shape.

    Attributes:
        count: how many GEMMs.
        phase: (row, column) phase of the stride, in input_grad.
        a_kind, b_kind: which tensors the operands are.
        a_density, b_density: share of non-zeros, padding included.
        tile_rows, tile_cols: extents of a tile.
        row_tiles, column_tiles: tiles of one GEMM along M and N if every column is scheduled.
        tiles: tiles that are run, over all GEMMs.
        edge_tiles: those of them that use fewer rows or columns than the array has.
        scheduled_columns, all_columns: columns that the row tiles schedule, and those they have, over all GEMMs.
        window_width: K positions of a window; 0 where a machine has no windows.
        windows: windows that the tiles have, over all GEMMs.
        dropped_windows: those that `skipping.blocks` drops.
        dataflow: what stays in the PEs.
        dense_formula: cycles of the same array without skipping, memory and ports aside, as arithmetic.
        dense_cycles: its value.
    """

    count: int
    m: int
    n: int
    k: int
    phase: tuple[int, int]
    a_kind: str
    b_kind: str
    a_density: float
    b_density: float
    tile_rows: int
    tile_cols: int
    row_tiles: int
    column_tiles: int
    tiles: int
    edge_tiles: int
    scheduled_columns: int
    all_columns: int
    window_width: int
    windows: int
    dropped_windows: int
    dataflow: str
    dense_formula: str
    dense_cycles: int


@dataclass
class _Sum:
    """What adds up over GEMMs of one shape."""

    first: MaskedGemm
    tile_rows: int
    tile_cols: int
    dataflow: str
    count: int = 0
    a_nonzeros: int = 0
    b_nonzeros: int = 0
    tiles: int = 0
    edge_tiles: int = 0
    scheduled: int = 0
    windows: int = 0
    dropped: int = 0


@dataclass
class ShapeCollector:
    """Takes GEMMs with their timing, one at a time."""

    pe: PE[Any]
    sums: dict[_Key, _Sum] = field(default_factory=dict)

    def add(self, tiled: TiledGemm, timing: GemmTiming) -> None:
        """Count one GEMM."""
        gemm, width = tiled.gemm, self.pe.window_positions
        key = gemm.m, gemm.n, gemm.k, gemm.phase, tiled.rows
        part = self.sums.setdefault(key, _Sum(gemm, tiled.rows, tiled.cols, self.pe.dataflow(tiled)))
        part.count += 1
        part.a_nonzeros += int(np.bitwise_count(gemm.a).sum(dtype=np.int64))
        part.b_nonzeros += int(np.bitwise_count(gemm.columns).sum(dtype=np.int64))
        part.tiles += tiled.tiles
        part.edge_tiles += int(((tiled.heights < tiled.rows) | (tiled.widths < tiled.cols)).sum())
        part.scheduled += int((tiled.stops - tiled.starts).sum())
        if width:
            part.windows += tiled.tiles * -(-gemm.k // width)
            if timing.tile_positions is not None:
                part.dropped += tiled.tiles * -(-gemm.k // width) - int((-(-timing.tile_positions // width)).sum())

    def done(self) -> tuple[GemmShapes, ...]:
        """Return the shapes in the order of their first GEMM."""
        return tuple(self._shapes(part) for part in self.sums.values())

    def _shapes(self, part: _Sum) -> GemmShapes:
        gemm = part.first
        row_tiles, column_tiles = -(-gemm.m // part.tile_rows), -(-gemm.n // part.tile_cols)
        formula, cycles = self.pe.dense_formula(gemm.m, gemm.n, gemm.k)
        return GemmShapes(
            count=part.count,
            m=gemm.m,
            n=gemm.n,
            k=gemm.k,
            phase=gemm.phase,
            a_kind=gemm.a_kind,
            b_kind=gemm.b_kind,
            a_density=part.a_nonzeros / (part.count * gemm.m * gemm.k),
            b_density=part.b_nonzeros / (part.count * gemm.n * gemm.k),
            tile_rows=part.tile_rows,
            tile_cols=part.tile_cols,
            row_tiles=row_tiles,
            column_tiles=column_tiles,
            tiles=part.tiles,
            edge_tiles=part.edge_tiles,
            scheduled_columns=part.scheduled,
            all_columns=part.count * row_tiles * gemm.n,
            window_width=self.pe.window_positions,
            windows=part.windows,
            dropped_windows=part.dropped,
            dataflow=part.dataflow,
            dense_formula=f"{part.count:,} GEMMs × {formula}" if part.count > 1 else formula,
            dense_cycles=part.count * cycles,
        )
