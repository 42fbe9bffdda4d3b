"""TensorDash as the timing contract words it: every lane of every schedule in plain Python; slow, for tests.

A schedule is a list of windows of 16 booleans, what is left to consume of one array row or column. Each cycle its lanes
choose level by level; then the array forgets the leading windows that are empty everywhere. It shares no code and no
representation with the kernel.
"""

from __future__ import annotations

from fractions import Fraction

import numpy as np

from accelsim.hardware.model import Hardware
from accelsim.lowering.reference import Mask, PlainGemm
from accelsim.timing.reference import PlainTiming, plain_time

Window = list[bool]
MOVES = ((0, 0), (1, 0), (2, 0), (1, -1), (1, 1), (2, -2), (2, 2), (1, -3))
"""(windows ahead, lanes across) of each lane's candidates, in order of preference."""
LEVELS = ((0, 5, 10), (1, 6, 11), (2, 7, 12), (3, 8, 13), (4, 9, 14), (15,))
"""Lanes that choose at the same time."""


def plain_tensordash(hw: Hardware, gemm: PlainGemm) -> PlainTiming:
    """Step one GEMM tile by tile."""
    tensors = hw.skipping.tensors
    listed = [name for name, kind in (("a", gemm.a_kind), ("b", gemm.b_kind)) if kind in tensors]
    if not listed:
        return plain_time(hw.dense(), gemm)
    operand = listed[0]
    if len(listed) == 2:
        zeros = [Fraction(int((~mask).sum()), mask.size) for mask in (gemm.a, gemm.b)]
        operand = "a" if zeros[0] >= zeros[1] else "b"
    timing = PlainTiming()
    rows, cols = hw.array.rows, hw.array.cols
    for top in range(0, gemm.a.shape[0], rows):
        for left in range(0, gemm.b.shape[1], cols):
            a, b = gemm.a[top : top + rows], gemm.b[:, left : left + cols].T
            _run_tile(hw, a if operand == "a" else b, b if operand == "a" else a, timing)
    return timing


def _run_tile(hw: Hardware, scheduled: Mask, partners: Mask, timing: PlainTiming) -> None:
    """Run one tile: masks [schedules, K] and [partners, K]; a PE joins each schedule with each partner."""
    queues = [_windows(row) for row in scheduled]
    alone = hw.skipping.advance == "alone"
    cycle, ended = 0, [0] * len(queues)
    while any(queues):
        leads, got = [], []
        for queue in queues:
            got.append(_consume(queue[: hw.skipping.stage_depth]))
            leads.append(_leading_empty(queue[: hw.skipping.stage_depth]))
        advance = min(leads)
        cycle += 1
        for index, queue in enumerate(queues):
            if not queue:  # only where schedules go alone: this one has ended before
                continue
            step = leads[index] if alone else advance
            cause = "starved" if leads[index] == step else "sync"
            timing.slots[cause] += (16 - got[index]) * len(partners)
            del queue[:step]
            ended[index] = cycle
    timing.slots["barrier"] += 16 * len(partners) * sum(cycle - end for end in ended)
    effectual = sum(int((row & partner).sum()) for row in scheduled for partner in partners)
    timing.slots["effectual"] += effectual
    timing.slots["ineffectual"] += int(scheduled.sum()) * len(partners) - effectual
    timing.slots["edge"] += 16 * cycle * (hw.array.rows * hw.array.cols - len(scheduled) * len(partners))
    timing.tile_cycles.append(cycle)


def _windows(row: Mask) -> list[Window]:
    """Cut a row into windows of 16, the last one padded with zeros."""
    padded = np.append(row, np.zeros(-len(row) % 16, bool))
    return [list(map(bool, window)) for window in padded.reshape(-1, 16)]


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
