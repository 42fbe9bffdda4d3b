"""Kernels of the scanning PE: one tile, from windows laid out plane by plane to what its PEs did.

One operand plays the outer part, along which PEs have scan groups of their own under `row` or `column` sync; the other
plays the inner part (see `vector`).
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from accelsim.compile import kernel
from accelsim.lowering.bits import Words
from accelsim.timing.tiles import Tiling
from accelsim.timing.vector import (
    BLOCK,
    LANES,
    QUEUE,
    SUMS,
    WANT,
    advance,
    drain,
    flush,
    offer,
    settle,
    take_peak,
    tally,
)

Integers = NDArray[np.int64]
Bytes = NDArray[np.uint8]
State = NDArray[np.unsignedinteger]
Sums = NDArray[np.uint32]

ALONE, BY_OUTER, TOGETHER = 0, 1, 2


class Pes(NamedTuple):
    """The array.

    Attributes:
        rows, cols, lanes, depth: extents, and pairs that a queue holds.
        planes, sizes: planes of a window; K positions of each window.
        mode, by_column: which PEs share a scan pointer; whether columns are the outer PEs.
        inner_log2: of the inner PEs in a vector, padded.
        vector_outers: outer PEs in a vector.
        outer_vectors: vectors of one outer PE, if its inner PEs fill more than one.
        outer_at, inner_at: int64 [vectors], first outer and first inner PE of each vector.
        flush_every: windows after which the narrow sums are emptied.
    """

    rows: int
    cols: int
    lanes: int
    depth: int
    planes: int
    sizes: Integers
    mode: int
    by_column: bool
    inner_log2: int
    vector_outers: int
    outer_vectors: int
    outer_at: Integers
    inner_at: Integers
    flush_every: int


class Totals(NamedTuple):
    """What each tile did, int64 [tiles], row tiles outermost.

    Attributes:
        cycles, positions: cycles, and K positions streamed.
        pairs, true_pairs: pairs consumed, and those of two non-zeros (left 0 where `count_true` is off).
        starved, sync, barrier: slots.
        working: PEs with an output.
        scanned: windows looked at, summed over PEs.
    """

    cycles: Integers
    positions: Integers
    pairs: Integers
    true_pairs: Integers
    starved: Integers
    sync: Integers
    barrier: Integers
    working: Integers
    scanned: Integers


class Tile(NamedTuple):
    """A tile's PEs: the state of their queues, and what they did.

    Attributes:
        state: blocks [vectors], see `vector`.
        sums: uint32 [vectors x 3 x 64], pairs, starved lanes and stall cycles of the PEs with an output.
        peak: the fullest queues of a group that spans vectors.
        working: int64 [outer], PEs with an output.
        ended: int64 [groups], the cycle in which a group ended that spans vectors.
    """

    state: State
    sums: Sums
    peak: State
    working: Integers
    ended: Integers


@kernel
def run_within(outer: Bytes, inner: Bytes, kept: Integers, pes: Pes, tile: Tile) -> None:
    """Run a tile whose groups each lie within one vector; `WAITED` counts until each group has ended."""
    state, sums = tile.state, tile.sums
    depth, lanes = state.dtype.type(pes.depth), state.dtype.type(pes.lanes)
    flat_outer, flat_inner = outer.ravel(), inner.ravel()
    outer_stride, inner_stride = outer.shape[1], inner.shape[1]
    segment_log2 = 0 if pes.mode == ALONE else pes.inner_log2
    vectors = sums.size // SUMS
    for begin in range(0, kept.size, pes.flush_every):
        for index in range(begin, min(begin + pes.flush_every, kept.size)):
            plane = kept[index] * pes.planes
            for vector in range(vectors):
                advance(
                    state,
                    vector * BLOCK,
                    flat_outer,
                    plane * outer_stride + pes.outer_at[vector],
                    outer_stride,
                    flat_inner,
                    plane * inner_stride + pes.inner_at[vector],
                    inner_stride,
                    pes.inner_log2,
                    pes.planes,
                    segment_log2,
                    depth,
                    lanes,
                )
        for vector in range(vectors):
            flush(state, vector * BLOCK, sums, vector * SUMS)
    for vector in range(vectors):
        drain(state, vector * BLOCK, segment_log2, lanes)
        flush(state, vector * BLOCK, sums, vector * SUMS)


@kernel
def run_across(outer: Bytes, inner: Bytes, kept: Integers, pes: Pes, tile: Tile) -> None:
    """Run a tile whose groups span vectors: all of them, or those of one outer PE; fill `ended`."""
    state, sums = tile.state, tile.sums
    typed = state.dtype.type
    lanes = typed(pes.lanes)
    flat_outer, flat_inner = outer.ravel(), inner.ravel()
    outer_stride, inner_stride = outer.shape[1], inner.shape[1]
    vectors = sums.size // SUMS
    span = vectors if pes.mode == TOGETHER else pes.outer_vectors
    tile.ended[:] = kept.size
    for begin in range(0, kept.size, pes.flush_every):
        for index in range(begin, min(begin + pes.flush_every, kept.size)):
            plane = kept[index] * pes.planes
            for group in range(vectors // span):
                for vector in range(group * span, (group + 1) * span):
                    offer(
                        state,
                        vector * BLOCK,
                        flat_outer,
                        plane * outer_stride + pes.outer_at[vector],
                        outer_stride,
                        flat_inner,
                        plane * inner_stride + pes.inner_at[vector],
                        inner_stride,
                        pes.inner_log2,
                        pes.planes,
                        tile.peak,
                    )
                excess = take_peak(tile.peak) - pes.depth
                stall = (excess + pes.lanes - 1) // pes.lanes if excess > 0 else 0
                tile.ended[group] += stall
                for vector in range(group * span, (group + 1) * span):
                    settle(state, vector * BLOCK, typed(stall * pes.lanes), lanes)
        for vector in range(vectors):
            flush(state, vector * BLOCK, sums, vector * SUMS)
    for group in range(vectors // span):
        left = np.int64(0)
        for vector in range(group * span, (group + 1) * span):
            left = max(left, np.int64(state[vector * BLOCK + QUEUE : vector * BLOCK + QUEUE + LANES].max()))
        tile.ended[group] += (left + pes.lanes - 1) // pes.lanes


@kernel
def count_true_pairs(outer: Bytes, inner: Bytes, pes: Pes, tile: Tile) -> int:
    """Count a tile's pairs of two non-zeros, at the outputs that are computed."""
    flat_outer, flat_inner = outer.ravel(), inner.ravel()
    outer_stride, inner_stride = outer.shape[1], inner.shape[1]
    vectors = tile.sums.size // SUMS
    tile.sums[:] = 0
    for begin in range(0, pes.sizes.size, pes.flush_every):
        for window in range(begin, min(begin + pes.flush_every, pes.sizes.size)):
            for vector in range(vectors):
                offer(
                    tile.state,
                    vector * BLOCK,
                    flat_outer,
                    window * pes.planes * outer_stride + pes.outer_at[vector],
                    outer_stride,
                    flat_inner,
                    window * pes.planes * inner_stride + pes.inner_at[vector],
                    inner_stride,
                    pes.inner_log2,
                    pes.planes,
                    tile.peak,
                )
                tally(tile.state, vector * BLOCK)
        for vector in range(vectors):
            flush(tile.state, vector * BLOCK, tile.sums, vector * SUMS)
    take_peak(tile.peak)  # no tile must find what this one offered
    return _sum_of(tile.sums, 0)


