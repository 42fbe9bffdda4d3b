"""Kernels of the scanning PE: a whole GEMM, tile by tile, on the machine code of `block_code`.

Windows are cut into byte planes: the words of a packed row already are its planes if the scan width is a multiple of
eight. Planes of the PEs of one block lie side by side.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple, cast

import numpy as np
from llvmlite import ir
from numba.core import types
from numba.extending import intrinsic
from numpy.typing import NDArray

from accelsim.compile import kernel
from accelsim.lowering.bits import Words, transpose_block
from accelsim.timing.tiles import Tiling

Integers = NDArray[np.int64]
LANES = 64


class Operand(NamedTuple):
    """One operand's planes.

    Attributes:
        true: its non-zeros, words [rows, words], eight planes a word.
        shown: what the scanner sees: the same, or one row of ones for a tensor whose zeros it does not skip.
        seen: whether the two are the same.
        drop: whether windows without a non-zero are not streamed.
    """

    true: Words
    shown: Words
    seen: bool
    drop: bool


class Pes(NamedTuple):
    """The array, and how blocks cover it (see `block_code.Block`).

    Attributes:
        rows, cols, lanes: of the array.
        planes, sizes: planes of a window; K positions of each window.
        by_column: whether columns are the groups.
        alone, together: whether each PE has its own scan pointer, or all of a tile share one.
        groups, members: of a block, the groups of all stacks together.
        stack_groups, stack_lanes: groups of one stack; lanes of one stack.
        lanes_at: int64 [groups, members], place of each PE of a block among its vectors' lanes.
        pointers: int64 [groups, members], place of the end of its group in the output.
        batch: tiles that a block holds, side by side along its members; 1 if a tile needs a block or several.
        each: whether every PE is counted for itself, with a mask of those that have an output.
        address, starved_at, pairs_at: of the code, and what stands where in its output.
    """

    rows: int
    cols: int
    lanes: int
    planes: int
    sizes: Integers
    by_column: bool
    alone: bool
    together: bool
    groups: int
    members: int
    stack_groups: int
    stack_lanes: int
    lanes_at: Integers
    pointers: Integers
    batch: int
    each: bool
    address: int
    starved_at: int
    pairs_at: int


class Room(NamedTuple):
    """What a block works on: masks of the PEs with an output (`each`), and the output."""

    wanted: NDArray[np.unsignedinteger]
    out: NDArray[np.uint32]


CYCLES, POSITIONS, PAIRS, STARVED, BUSY, WORKING, SCANNED = range(7)
"""Rows of `Totals`, int64 [7, tiles], what each tile did, row tiles outermost: cycles; K positions streamed; pairs
consumed (left 0 unless `each`); starved slots; cycles until a PE's group ends, summed over PEs with an output; how many
these are; windows looked at, summed over PEs. One array, since Numba takes long to compile what is given many."""
Totals = Integers


@intrinsic
def _call_code(
    typing_context: Any,
    address: Any,
    outer: Any,
    first_group: Any,
    inner: Any,
    first_member: Any,
    kept: Any,
    count: Any,
    wanted: Any,
    out: Any,
) -> Any:
    def generate(context: Any, builder: Any, signature: Any, values: Any) -> Any:
        word = ir.IntType(64)

        def array(at: int) -> Any:
            return context.make_array(signature.args[at])(context, builder, values[at])

        def place(at: int) -> Any:
            return builder.ptrtoint(array(at).data, word)

        def stride(at: int) -> Any:
            return builder.extract_value(array(at).strides, 0)

        code = builder.inttoptr(values[0], ir.FunctionType(ir.VoidType(), [word] * 8).as_pointer())
        groups, members = builder.add(place(1), values[2]), builder.add(place(3), values[4])
        builder.call(code, [groups, stride(1), members, stride(3), place(5), values[6], place(7), place(8)])
        return context.get_dummy_value()

    size = types.intp
    return types.void(address, outer, size, inner, size, kept, size, wanted, out), generate


call_code = cast("Callable[..., None]", _call_code)
"""call_code(address, outer, first_group, inner, first_member, kept, count, wanted, out): run a block. For kernels.

