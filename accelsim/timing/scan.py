"""The scanning PE: queues of non-zero pairs behind a shared scan pointer, a window at a time.

Between two windows a group only drains, so a whole stall is one step: if the fullest queue would exceed its depth by x
once the next window's pairs are in, the scanner waits ceil(x / L) cycles. What a PE gets is tracked per window; what it
lost to blocked or draining cycles follows, since its lanes consume, starve or wait (`sync`) until its group ends.

Equal tiles take equal time: where an operand is dense its rows are alike, so few tiles differ, and each is run once.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from accelsim.hardware.model import Hardware
from accelsim.lowering.bits import Words
from accelsim.lowering.gemm import MaskedGemm
from accelsim.timing.block_code import LANES, Block, BlockCode, Sync, can_gather, compile_block
from accelsim.timing.dense import effectual_where_needed
from accelsim.timing.outcome import GemmTiming, Slots
from accelsim.timing.scan_alike import find_kinds, scan_alike
from accelsim.timing.scan_gathered import scan_gathered
from accelsim.timing.scan_kernels import (
    BUSY,
    CYCLES,
    PAIRS,
    POSITIONS,
    SCANNED,
    STARVED,
    WORKING,
    Operand,
    Pes,
    Room,
    Totals,
    scan_gemm,
)
from accelsim.timing.scan_unbounded import cut, may_fill, scan_unbounded
from accelsim.timing.tiles import Schedule, Tiling, distinct_tiles, schedule
from accelsim.timing.windows import PLANE, cut_planes, full_planes, window_sizes

_SYNC: dict[str, Sync] = {"pe": "alone", "row": "group", "column": "group", "array": "together"}
_VECTORS = 4  # that a block has if it may choose: see `Block.vectors`
_MOST_GATHERED = 16  # rows of a block that holds needed outputs only: more would wait for the row that needs most


def time_scanning(hw: Hardware, gemm: MaskedGemm) -> GemmTiming:
    """Time a GEMM on scanning PEs (timing contract: windows, queues, sync groups, dropped windows, output masks)."""
    plan = schedule(hw, gemm)
    needed = gemm.needed if hw.skipping.outputs else None
    if needed is not None:
        totals = _run_alike(hw, gemm, plan, needed)
        if totals is None:
            totals = _run_gathered(hw, gemm, plan, needed)
        if totals is None:
            totals = _run(hw, gemm, gemm.a, gemm.columns, plan, needed)
        pairs = int(totals[PAIRS].sum())
        seen = all(kind in hw.skipping.tensors for kind in (gemm.a_kind, gemm.b_kind))
        effectual = pairs if seen else int(effectual_where_needed(gemm.a, gemm.columns, needed))
        return _timing(hw, gemm, plan, totals, pairs, effectual)
    rows, row_of = distinct_tiles(_as_seen(hw, gemm.a_kind, gemm.a), hw.array.rows)
    columns, column_of = distinct_tiles(_as_seen(hw, gemm.b_kind, gemm.b), hw.array.cols, gemm.b_of)
    a = gemm.a if rows is None else gemm.a[rows]
    b = gemm.columns if columns is None else gemm.b[columns if gemm.b_of is None else gemm.b_of[columns]]
    distinct = _run(hw, gemm, a, b, _all_columns(hw, len(a), len(b)), None)
    each = (row_of[:, None] * (column_of.max(initial=-1) + 1) + column_of).ravel()
    totals = distinct if rows is None and columns is None else distinct[:, each]
    pairs = _known_pairs(hw, gemm) if _pairs_are_known(hw, gemm) else int(totals[PAIRS].sum())
    return _timing(hw, gemm, plan, totals, pairs, gemm.effectual_macs)


def _as_seen(hw: Hardware, kind: str, rows: Words) -> Words:
    """What of an operand can make a difference: nothing, if its zeros are neither skipped nor dropped."""
    return rows if kind in hw.skipping.tensors or kind in hw.skipping.blocks else rows[:, :0]


def _all_columns(hw: Hardware, m: int, n: int) -> Schedule:
    row_tiles = -(-m // hw.array.rows)
    starts, stops = np.zeros(row_tiles, np.int64), np.full(row_tiles, n)
    return Schedule(np.arange(n), starts, stops, True, -(-stops // hw.array.cols))


def _run(hw: Hardware, gemm: MaskedGemm, a: Words, b: Words, plan: Schedule, needed: Words | None) -> Totals:
    """Run the tiles of some rows and columns of a GEMM."""
    if not may_fill(hw, gemm.k):
        totals = _no_totals(plan)
        windows_a, windows_b = cut(hw, gemm.a_kind, a, gemm.k), cut(hw, gemm.b_kind, b, gemm.k)
        scan_unbounded(hw, gemm.k, windows_a, windows_b, _tiling(plan, needed), totals)
        return totals
    by_column = hw.skipping.sync == "column"
    each = needed is not None or not _pairs_are_known(hw, gemm)
    # Tiles of one block stream the same windows; row tiles have the same columns if nothing is masked.
    drops = (gemm.a_kind if by_column else gemm.b_kind) in hw.skipping.blocks
    may_batch = not drops and not (by_column and needed is not None)
    members = hw.array.rows if by_column else hw.array.cols
    block, batch = _cover(hw, gemm.k, by_column, members, each, may_batch)
    code = compile_block(block)
    pes, room = _array(hw, gemm.k, by_column, block, batch, code)
    totals = _no_totals(plan)
    ours, theirs = _operand(hw, gemm.a_kind, a, gemm.k), _operand(hw, gemm.b_kind, b, gemm.k)
    scan_gemm(ours, theirs, _tiling(plan, needed), pes, room, totals)
    return totals


def _run_alike(hw: Hardware, gemm: MaskedGemm, plan: Schedule, needed: Words) -> Totals | None:
    """Run a masked GEMM one operand of which has few different rows; None if this does not help.

    They must play the members: under `row` sync columns may be alike, under `column` sync rows, else either.
    """
    if not may_fill(hw, gemm.k):
        return None
    for by_column in (False, True):
        kind, rows, of = (gemm.a_kind, gemm.a, None) if by_column else (gemm.b_kind, gemm.b, gemm.b_of)
        if hw.skipping.sync == ("row" if by_column else "column") or kind in hw.skipping.blocks:
            continue
        kinds = find_kinds(_as_seen(hw, kind, rows))
        if kinds is None:
            continue
        block, batch = _cover(hw, gemm.k, by_column, len(kinds.first), each=True, may_batch=False)
        code = compile_block(block)
        pes, room = _array(hw, gemm.k, by_column, block, batch, code)
        a, b = (rows[kinds.first], gemm.columns) if by_column else (gemm.a, rows[kinds.first])
        kinds = kinds if of is None else kinds._replace(of=kinds.of[of])
        totals = _no_totals(plan)
        ours, theirs = _operand(hw, gemm.a_kind, a, gemm.k), _operand(hw, gemm.b_kind, b, gemm.k)
        scan_alike(ours, theirs, kinds, _tiling(plan, needed), pes, room, totals, by_column or None)
        return totals
    return None


def _run_gathered(hw: Hardware, gemm: MaskedGemm, plan: Schedule, needed: Words) -> Totals | None:
    """Run a masked GEMM whose groups are rows that are all alike; None if it is another or the processor can't."""
    if not may_fill(hw, gemm.k):
        return None
    if hw.skipping.sync != "row" or gemm.b_kind in hw.skipping.blocks or hw.array.cols > LANES or not can_gather():
        return None
    kinds = find_kinds(_as_seen(hw, gemm.a_kind, gemm.a))
    if kinds is None or len(kinds.first) > 1:
        return None
    rows = min(_MOST_GATHERED, _power_of_two(hw.array.rows))
    blocks = []
    for vectors in range(1, -(-hw.array.cols * rows // LANES) + 1):
        block = _block(hw, gemm.k, vectors * LANES // rows, "group", rows, each=True)
        blocks.append(replace(block, gathered=True))
    if blocks[-1].bits != 8:
        return None
    codes = [compile_block(block) for block in blocks]
    pes, room = _array(hw, gemm.k, by_column=False, block=blocks[-1], batch=1, code=codes[-1])
    room = Room(np.zeros(2 * blocks[-1].vectors * LANES, np.uint8), room.out)
    addresses = np.array([code.address for code in codes])
    totals = _no_totals(plan)
    ours = _operand(hw, gemm.a_kind, gemm.a[:1], gemm.k)
    theirs = _operand(hw, gemm.b_kind, gemm.columns, gemm.k)
    scan_gathered(ours, theirs, _tiling(plan, needed), pes, addresses, room, totals)
    return totals


def _operand(hw: Hardware, kind: str, rows: Words, k: int) -> Operand:
    width, seen = hw.skipping.scan_width, kind in hw.skipping.tensors
    planes = cut_planes(rows, k, width)
    return Operand(planes, planes if seen else full_planes(k, width), seen, kind in hw.skipping.blocks)


def _tiling(plan: Schedule, needed: Words | None) -> Tiling:
    outputs = np.zeros((1, 1), np.uint64) if needed is None else needed
    return Tiling(plan.columns, plan.starts, plan.stops, plan.shared, outputs, needed is not None)


def _no_totals(plan: Schedule) -> Totals:
    return np.zeros((SCANNED + 1, plan.tiles), np.int64)


def _pairs_are_known(hw: Hardware, gemm: MaskedGemm) -> bool:
    """Whether all pairs that the scanner sees are consumed: no window is dropped that holds some."""
    skipping = hw.skipping
    return all(kind in skipping.tensors or kind not in skipping.blocks for kind in (gemm.a_kind, gemm.b_kind))


def _known_pairs(hw: Hardware, gemm: MaskedGemm) -> int:
    """Pairs that the scanner sees in all outputs."""
    sees_a, sees_b = (kind in hw.skipping.tensors for kind in (gemm.a_kind, gemm.b_kind))
    if sees_a and sees_b:
        return gemm.effectual_macs
    if sees_a or sees_b:
        seen, others = (gemm.a, gemm.n) if sees_a else (gemm.columns, gemm.m)
        return others * int(np.bitwise_count(seen).sum(dtype=np.int64))
    return gemm.macs


def _cover(hw: Hardware, k: int, by_column: bool, members: int, each: bool, may_batch: bool) -> tuple[Block, int]:
    """Choose the block that covers the array, and how many tiles it holds."""
    array, sync = hw.array, _SYNC[hw.skipping.sync]
    extent = array.cols if by_column else array.rows
    groups = min(LANES, _power_of_two(extent))
    while sync == "group" and groups > 1 and _VECTORS * LANES // groups < members:
        groups //= 2
    stacks = -(-extent // groups) if sync == "together" else 1
    most = _VECTORS * LANES // groups
    if may_batch and stacks == 1 and members == _power_of_two(members) < most and members * groups >= 8:
        return _block(hw, k, most, sync, groups, each, span=members), most // members
    return _block(hw, k, min(members, most) if sync == "alone" else members, sync, groups, each, stacks=stacks), 1


def _block(
    hw: Hardware, k: int, members: int, sync: Sync, groups: int, each: bool, *, stacks: int = 1, span: int = 0
) -> Block:
    """Make a block that holds some members; `span` is all of them if not given."""
    skipping, lanes = hw.skipping, hw.array.lanes
    vectors = -(-members // (LANES // groups))
    depth = min(skipping.fifo_depth, max(k, skipping.scan_width))  # a queue never holds more than K pairs
    bits = 8 if max(depth, lanes) + skipping.scan_width <= 255 else 32
    if bits > 8:
        depth = skipping.fifo_depth  # the same code for every K
    return Block(
        groups=groups,
        stacks=stacks,
        vectors=vectors,
        span=span or vectors * LANES // groups,
        sync=sync,
        planes=-(-skipping.scan_width // PLANE),
        depth=depth,
        lanes=lanes,
        limit=(2**bits - 1) // max(skipping.scan_width, lanes),
        each=each,
        bits=bits,
    )


def _power_of_two(number: int) -> int:
    """The least power of two that is no smaller."""
    return 1 << (number - 1).bit_length()


def _array(hw: Hardware, k: int, by_column: bool, block: Block, batch: int, code: BlockCode) -> tuple[Pes, Room]:
    """Describe to the kernels how blocks cover the array, and make room for one; the caller keeps the code."""
    group, member = np.ogrid[: block.groups * block.stacks, : block.members]
    lane = member * block.groups + group % block.groups  # in its stack
    pointer_lanes = block.all_vectors // block.pointer_vectors * LANES
    lanes_at = group // block.groups * block.vectors * LANES + lane
    pes = Pes(
        rows=hw.array.rows,
        cols=hw.array.cols,
        lanes=hw.array.lanes,
        planes=block.planes,
        sizes=np.array(window_sizes(k, hw.skipping.scan_width)),
        by_column=by_column,
        alone=block.sync == "alone",
        together=block.sync == "together",
        groups=block.groups * block.stacks,
        members=block.members,
        stack_groups=block.groups,
        stack_lanes=block.vectors * LANES,
        lanes_at=lanes_at,
        pointers=lanes_at if block.sync == "alone" else lane % LANES + lane // pointer_lanes * LANES,
        batch=batch,
        each=block.each,
        address=code.address,
        starved_at=block.starved_at,
        pairs_at=block.pairs_at,
    )
    state = np.uint8 if block.bits == 8 else np.uint32
    return pes, Room(np.zeros(block.all_vectors * LANES, state), np.zeros(block.outputs, np.uint32))


def _timing(hw: Hardware, gemm: MaskedGemm, plan: Schedule, totals: Totals, pairs: int, effectual: int) -> GemmTiming:
    array = hw.array
    heights, widths = plan.extents(hw, gemm)
    pes, busy, starved = array.rows * array.cols, int(totals[BUSY].sum()), int(totals[STARVED].sum())
    worked = int((totals[WORKING] * totals[CYCLES]).sum())
    return GemmTiming(
        tile_cycles=totals[CYCLES],
        tiles_per_row=plan.tiles_per_row,
        slots=Slots(
            effectual=effectual,
            ineffectual=pairs - effectual,
            edge=array.lanes * (pes * int(totals[CYCLES].sum()) - worked),
            barrier=array.lanes * (worked - busy),
            sync=array.lanes * busy - pairs - starved,
            starved=starved,
        ),
        scan_windows=int(totals[SCANNED].sum()),
        fifo_pushes=pairs,
        streamed_a=int((heights * totals[POSITIONS]).sum()),
        streamed_b=int((widths * totals[POSITIONS]).sum()),
        outputs=int(totals[WORKING].sum()),
        tile_positions=totals[POSITIONS],
    )