@kernel
def _sum_of(sums: Sums, part: int) -> int:
    """Add up one of the three sums over all PEs."""
    total = np.int64(0)
    for start in range(part * LANES, sums.size, SUMS):
        for value in sums[start : start + LANES]:
            total += np.int64(value)
    return total  # type: ignore[return-value]


@kernel
def _largest_of(sums: Sums, part: int) -> int:
    """Return the largest of one of the three sums over all PEs."""
    largest = np.int64(0)
    for start in range(part * LANES, sums.size, SUMS):
        for value in sums[start : start + LANES]:
            largest = max(largest, np.int64(value))
    return largest  # type: ignore[return-value]


@kernel
def set_wanted(tile: Tile, pes: Pes, height: int, taken: Integers, tiling: Tiling, wanted: Words) -> None:
    """Mark the PEs that have an output to compute, and count them."""
    state = tile.state
    nothing = state.dtype.type(0)
    for start in range(0, state.size, BLOCK):
        state[start + WANT : start + WANT + LANES] = nothing
    outers, inners = (taken.size, height) if pes.by_column else (height, taken.size)
    size = 1 << pes.inner_log2
    tile.working[:] = 0
    for o in range(outers):
        vector = o // pes.vector_outers * pes.outer_vectors
        count = np.int64(0)
        for i in range(inners):
            want = np.uint64(1)
            if tiling.masked:
                r, c = (i, o) if pes.by_column else (o, i)
                want = (wanted[taken[c], r >> 6] >> np.uint64(r & 63)) & np.uint64(1)
            block = (vector + i // LANES) * BLOCK
            state[block + WANT + o % pes.vector_outers * size + i % LANES] = nothing - state.dtype.type(want)
            count += np.int64(want)
        tile.working[o] = count


@kernel
def account_tile(pes: Pes, tile: Tile, windows: int, totals: Totals, index: int) -> None:
    """Write down what a tile did."""
    working, pairs, starved = tile.working.sum(), _sum_of(tile.sums, 0), _sum_of(tile.sums, 1)
    if pes.mode == TOGETHER:
        duration = tile.ended[0]
        busy = duration * working
    elif pes.mode == BY_OUTER and pes.outer_vectors > 1:
        duration = tile.ended.max()
        busy = np.int64(0)
        for o in range(tile.ended.size):
            busy += tile.working[o] * tile.ended[o]
    else:
        duration = windows + _largest_of(tile.sums, 2)
        busy = windows * working + _sum_of(tile.sums, 2)
    totals.cycles[index] = duration
    totals.pairs[index] = pairs
    totals.starved[index] = starved
    totals.sync[index] = pes.lanes * busy - pairs - starved
    totals.barrier[index] = pes.lanes * (duration * working - busy)
    totals.working[index] = working
