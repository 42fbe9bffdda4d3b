"""TensorDash as the timing contract words it: every lane of every schedule in plain Python; slow, for tests.

A schedule is a list of windows of 16 booleans, what is left to consume of one array row or column. Each cycle windows
enter as far as the ports have them, and its lanes choose level by level; then the leading windows that are empty in all
schedules of a group are forgotten. It shares no code and no representation with the kernel.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from fractions import Fraction

import numpy as np

from accelsim.hardware.model import Hardware
from accelsim.hardware.skipping import Skipping
from tests.oracle.array import PlainTiming, drain, plain_time, port_of
from tests.oracle.lowering import Mask, PlainGemm
from tests.oracle.row_order import plain_order

Window = list[bool]
MOVES = ((0, 0), (1, 0), (2, 0), (1, -1), (1, 1), (2, -2), (2, 2), (1, -3))
"""(windows ahead, lanes across) of each lane's candidates, in order of preference."""
LEVELS = ((0, 5, 10), (1, 6, 11), (2, 7, 12), (3, 8, 13), (4, 9, 14), (15,))
"""Lanes that choose at the same time."""


def plain_tensordash(hw: Hardware, gemm: PlainGemm) -> PlainTiming:
    """Step one GEMM tile by tile."""
    skipping, rows, cols = hw.skipping, hw.array.rows, hw.array.cols
    listed = [name for name, kind in (("a", gemm.a_kind), ("b", gemm.b_kind)) if kind in skipping.tensors]
    if not listed:
        unscheduled = {"blocks": skipping.blocks, "outputs": skipping.outputs}
        return plain_time(Hardware.model_validate(hw.model_dump() | {"skipping": unscheduled}), gemm)
    operand = listed[0]
    if len(listed) == 2:
        zeros = [Fraction(int((~mask).sum()), mask.size) for mask in (gemm.a, gemm.b)]
        operand = "a" if zeros[0] >= zeros[1] else "b"
    order = plain_order(hw, gemm)
    gemm = replace(gemm, a=gemm.a[order], needed=gemm.needed[order])
    needed = gemm.needed if skipping.outputs else np.ones_like(gemm.needed)
    timing = PlainTiming()
    for top in range(0, gemm.a.shape[0], rows):
        columns = [column for column in range(gemm.b.shape[1]) if needed[top : top + rows, column].any()]
        for left in range(0, len(columns), cols):
            taken = columns[left : left + cols]
            a, b, wanted = gemm.a[top : top + rows], gemm.b[:, taken].T, needed[top : top + rows, taken]
            windows = _streamed(skipping, gemm, a, b)
            timing.tiles.append((_run_tile(hw, operand, a, b, wanted, windows, timing), wanted))
    drain(hw, timing)
    return timing


def _streamed(skipping: Skipping, gemm: PlainGemm, a: Mask, b: Mask) -> list[range]:
    """The windows of a tile's rows [rows, K] and columns [columns, K] that are not dropped, as positions of K."""
    windows = []
    for start in range(0, a.shape[1], 16):
        positions = range(start, min(start + 16, a.shape[1]))
        dropped_a = gemm.a_kind in skipping.blocks and not a[:, positions].any()
        dropped_b = gemm.b_kind in skipping.blocks and not b[:, positions].any()
        if not (dropped_a or dropped_b):
            windows.append(positions)
    return windows


@dataclass
class Group:
    """Schedules that move on by the same windows, and the lines (rows of A, columns of B) that they read."""

    schedules: list[int]
    lines: list[tuple[str, int]]
    pointer: int = 0
    staged: dict[int, list[Window]] = field(default_factory=dict)

    @property
    def held(self) -> int:
        """Windows in its staging registers."""
        return len(self.staged[self.schedules[0]])


def _run_tile(
    hw: Hardware, operand: str, a: Mask, b: Mask, wanted: Mask, windows: list[range], timing: PlainTiming
) -> int:
    """Run one tile and return its cycles: masks [rows, K], [columns, K] and [rows, columns]. A PE joins each schedule
    with each partner, and a schedule that no PE needs does not exist.
    """
    own, other = ("a", "b") if operand == "a" else ("b", "a")
    scheduled, partners, wanted = (a, b, wanted) if operand == "a" else (b, a, wanted.T)
    depth = hw.skipping.stage_depth
    pes = [int(row.sum()) for row in wanted]  # that follow each schedule
    schedules = [index for index in range(len(scheduled)) if pes[index]]
    lines = [("a", row) for row in range(len(a))] + [("b", column) for column in range(len(b))]
    groups = [Group(schedules, lines)]
    if hw.skipping.advance == "alone":
        groups = [Group([one], [line for line in lines if line == (own, one) or line[0] == other]) for one in schedules]
    for group in groups:
        group.staged = {index: [] for index in group.schedules}
    ports = {line: port_of(hw, line[0], len(a if line[0] == "a" else b), windows, 16, depth) for line in lines}
    cycle, ended = 0, dict.fromkeys(schedules, 0)
    while running := [group for group in groups if group.pointer < len(windows) or group.held]:
        for line, port in ports.items():
            if pointers := [group.pointer for group in groups if line in group.lines]:
                port.begin_cycle(pointers)
        taken = {line: set[int]() for line in lines}
        cycle += 1
        for group in running:
            while (
                group.held < depth
                and group.pointer < len(windows)
                and all(ports[line].has(group.pointer) for line in group.lines)
            ):
                for index in group.schedules:
                    group.staged[index].append(_window(scheduled[index], windows[group.pointer]))
                for line in group.lines:
                    taken[line].add(group.pointer)
                group.pointer += 1
            waits = group.held < depth and group.pointer < len(windows)
            got = {index: _consume(staged) for index, staged in group.staged.items()}
            leads = {index: _leading_empty(staged) for index, staged in group.staged.items()}
            step = min(leads.values())
            for index, staged in group.staged.items():
                cause = "port" if waits else "starved" if leads[index] == step else "sync"
                timing.slots[cause] += (16 - got[index]) * pes[index]
                del staged[:step]
                ended[index] = cycle
        for line, port in ports.items():
            timing.reads[line[0]] += port.reads(taken[line])
    kept = [position for positions in windows for position in positions]
    for index in schedules:
        timing.slots["barrier"] += 16 * pes[index] * (cycle - ended[index])
        for partner in partners[wanted[index]]:
            timing.slots["effectual"] += int((scheduled[index] & partner)[kept].sum())
            timing.slots["ineffectual"] += int((scheduled[index] & ~partner)[kept].sum())
    timing.slots["edge"] += 16 * cycle * (hw.array.rows * hw.array.cols - sum(pes))
    return cycle


def _window(row: Mask, positions: range) -> Window:
    """Cut a window of 16 out of a row; the last one is padded with zeros."""
    return [bool(row[position]) for position in positions] + [False] * (16 - len(positions))


def _consume(staged: list[Window]) -> int:
    """Let the 16 lanes choose; what they take becomes False. Returns how many lanes took something."""
    taken = 0
    for level in LEVELS:
        for lane in level:
            for step, across in MOVES:
                source = (lane + across) % 16
                if step < len(staged) and staged[step][source]:
                    staged[step][source] = False
                    taken += 1
                    break
    return taken


def _leading_empty(staged: list[Window]) -> int:
    for count, window in enumerate(staged):
        if any(window):
            return count
    return len(staged)
