"""A pass's steps against time: by the discrete-event model where they are few, and else by its closed steps.

Both give the same times (tests/memory/test_events.py, test_dram.py); events cost some 20 µs a step. A DRAM with rows is
always run in closed steps.
"""

from __future__ import annotations

from accelsim.hardware.parts import Dram
from accelsim.memory.recurrence import pass_cycles, pass_spans
from accelsim.memory.spans import Spans
from accelsim.memory.steps import Steps

FEW = 4  # steps of a pass that are run event by event


def run_pass(dram: Dram, steps: Steps) -> int:
    """Return the cycle at which the last transfer has left the channel and the arrays are done."""
    if len(steps) > FEW or dram.has_rows:
        return pass_cycles(dram, steps)
    from accelsim.memory.events import run_events  # SimPy, which runs without DRAM do without

    return run_events(dram, steps)


def run_spans(dram: Dram, steps: Steps) -> Spans:
    """Return when everything in a pass happens, by events if DRAM has no rows."""
    if dram.has_rows:
        return pass_spans(dram, steps)
    from accelsim.memory.events import event_spans

    return event_spans(dram, steps)
