"""Inner-join PEs as docs/timing.md words them: every cycle of every PE, stepped in plain Python; slow, for tests.

A group of PEs holds up to V windows. In each cycle one more window enters if fewer than V are held and the ports can
read it. Then every PE takes up to L of its pairs, from the oldest window first. At the end of the cycle windows without
a pair left in any PE of the group leave, in order: none leaves before an older one.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace

import numpy as np

from accelsim.hardware.model import Hardware
from tests.oracle.array import PlainTiming, drain, groups_of, port_of, reads_line
from tests.oracle.lowering import Mask, PlainGemm
from tests.oracle.row_order import plain_order

Place = tuple[int, int]
Window = dict[Place, list[bool]]
"""The pairs that each PE has left of it: whether both operands are non-zero."""


@dataclass
class Group:
    """PEs with an output that share windows, and the lines (rows of A, columns of B) from which these come."""

    pes: list[Place]
    lines: list[tuple[str, int]]
    pointer: int = 0
    held: list[Window] = field(default_factory=list)


def plain_inner_join(hw: Hardware, gemm: PlainGemm) -> PlainTiming:
    """Step one GEMM tile by tile."""
    timing = PlainTiming()
    rows, cols = hw.array.rows, hw.array.cols
    order = plain_order(hw, gemm)
    gemm = replace(gemm, a=gemm.a[order], needed=gemm.needed[order])
    for top in range(0, gemm.a.shape[0], rows):
        a, needed = gemm.a[top : top + rows], gemm.needed[top : top + rows]
        columns = list(range(gemm.b.shape[1]))
        if hw.skipping.outputs:
            columns = [column for column in columns if needed[:, column].any()]
        for left in range(0, len(columns), cols):
            taken = columns[left : left + cols]
            wanted = needed[:, taken] if hw.skipping.outputs else np.ones((len(a), len(taken)), bool)
            _run_tile(hw, gemm, a, gemm.b[:, taken], wanted, timing)
    drain(hw, timing)
    return timing


def _streamed(hw: Hardware, gemm: PlainGemm, a: Mask, b: Mask) -> list[range]:
    """The windows of a tile that are not dropped, as positions of K."""
    skipping, windows = hw.skipping, []
    for start in range(0, a.shape[1], skipping.scan_width):
        positions = range(start, min(start + skipping.scan_width, a.shape[1]))
        dropped_a = gemm.a_kind in skipping.blocks and not a[:, positions].any()
        dropped_b = gemm.b_kind in skipping.blocks and not b[positions].any()
        if not (dropped_a or dropped_b):
            windows.append(positions)
    return windows


def _run_tile(hw: Hardware, gemm: PlainGemm, a: Mask, b: Mask, wanted: Mask, timing: PlainTiming) -> None:
    skipping, lanes, slots = hw.skipping, hw.array.lanes, timing.slots
    places = [(row, col) for row in range(hw.array.rows) for col in range(hw.array.cols)]
    working = {pe for pe in places if pe[0] < wanted.shape[0] and pe[1] < wanted.shape[1] and wanted[pe]}
    windows = _streamed(hw, gemm, a, b)

    def offer(pe: Place, positions: range) -> list[bool]:
        shown_a = a[pe[0]] | (gemm.a_kind not in skipping.tensors)
        shown_b = b[:, pe[1]] | (gemm.b_kind not in skipping.tensors)
        return [bool(a[pe[0], k] and b[k, pe[1]]) for k in positions if shown_a[k] and shown_b[k]]

    lines = [("a", row) for row in range(a.shape[0])] + [("b", col) for col in range(b.shape[1])]
    groups = []
    for pes in groups_of(hw, places):
        if members := [pe for pe in pes if pe in working]:
            groups.append(Group(members, [line for line in lines if reads_line(hw, members, line)]))
    ports = {
        line: port_of(hw, line[0], len(a) if line[0] == "a" else b.shape[1], windows, skipping.scan_width)
        for line in lines
    }
    cycle, ended = 0, dict.fromkeys(working, 0)
    while any(group.pointer < len(windows) or group.held for group in groups):
        for line, port in ports.items():
            if pointers := [group.pointer for group in groups if line in group.lines]:
                port.begin_cycle(pointers)
        taken_of = {line: set[int]() for line in lines}
        cycle += 1
        for group in groups:
            if group.pointer == len(windows) and not group.held:
                continue
            cause = "sync"
            if group.pointer < len(windows):
                if not all(ports[line].has(group.pointer) for line in group.lines):
                    cause = "port"
                elif len(group.held) < skipping.windows:
                    cause = "starved"
                    group.held.append({pe: offer(pe, windows[group.pointer]) for pe in group.pes})
                    for line in group.lines:
                        taken_of[line].add(group.pointer)
                    group.pointer += 1
            for pe in group.pes:
                taken = _take(group.held, pe, lanes)
                slots["effectual"] += sum(taken)
                slots["ineffectual"] += len(taken) - sum(taken)
                slots[cause] += lanes - len(taken)
                ended[pe] = cycle
            while group.held and not any(group.held[0].values()):
                group.held.pop(0)
        for line, port in ports.items():
            timing.reads[line[0]] += port.reads(taken_of[line])
    slots["barrier"] += sum(lanes * (cycle - end) for end in ended.values())
    slots["edge"] += lanes * cycle * (len(places) - len(working))
    timing.tiles.append((cycle, wanted))


def _take(held: list[Window], pe: Place, lanes: int) -> list[bool]:
    """Take up to that many of a PE's pairs out of the windows, the oldest window first."""
    taken: list[bool] = []
    for window in held:
        while window[pe] and len(taken) < lanes:
            taken.append(window[pe].pop(0))
    return taken
