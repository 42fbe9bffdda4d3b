"""TensorDash as the timing contract words it: every lane of every schedule in plain Python; slow, for tests.

A schedule is a list of windows of 16 booleans, what is left to consume of one array row or column. Each cycle its lanes
choose level by level; then the array forgets the leading windows that are empty everywhere. It shares no code and no
representation with the kernel.
"""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction

import numpy as np

from accelsim.hardware.model import Hardware
from accelsim.hardware.skipping import Skipping
from tests.oracle.array import PlainTiming, drain, plain_time
from tests.oracle.lowering import Mask, PlainGemm

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
    if hw.mapping.row_order == "density":
        order = sorted(range(len(gemm.a)), key=lambda row: -int(gemm.a[row].sum()))
        gemm = replace(gemm, a=gemm.a[order], needed=gemm.needed[order])
    needed = gemm.needed if skipping.outputs else np.ones_like(gemm.needed)
    timing = PlainTiming()
    for top in range(0, gemm.a.shape[0], rows):
        columns = [column for column in range(gemm.b.shape[1]) if needed[top : top + rows, column].any()]
        for left in range(0, len(columns), cols):
            taken = columns[left : left + cols]
            a, b, wanted = gemm.a[top : top + rows], gemm.b[:, taken].T, needed[top : top + rows, taken]
            a, b = _streamed(skipping, gemm, a, b)
            cycles = _run_tile(hw, *((a, b, wanted) if operand == "a" else (b, a, wanted.T)), timing)
            timing.tiles.append((cycles, max(cycles, _fed(hw, a.size, b.size)), wanted))
    drain(hw, timing)
    return timing


def _streamed(skipping: Skipping, gemm: PlainGemm, a: Mask, b: Mask) -> tuple[Mask, Mask]:
    """Take the windows out of a tile's rows [rows, K] and columns [columns, K] that `skipping.blocks` drops."""
    kept: list[int] = []
    for start in range(0, a.shape[1], 16):
        positions = range(start, min(start + 16, a.shape[1]))
        if gemm.a_kind in skipping.blocks and not a[:, positions].any():
            continue
        if gemm.b_kind in skipping.blocks and not b[:, positions].any():
            continue
        kept.extend(positions)
    return a[:, kept], b[:, kept]


def _run_tile(hw: Hardware, scheduled: Mask, partners: Mask, wanted: Mask, timing: PlainTiming) -> int:
    """Run one tile and return its cycles: masks [schedules, K], [partners, K] and [schedules, partners]; a PE joins
    each schedule with each partner, and a schedule that no PE needs does not exist.
    """
    pes = [int(row.sum()) for row in wanted]  # that follow each schedule
    queues = {index: _windows(row) for index, row in enumerate(scheduled) if pes[index]}
    alone = hw.skipping.advance == "alone"
    cycle, ended = 0, dict.fromkeys(queues, 0)
    while any(queues.values()):
        leads, got = {}, {}
        for index, queue in queues.items():
            got[index] = _consume(queue[: hw.skipping.stage_depth])
            leads[index] = _leading_empty(queue[: hw.skipping.stage_depth])
        advance = min(leads.values())
        cycle += 1
        for index, queue in queues.items():
            if not queue:  # only where schedules go alone: this one has ended before
                continue
            step = leads[index] if alone else advance
            cause = "starved" if leads[index] == step else "sync"
            timing.slots[cause] += (16 - got[index]) * pes[index]
            del queue[:step]
            ended[index] = cycle
    for index in queues:
        timing.slots["barrier"] += 16 * pes[index] * (cycle - ended[index])
        for partner in partners[wanted[index]]:
            timing.slots["effectual"] += int((scheduled[index] & partner).sum())
            timing.slots["ineffectual"] += int((scheduled[index] & ~partner).sum())
    timing.slots["edge"] += 16 * cycle * (hw.array.rows * hw.array.cols - sum(pes))
    return cycle


def _fed(hw: Hardware, a_words: int, b_words: int) -> int:
    """Cycles that the buffers' ports take for a tile's words."""
    buffers = hw.memory.buffers
    ports = ((a_words, buffers.weight_words_per_cycle), (b_words, buffers.input_words_per_cycle))
    return max(-(-words // port) if isinstance(port, int) else 0 for words, port in ports)


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
