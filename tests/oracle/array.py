"""The array as the timing contract words it: every cycle of every PE, stepped in plain Python; slow, for tests.

A group of PEs shares a scan pointer. Each cycle it looks at one more window, if every PE of the group has room for the
pairs that window offers it, and then every PE consumes up to L pairs from its queue.
"""

from __future__ import annotations

from collections import Counter, deque
from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray

from accelsim.hardware.model import Hardware
from tests.oracle.lowering import PlainGemm

Mask = NDArray[np.bool_]


@dataclass
class PlainTiming:
    """Cycles of each tile, row tiles outermost, and the slot account as a counter of the names of `Slots`."""

    tile_cycles: list[int] = field(default_factory=list)
    slots: Counter[str] = field(default_factory=Counter)


def plain_time(hw: Hardware, gemm: PlainGemm) -> PlainTiming:
    """Step one GEMM tile by tile."""
    timing = PlainTiming()
    if hw.mapping.row_order == "density":
        order = sorted(range(len(gemm.a)), key=lambda row: -int(gemm.a[row].sum()))
        gemm = replace(gemm, a=gemm.a[order], needed=gemm.needed[order])
    for first_row in range(0, gemm.a.shape[0], hw.array.rows):
        a, needed = gemm.a[first_row : first_row + hw.array.rows], gemm.needed[first_row : first_row + hw.array.rows]
        columns = list(range(gemm.b.shape[1]))
        if hw.skipping.outputs:
            columns = [column for column in columns if needed[:, column].any()]
        for first in range(0, len(columns), hw.array.cols):
            taken = columns[first : first + hw.array.cols]
            wanted = needed[:, taken] if hw.skipping.outputs else np.ones((len(a), len(taken)), bool)
            _run_tile(hw, gemm, a, gemm.b[:, taken], wanted, timing)
    return timing


def _run_tile(hw: Hardware, gemm: PlainGemm, a: Mask, b: Mask, wanted: Mask, timing: PlainTiming) -> None:
    skipping, lanes = hw.skipping, hw.array.lanes
    scans = bool(skipping.tensors)
    width = skipping.scan_width if scans else lanes
    windows = []
    for start in range(0, a.shape[1], width):
        positions = range(start, min(start + width, a.shape[1]))
        if gemm.a_kind in skipping.blocks and not a[:, positions].any():
            continue
        if gemm.b_kind in skipping.blocks and not b[positions, :].any():
            continue
        windows.append(positions)
    all_pes = [(row, col) for row in range(hw.array.rows) for col in range(hw.array.cols)]
    working = {pe for pe in all_pes if pe[0] < wanted.shape[0] and pe[1] < wanted.shape[1] and wanted[pe]}

    def pairs(pe: tuple[int, int], positions: range) -> list[bool]:
        """Pairs a window offers to a PE: for each, whether both its operands are non-zero."""
        if pe not in working:
            return []
        offered = []
        for k in positions:
            shown_a = gemm.a_kind not in skipping.tensors or a[pe[0], k]
            shown_b = gemm.b_kind not in skipping.tensors or b[k, pe[1]]
            if shown_a and shown_b:
                offered.append(bool(a[pe[0], k] and b[k, pe[1]]))
        return offered

    ended: dict[tuple[int, int], int] = {}
    for group in _groups(hw, all_pes) if scans else [all_pes]:
        queues: dict[tuple[int, int], deque[bool]] = {pe: deque() for pe in group}
        pointer = cycle = 0
        while pointer < len(windows) or any(queues.values()):
            advanced = False
            if pointer < len(windows):
                offers = {pe: pairs(pe, windows[pointer]) for pe in group}
                if not scans or all(len(queues[pe]) + len(offers[pe]) <= skipping.fifo_depth for pe in group):
                    for pe in group:
                        queues[pe].extend(offers[pe])
                    pointer += 1
                    advanced = True
            for pe in group:
                taken = [queues[pe].popleft() for _ in range(min(lanes, len(queues[pe])))]
                timing.slots["effectual"] += sum(taken)
                timing.slots["ineffectual"] += len(taken) - sum(taken)
                lost = lanes - len(taken)
                timing.slots["edge" if pe not in working else "starved" if advanced else "sync"] += lost
            cycle += 1
        for pe in group:
            ended[pe] = cycle
    duration = max(ended.values())
    for pe in all_pes:
        timing.slots["edge" if pe not in working else "barrier"] += lanes * (duration - ended[pe])
    streamed = sum(len(positions) for positions in windows)
    fed = duration
    for words, port in (
        (streamed * a.shape[0], hw.memory.buffers.weight_words_per_cycle),
        (streamed * b.shape[1], hw.memory.buffers.input_words_per_cycle),
    ):
        if isinstance(port, int):
            fed = max(fed, -(-words // port))
    end_tile(hw, wanted, {"duration": duration, "fed": fed}, timing)


def end_tile(hw: Hardware, wanted: Mask, cycles: dict[str, int], timing: PlainTiming) -> None:
    """Let all PEs wait until the tile's words have come (`fed`), then until the results before have left."""
    duration, fed, rows = cycles["duration"], cycles["fed"], wanted.shape[0]
    drained = fed
    if duration and hw.array.drain == "overlapped":
        drained = max(fed, rows)
    if duration and hw.array.drain == "exposed":
        drained = fed + rows
    every, working = hw.array.rows * hw.array.cols * hw.array.lanes, int(wanted.sum()) * hw.array.lanes
    timing.slots["port"] += (fed - duration) * working
    timing.slots["skew"] += (drained - fed) * working
    timing.slots["edge"] += (drained - duration) * (every - working)
    timing.tile_cycles.append(drained)


def _groups(hw: Hardware, pes: list[tuple[int, int]]) -> list[list[tuple[int, int]]]:
    """PEs that share a scan pointer."""
    match hw.skipping.sync:
        case "pe":
            return [[pe] for pe in pes]
        case "row":
            return [[pe for pe in pes if pe[0] == row] for row in range(hw.array.rows)]
        case "column":
            return [[pe for pe in pes if pe[1] == col] for col in range(hw.array.cols)]
        case "array":
            return [pes]
