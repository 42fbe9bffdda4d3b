"""The array as the timing contract words it: every cycle of every PE, stepped in plain Python; slow, for tests.

A group of PEs shares a scan pointer. Each cycle it looks at one more window, if the buffers' ports have it and every PE
of the group has room for the pairs that it offers, and then every PE consumes up to L pairs from its queue.
"""

from __future__ import annotations

from collections import Counter, deque
from dataclasses import dataclass, field, replace
from fractions import Fraction

import numpy as np
from numpy.typing import NDArray

from accelsim.hardware.model import Hardware
from tests.oracle.lowering import PlainGemm
from tests.oracle.row_order import plain_order

Mask = NDArray[np.bool_]


@dataclass
class PlainTiming:
    """Cycles of each tile, row tiles outermost, the slot account as a counter of the names of `Slots`, words read.

    Before the drain, `tiles` has each tile's cycles and the outputs it computes.
    """

    tiles: list[tuple[int, Mask]] = field(default_factory=list)
    tile_cycles: list[int] = field(default_factory=list)
    slots: Counter[str] = field(default_factory=Counter)
    reads: Counter[str] = field(default_factory=Counter)


class PlainPort:
    """The share that one row of A or column of B has of its buffer's words per cycle.

    Args:
        width: words of this line per cycle; None: as many as are asked for.
        full: words of a whole window.
        sizes: words of each window.
    """

    def __init__(self, width: Fraction | None, full: int, sizes: list[int]) -> None:
        self.width, self.full, self.sizes = width, full, sizes
        self.narrow = width is not None and width < full
        self.delivered = Fraction(0)
        self.slowest = 0
        self.kept: set[int] = set()

    def begin_cycle(self, pointers: list[int]) -> None:
        """Read on, given the next windows of all groups on the line."""
        self.slowest = min(pointers)
        if self.width is not None and self.narrow:
            most = sum(self.sizes[: self.slowest + 1]) + self.full  # one window ahead
            self.delivered = min(self.delivered + self.width, Fraction(most))

    def has(self, window: int) -> bool:
        """Whether a window can be taken in this cycle."""
        if self.width is None:
            return True
        if not self.narrow:
            return window < self.slowest + self.width // self.full
        return window == self.slowest and self.delivered >= sum(self.sizes[: window + 1])

    def reads(self, taken: set[int]) -> int:
        """Words read in a cycle in which some groups took these windows; a narrow port keeps one until all have it."""
        new = taken - self.kept
        if self.narrow:
            self.kept |= taken
        return sum(self.sizes[window] for window in new)


def plain_time(hw: Hardware, gemm: PlainGemm) -> PlainTiming:
    """Step one GEMM tile by tile."""
    timing = PlainTiming()
    order = plain_order(hw, gemm)
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
    drain(hw, timing)
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

    groups = [[pe for pe in group if pe in working] for group in (groups_of(hw, all_pes) if scans else [all_pes])]
    groups = [group for group in groups if group]
    lines = [("a", row) for row in range(a.shape[0])] + [("b", col) for col in range(b.shape[1])]
    ports = {line: port_of(hw, line[0], len(a) if line[0] == "a" else b.shape[1], windows, width) for line in lines}
    on_line = {line: [i for i, group in enumerate(groups) if reads_line(hw, group, line)] for line in lines}
    of_group = [[line for line in lines if i in on_line[line]] for i in range(len(groups))]
    queues: dict[tuple[int, int], deque[bool]] = {pe: deque() for pe in working}
    pointers, ended, cycle = [0] * len(groups), dict.fromkeys(all_pes, 0), 0
    while any(pointer < len(windows) for pointer in pointers) or any(queues.values()):
        for line, port in ports.items():
            if readers := on_line[line]:
                port.begin_cycle([pointers[i] for i in readers])
        taken_of = {line: set[int]() for line in lines}
        for i, group in enumerate(groups):
            if pointers[i] == len(windows) and not any(queues[pe] for pe in group):
                continue
            cause = "sync"
            if pointers[i] < len(windows):
                offers = {pe: pairs(pe, windows[pointers[i]]) for pe in group}
                if not all(ports[line].has(pointers[i]) for line in of_group[i]):
                    cause = "port"
                elif not scans or all(len(queues[pe]) + len(offers[pe]) <= skipping.fifo_depth for pe in group):
                    cause = "starved"
                    for pe in group:
                        queues[pe].extend(offers[pe])
                    for line in of_group[i]:
                        taken_of[line].add(pointers[i])
                    pointers[i] += 1
            for pe in group:
                taken = [queues[pe].popleft() for _ in range(min(lanes, len(queues[pe])))]
                timing.slots["effectual"] += sum(taken)
                timing.slots["ineffectual"] += len(taken) - sum(taken)
                timing.slots[cause] += lanes - len(taken)
                ended[pe] = cycle + 1
        for line, port in ports.items():
            timing.reads[line[0]] += port.reads(taken_of[line])
        cycle += 1
    for pe in all_pes:
        timing.slots["edge" if pe not in working else "barrier"] += lanes * (cycle - ended[pe])
    timing.tiles.append((cycle, wanted))


def drain(hw: Hardware, timing: PlainTiming) -> None:
    """Let the tiles' results leave: of each while its array's next one runs, of the last ones while the first do."""
    lanes = hw.array.lanes
    for number, (duration, wanted) in enumerate(timing.tiles):
        drained = duration
        if hw.array.drain == "overlapped":
            drained = max(duration, len(timing.tiles[(number - hw.array.count) % len(timing.tiles)][1]))
        if hw.array.drain == "exposed":
            drained = duration + len(wanted)
        working = int(wanted.sum()) * lanes
        timing.slots["skew"] += (drained - duration) * working
        timing.slots["edge"] += (drained - duration) * (hw.array.rows * hw.array.cols * lanes - working)
        timing.tile_cycles.append(drained)


def port_of(hw: Hardware, operand: str, lines: int, windows: list[range], width: int, at_once: int = 1) -> PlainPort:
    """A line's share of its operand's port, of PEs that take up to `at_once` windows of `width` in a cycle."""
    buffers, array = hw.memory.buffers, hw.array
    words = buffers.weight_words_per_cycle if operand == "a" else buffers.input_words_per_cycle
    if words == "window":
        words = (array.rows if operand == "a" else array.cols) * width * at_once
    share = Fraction(words, lines) if isinstance(words, int) else None
    return PlainPort(share, width, [len(positions) for positions in windows])


def reads_line(hw: Hardware, group: list[tuple[int, int]], line: tuple[str, int]) -> bool:
    """Whether a group reads a line: one that spans rows or columns all of theirs, also for PEs without an output."""
    rows, cols = {row for row, _ in group}, {col for _, col in group}
    operand, at = line
    match hw.skipping.sync if hw.skipping.tensors else "array":
        case "array":
            return True
        case "row":
            return operand == "b" or at in rows
        case "column":
            return operand == "a" or at in cols
        case _:
            return at in (rows if operand == "a" else cols)


def groups_of(hw: Hardware, pes: list[tuple[int, int]]) -> list[list[tuple[int, int]]]:
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
