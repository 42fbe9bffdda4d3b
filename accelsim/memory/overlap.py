"""Passes one after another as one pipeline (`memory.overlap`): the next one's first loads go while this one drains."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from accelsim.hardware.parts import Dram
from accelsim.memory.addresses import PAGE_BYTES, Regions
from accelsim.memory.recurrence import pass_spans
from accelsim.memory.steps import Steps


def overlapped_cycles(dram: Dram, passes: Sequence[Steps]) -> list[int]:
    """Return the cycles of each of several passes, in the order in which they run; they add up to those of all.

    A pass has the cycles from the arrays being done with the pass before it to their being done with it, so never fewer
    than they work on it: all arrays are done with a pass before one begins the next. What is left when they are done
    with everything, the last stores, is the last pass's that has a step.
    """
    counts = [len(steps) for steps in passes]
    if not sum(counts):
        return [0] * len(passes)
    joined = Steps.join(_apart(passes))
    first = np.cumsum([0, *counts])
    meets = np.zeros(len(joined), bool)
    meets[first[:-1][np.array(counts) > 0]] = True
    spans = pass_spans(dram, joined, meets)
    computed = np.append(0, np.maximum.accumulate(spans.work_stop.max(axis=1)))
    done = computed[first[1:]]
    done[first[1:] == len(joined)] = spans.cycles
    cycles: list[int] = np.diff(done, prepend=0).tolist()
    return cycles


def _apart(passes: Sequence[Steps]) -> list[Steps]:
    """Give each pass a part of DRAM of its own, after that of the pass before it."""
    apart, base = [], 0
    for steps in passes:
        if steps.regions is None:
            apart.append(steps)
            continue
        regions = steps.regions.copy()
        regions["base"] += base
        apart.append(replace(steps, regions=regions))
        base = -(-_end(regions) // PAGE_BYTES) * PAGE_BYTES
    return [steps for steps in apart if len(steps)]


def _end(regions: Regions) -> int:
    """Return an address after the end of all of some regions."""
    groups = (regions["start"] + regions["size"]) // (regions["run"] * regions["runs"]) + 1
    group = regions["runs"] * regions["stride"] + regions["run"]
    return int((regions["base"] + groups * regions["group_stride"] + group).max(initial=0))