`outer` and `inner` are words [planes, PEs / 8]; the block starts at their bytes `first_group` and `first_member`.
`kept` holds `count` windows. See `block_code.compile_block`.
"""


@kernel
def numbers(low: int, high: int) -> Integers:
    """List low, low + 1, ..., high - 1 (NumPy's own function takes Numba a second to compile)."""
    found = np.empty(max(high - low, 0), np.int64)
    for i in range(found.size):
        found[i] = low + i
    return found


@kernel
def set_all(values: NDArray[Any], value: Any) -> None:
    """Set every element of a vector."""
    for i in range(values.size):
        values[i] = value


@kernel
def lay_out(rows: Words, indices: Integers, target: Words) -> None:
    """Turn some rows' planes around: target [planes, PEs / 8] holds a byte for each PE; PEs without a row see nothing.

    A single row stands for all. Eight rows and eight planes at a time are an 8 x 8 matrix of bytes, transposed by
    swapping ever larger squares (Warren, Hacker's Delight, 7-3).
    """
    block = np.zeros(8, np.uint64)
    for lane in range(target.shape[1]):
        for word in range(rows.shape[1]):
            for i in range(8):
                at = lane * 8 + i
                block[i] = np.uint64(0)
                if at < indices.size:
                    block[i] = rows[indices[at] if rows.shape[0] > 1 else 0, word]
            for width, mask in ((4, 0x00000000FFFFFFFF), (2, 0x0000FFFF0000FFFF), (1, 0x00FF00FF00FF00FF)):
                shift = np.uint64(8 * width)
                for i in range(8):
                    if i & width == 0:
                        swapped = ((block[i] >> shift) ^ block[i + width]) & np.uint64(mask)
                        block[i] ^= swapped << shift
                        block[i + width] ^= swapped
            for i in range(8):
                target[word * 8 + i, lane] = block[i]


@kernel
def find_present(tile: Words, planes: int, present: NDArray[np.bool_]) -> None:
    """Tell for each window whether any PE's bits in it are set."""
    for window in range(present.size):
        some = np.uint64(0)
        for plane in range(window * planes, (window + 1) * planes):
            for lane in range(tile.shape[1]):
                some |= tile[plane, lane]
        present[window] = some != 0


@kernel
def column_bits(needed: Words, first_row: int, height: int, cols: int) -> Words:
    """Turn a row tile's needed outputs around: words [cols, ceil(height / 64)], a bit for each row."""
    parts = (height + 63) >> 6
    target = np.zeros((cols, parts), np.uint64)
    block = np.zeros(64, np.uint64)
    for part in range(parts):
        for word in range(needed.shape[1]):
            for i in range(64):
                row = part * 64 + i
                block[i] = needed[first_row + row, word] if row < height else np.uint64(0)
            transpose_block(block)
            for i in range(min(64, cols - word * 64)):
                target[word * 64 + i, part] = block[i]
    return target


@kernel
def drop_windows(pes: Pes, windows: Integers, present: NDArray[np.bool_], kept: Integers) -> tuple[int, int]:
    """List those of some windows that are present; return how many, and their K positions."""
    used, positions = 0, 0
    for window in windows:
        kept[used] = window
        used += present[window]
        positions += present[window] * pes.sizes[window]
    return used, positions


@kernel
def first_tiles(tiling: Tiling, cols: int) -> Integers:
    """Index of each row tile's first tile, and the number of all tiles behind the last."""
    first = np.zeros(tiling.starts.size + 1, np.int64)
    for tile in range(tiling.starts.size):
        first[tile + 1] = first[tile] + (tiling.stops[tile] - tiling.starts[tile] + cols - 1) // cols
    return first


@kernel
def _want(
    pes: Pes, room: Room, groups: int, members: int, row: int, columns: Integers, wanted: Words, masked: bool
) -> None:
    """Mark the PEs of a block that have an output.

    Args:
        groups, members: the extents that are there.
        row, columns: the block's first row, and its columns.
        wanted: bits of the rows that each column needs; ignored unless `masked`.
    """
    set_all(room.wanted, 0)
    every = ~room.wanted.dtype.type(0)
    for g in range(groups):
        for m in range(members):
            r, c = (row + m, g) if pes.by_column else (row + g, m)
            if masked and not (wanted[columns[c], r >> 6] >> np.uint64(r & 63)) & np.uint64(1):
                continue
            room.wanted[pes.lanes_at[g, m]] = every


@kernel
def _take(
    pes: Pes, room: Room, groups: int, first: int, members: int, windows: int, totals: Totals, index: int
) -> None:
    """Add what the PEs of one tile in a block did; all of them have an output.

    Args:
        first: the tile's first member in the block.
    """
    out, slowest, busy, starved = room.out, np.int64(0), np.int64(0), np.int64(0)
    for g in range(groups):
        if pes.alone:
            for m in range(first, first + members):
                ended = np.int64(out[pes.pointers[g, m]])
                slowest = max(slowest, ended)
                busy += ended
        else:
            ended = np.int64(out[pes.pointers[g, first]])
            slowest = max(slowest, ended)
            busy += ended * members
    wide = pes.members if pes.batch == 1 else pes.members // pes.batch  # with lanes of PEs that are not there
    for stack in range(pes.groups // pes.stack_groups):
        start = pes.starved_at + (stack * pes.stack_lanes + first * pes.stack_groups) // 8
        for eight in range(start, start + wide * pes.stack_groups // 8):
            starved += np.int64(out[eight])
    starved -= pes.lanes * windows * (pes.groups * wide - groups * members)  # they starve in every window
    totals[CYCLES, index] = max(totals[CYCLES, index], slowest)
    totals[BUSY, index] += busy
    totals[STARVED, index] += starved
    totals[WORKING, index] += groups * members


@kernel
def _take_each(pes: Pes, room: Room, groups: int, first: int, members: int, totals: Totals, index: int) -> None:
    """Add what the PEs of one tile in a block did, of which some have no output.

    A group without an output scans all windows, and the tile waits for it.
    """
    out, slowest = room.out, np.int64(0)
    for g in range(groups):
        for m in range(first, first + members):
            lane = pes.lanes_at[g, m]
            ended = np.int64(out[pes.pointers[g, m]])
            slowest = max(slowest, ended)
            if room.wanted[lane]:
                totals[WORKING, index] += 1
                totals[BUSY, index] += ended
                totals[STARVED, index] += np.int64(out[pes.starved_at + lane])
                totals[PAIRS, index] += np.int64(out[pes.pairs_at + lane])
    totals[CYCLES, index] = max(totals[CYCLES, index], slowest)


@kernel
def scan_gemm(a: Operand, b: Operand, tiling: Tiling, pes: Pes, room: Room, totals: Totals) -> None:
    """Run all tiles of a GEMM; column tiles outermost here, so that each column tile is laid out once for all rows.

    A block takes `batch` neighbouring tiles: of a row tile, or of a column tile if columns are the groups.
    """
    windows, planes, rows = pes.sizes.size, a.true.shape[1] * 8, a.true.shape[0]
    high, wide = (pes.batch, 1) if pes.by_column else (1, pes.batch)  # tiles of a block
    tall, broad = high * pes.rows, wide * pes.cols
    room_a, room_b = _room(pes, tall, not pes.by_column), _room(pes, broad, pes.by_column)
    row_tiles = tiling.starts.size
    strips = (row_tiles + high - 1) // high
    true_a = np.zeros((strips, planes, room_a), np.uint64)
    seen_a = true_a if a.seen else np.zeros((strips, planes, room_a), np.uint64)
    present_a, present_b = np.zeros(windows, np.bool_), np.zeros(windows, np.bool_)
    set_all(present_a, True)
    kept = np.zeros((strips, windows), np.int64)
    used, positions, every = np.zeros(strips, np.int64), np.zeros(strips, np.int64), numbers(0, windows)
    wanted = np.zeros((strips, b.true.shape[0] if tiling.masked else 0, (pes.rows + 63) >> 6), np.uint64)
    for strip in range(strips):
        low, top = strip * tall, min((strip + 1) * tall, rows)
        lay_out(a.true, numbers(low, top), true_a[strip])
        if not a.seen:
            lay_out(a.shown, numbers(low, top), seen_a[strip])
        if a.drop:
            find_present(true_a[strip], pes.planes, present_a)
        used[strip], positions[strip] = drop_windows(pes, every, present_a, kept[strip])
        if tiling.masked:
            bits = column_bits(tiling.needed, low, top - low, b.true.shape[0])
            for column in range(bits.shape[0]):
                for word in range(bits.shape[1]):
                    wanted[strip, column, word] = bits[column, word]
    true_b = np.zeros((planes, room_b), np.uint64)
    seen_b = true_b if b.seen else np.zeros((planes, room_b), np.uint64)
    tile_kept = np.zeros(windows, np.int64)
    first = first_tiles(tiling, pes.cols)
    most = 0
    for row_tile in range(row_tiles):
        most = max(most, first[row_tile + 1] - first[row_tile])
    for column in range((most + wide - 1) // wide):
        for strip in range(strips):
            index = first[strip * high] + column * wide
            if index >= first[strip * high + 1]:
                continue
            low = tiling.starts[strip * high] + column * broad
            taken = tiling.columns[low : min(low + broad, tiling.stops[strip * high])]
            if strip == 0 or not tiling.shared:
                if b.seen or b.drop:
                    lay_out(b.true, taken, true_b)
                if not b.seen:
                    lay_out(b.shown, taken, seen_b)
                if b.drop:
                    find_present(true_b, pes.planes, present_b)
            here, streamed = kept[strip, : used[strip]], positions[strip]
            if b.drop:
                count, streamed = drop_windows(pes, here, present_b, tile_kept)
                here = tile_kept[:count]
            _run_blocks(
                pes,
                room,
                tiling.masked,
                wanted[strip],
                min(tall, rows - strip * tall),
                taken,
                seen_a[strip],
                seen_b,
                here,
                totals,
                first,
                strip * high,
                column * wide,
            )
            for tile_row in range(strip * high, min((strip + 1) * high, row_tiles)):
                for tile in range(wide):
                    across = min(pes.cols, taken.size - tile * pes.cols)
                    if across > 0:
                        index = first[tile_row] + column * wide + tile
                        totals[POSITIONS, index] = streamed
                        totals[SCANNED, index] = min(pes.rows, rows - tile_row * pes.rows) * across * here.size


@kernel
def _room(pes: Pes, extent: int, as_groups: bool) -> int:
    """Words of a plane that holds whole blocks."""
    size = pes.groups if as_groups else pes.members
    return (((extent + size - 1) // size * size) + 7) >> 3


@kernel
def _run_blocks(
    pes: Pes,
    room: Room,
    masked: bool,
    wanted: Words,
    height: int,
    taken: Integers,
    planes_a: Words,
    planes_b: Words,
    kept: Integers,
    totals: Totals,
    first: Integers,
    row_tile: int,
    column_tile: int,
) -> None:
    """Run the blocks of a tile, or the block of a batch of tiles, and add up what they did.

    Args:
        wanted: see `_want`; from the tile's first row on.
        height, taken: rows and columns that are there.
        planes_a, planes_b: planes of the rows and of the columns.
        kept: windows.
        first, row_tile, column_tile: first tile of each row tile; where the tile, or the batch's first one, stands.
    """
    outer, inner = (planes_b, planes_a) if pes.by_column else (planes_a, planes_b)
    groups, members = (taken.size, height) if pes.by_column else (height, taken.size)
    tile_members = pes.rows if pes.by_column else pes.cols
    for g in range(0, groups, pes.groups):
        for m in range(0, members, pes.members):
            here_groups, here_members = min(pes.groups, groups - g), min(pes.members, members - m)
            if pes.each:
                columns, row = (taken[g:], m) if pes.by_column else (taken[m:], g)
                _want(pes, room, here_groups, here_members, row, columns, wanted, masked)
            call_code(pes.address, outer, g, inner, m, kept, kept.size, room.wanted, room.out)
            for tile in range(pes.batch):
                start = tile * tile_members if pes.batch > 1 else 0
                count = min(tile_members if pes.batch > 1 else pes.members, here_members - start)
                if count <= 0:
                    break
                index = first[row_tile] + column_tile + tile
                if pes.by_column:
                    index = first[row_tile + (tile if pes.batch > 1 else 0)] + column_tile
                if pes.each:
                    _take_each(pes, room, here_groups, start, count, totals, index)
                else:
                    _take(pes, room, here_groups, start, count, kept.size, totals, index)
