"""What lies in each half of the on-chip buffers, and when."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from accelsim.hardware.model import Hardware
from accelsim.memory.spans import Spans
from accelsim.memory.steps import Steps

Cycles = NDArray[np.int64]


@dataclass(frozen=True)
class Occupancy:
    """Bytes in the halves of a buffer, or in the whole of one that is not double-buffered.

    Attributes:
        buffer: its name.
        cycles: int64 [changes], when something comes or goes, in order.
        half_bytes: int64 [changes, halves], what each half has from then on.
    """

    buffer: str
    cycles: Cycles
    half_bytes: NDArray[np.int64]


def occupancies(hw: Hardware, steps: Steps, spans: Spans) -> Iterator[Occupancy]:
    """Yield what the buffers of A, of B and of sums hold; words take the operands' bits, sums those of accumulators.

    Words take their room when their load starts, and give it up when all arrays are done with the last step that uses
    them. Sums take theirs when an array starts to work on them, and give it up when they are stored.
    """
    if not len(steps):
        return
    begins, done = spans.work_start.min(axis=1), spans.work_stop.max(axis=1)
    word, total = hw.precision.operand_bits, hw.precision.accumulator_bits
    loaded_b = steps.loaded_elements - steps.loaded_a
    for name, words, fresh in (("A", steps.loaded_a, steps.fresh_a), ("B", loaded_b, steps.fresh_b)):
        block = np.cumsum(fresh) - 1
        yield _occupancy(name, block, spans.load_start, words * word, done, steps.ahead)
    block = np.cumsum(np.append(False, steps.finishes[:-1]))
    grown = np.diff(_most_so_far(block, steps.held_sums), prepend=0)
    grown = np.where(np.diff(block, prepend=-1) > 0, steps.held_sums, grown)
    yield _occupancy("sums", block, begins, grown * total, np.maximum(done, spans.store_stop), steps.ahead)


def _most_so_far(block: Cycles, amounts: Cycles) -> Cycles:
    """Return the largest amount of a step's block up to it."""
    offset = block * (int(amounts.max()) + 1)
    return np.asarray(np.maximum.accumulate(amounts + offset) - offset)


def _occupancy(buffer: str, block: Cycles, comes: Cycles, bits: Cycles, gone: Cycles, halves: int) -> Occupancy:
    """Blocks take the halves in turn; bits come step by step and go when the block's last step is over."""
    last = np.append(np.flatnonzero(np.diff(block)), block.size - 1)
    sizes = np.bincount(block, weights=bits, minlength=int(block[-1]) + 1).astype(np.int64)[block[last]]
    cycles = np.concatenate([gone[last], comes])  # at one time, what goes makes room first
    change = np.zeros((cycles.size, halves), np.int64)
    change[np.arange(cycles.size), np.concatenate([block[last], block]) % halves] = np.concatenate([-sizes, bits])
    order = np.argsort(cycles, kind="stable")
    cycles, held = cycles[order], np.cumsum(change[order], axis=0)
    latest = np.append(cycles[1:] > cycles[:-1], True)
    return Occupancy(buffer, cycles[latest], -(-held[latest] // 8))
