"""How the cycles of one operation come about, in the order in which a person would reason; plain data."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from accelsim.array import PE, Slots, TileAccount, TiledGemm, pe_of, time_tiled
from accelsim.array.ports import through_ports
from accelsim.array.tile import cut_tile, streamed_windows
from accelsim.energy.load import table_of
from accelsim.errors import TraceError, not_this
from accelsim.explain.movement import MemoryAccount, memory_account
from accelsim.explain.shapes import GemmShapes, ShapeCollector
from accelsim.hardware.load import check_hardware
from accelsim.hardware.model import Hardware
from accelsim.lowering import PASSES, Pass, chosen_passes, lower, passes_of
from accelsim.memory import Mover
from accelsim.replay import replay_pass
from accelsim.results import PassAccount
from accelsim.trace.fields import Padding
from accelsim.trace.record import OpTrace


@dataclass(frozen=True)
class TileCycles:
    """Cycles of all tiles of a pass, one after another."""

    tiles: int
    fastest: int
    median: float
    mean: float
    slowest: int


@dataclass(frozen=True)
class SlowestTile:
    """The first of the tiles that take longest.

    Attributes:
        group, phase: which GEMM it belongs to.
        rows, columns: how many it uses.
        first_row, first_column, last_column: where they lie in A (as `mapping.row_order` sorts it) and B.
        cycles: how long it takes.
        windows, dropped: windows that it streams, and that `skipping.blocks` spares it.
        most_effectual: pairs of two non-zeros of the PE that has the most of them.
        lower_bound: ceil(most_effectual / lanes), which no skipping of zeros can beat.
        account: what its PEs say of it.
        port_cycles: cycles of it that wait for words from the buffers.
        drain_cycles: cycles of it that wait until results have left the array.
    """

    group: int
    phase: tuple[int, int]
    rows: int
    columns: int
    first_row: int
    first_column: int
    last_column: int
    cycles: int
    windows: int
    dropped: int
    most_effectual: int
    lower_bound: int
    account: TileAccount
    port_cycles: int
    drain_cycles: int


@dataclass(frozen=True)
class PassExplanation:
    """One pass of one operation.

    Attributes:
        shapes: the pass's GEMMs by shape.
        dense_array_cycles, dense_cycles: the same machine without skipping, memory aside and with it.
        tiles: None if nothing is left to do.
        slowest: None if nothing is left to do, and without windows: folds of a systolic array all take the same time.
        slots: where every lane-cycle went.
        natural_barrier, natural_array_cycles: `barrier` slots, and cycles memory aside, with rows in their natural
            order; None if the machine leaves them so.
    """

    which: Pass
    macs: int
    effectual_macs: int
    shapes: tuple[GemmShapes, ...]
    dense_array_cycles: int
    dense_cycles: int
    tiles: TileCycles | None
    slowest: SlowestTile | None
    slots: Slots
    natural_barrier: int | None
    natural_array_cycles: int | None
    memory: MemoryAccount


@dataclass(frozen=True)
class Tensor:
    """A recorded mask: its shape, and the share of elements that are set."""

    shape: tuple[int, ...]
    density: float


@dataclass(frozen=True)
class Explanation:
    """One operation.

    Attributes:
        rows, cols, lanes, arrays: of the machine.
        segments: that its columns can be cut into.
        row_order: `mapping.row_order`.
        masks: the recorded tensors, by their names in the trace.
    """

    machine: str
    pe_kind: str
    rows: int
    cols: int
    lanes: int
    arrays: int
    segments: int
    row_order: str
    layer: str
    step: int
    call: int
    kind: str
    groups: int
    stride: tuple[int, int]
    padding: Padding
    dilation: tuple[int, int]
    masks: dict[str, Tensor]
    passes: tuple[PassExplanation, ...]


def explain(hw: Hardware, op: OpTrace, passes: Iterable[Pass] = PASSES) -> Explanation:
    """Explain those of the passes that the operation ran.

    Raises:
        HardwareError: `hw` is no Hardware, or its energy table cannot be read.
        TraceError: `op` is no OpTrace.
        AccelsimError: `passes` names none.
    """
    check_hardware(hw)
    if not isinstance(op, OpTrace):
        raise TraceError(not_this("op", op, "an OpTrace: an open trace yields them, as open_trace(path) does"))
    wanted = chosen_passes(passes)
    return Explanation(
        machine=hw.name,
        pe_kind=hw.skipping.kind,
        rows=hw.array.rows,
        cols=hw.array.cols,
        lanes=hw.array.lanes,
        arrays=hw.array.count,
        segments=hw.array.segments,
        row_order=hw.mapping.row_order,
        layer=op.name,
        step=op.step,
        call=op.call,
        kind=op.kind,
        groups=op.groups,
        stride=op.stride,
        padding=op.padding,
        dilation=op.dilation,
        masks={name: Tensor(mask.shape, mask.density) for name, mask in op.masks.items()},
        passes=tuple(explain_pass(hw, op, which) for which in passes_of(op) if which in wanted),
    )


def explain_pass(hw: Hardware, op: OpTrace, which: Pass) -> PassExplanation:
    """Explain one pass.

    Raises:
        HardwareError: its energy table cannot be read.
        ValueError: the operation did not run this pass.
    """
    result = replay_pass(hw, table_of(hw), op, which)
    pe = pe_of(hw)
    mover, shapes = Mover(hw), ShapeCollector(pe)
    cycles: list[NDArray[np.int64]] = []
    slowest: tuple[TiledGemm, int] | None = None
    most = -1
    for lowered in lower(op, which):
        tiled = TiledGemm.of(hw, lowered)
        timing = time_tiled(hw, tiled)
        mover.add(tiled, timing)
        shapes.add(tiled, timing)
        cycles.append(timing.tile_cycles)
        if timing.tile_cycles.size and timing.tile_cycles.max() > most:
            most = int(timing.tile_cycles.max())
            slowest = tiled, int(timing.tile_cycles.argmax())
    natural = _in_natural_order(hw, op, which)
    every = np.concatenate(cycles) if cycles else np.zeros(0, np.int64)
    return PassExplanation(
        which=which,
        macs=result.macs,
        effectual_macs=result.effectual_macs,
        shapes=shapes.done(),
        dense_array_cycles=result.dense.array_cycles,
        dense_cycles=result.dense.cycles,
        tiles=_tile_cycles(every) if every.size else None,
        slowest=_slowest_tile(pe, *slowest, most) if slowest and pe.window_positions else None,
        slots=result.machine.slots,
        natural_barrier=natural.slots.barrier if natural else None,
        natural_array_cycles=natural.array_cycles if natural else None,
        memory=memory_account(hw, mover),
    )


def _in_natural_order(hw: Hardware, op: OpTrace, which: Pass) -> PassAccount | None:
    if hw.mapping.row_order == "natural":
        return None
    natural = hw.model_copy(update={"mapping": hw.mapping.model_copy(update={"row_order": "natural"})})
    return replay_pass(natural, table_of(hw), op, which).machine


def _tile_cycles(every: NDArray[np.int64]) -> TileCycles:
    return TileCycles(every.size, int(every.min()), float(np.median(every)), float(every.mean()), int(every.max()))


def _slowest_tile(pe: PE[Any], tiled: TiledGemm, index: int, cycles: int) -> SlowestTile:
    gemm, tile, width = tiled.gemm, cut_tile(tiled, index), pe.window_positions
    windows = streamed_windows(pe.skipping, tile, width).size
    read_cycles = int(through_ports(pe.ports, pe.array, tiled, pe.time(tiled)).tile_cycles[index])
    return SlowestTile(
        group=gemm.group,
        phase=gemm.phase,
        rows=tile.a.shape[0],
        columns=tile.columns.size,
        first_row=tile.first_row,
        first_column=int(tile.columns[0]),
        last_column=int(tile.columns[-1]),
        cycles=cycles,
        windows=windows,
        dropped=-(-gemm.k // width) - windows,
        most_effectual=tile.most_effectual,
        lower_bound=-(-tile.most_effectual // pe.array.lanes),
        account=pe.explain_tile(tiled, index),
        port_cycles=read_cycles - int(pe.unported().time(tiled).tile_cycles[index]),
        drain_cycles=cycles - read_cycles,
    )
