"""Tiles of a GEMM whose outputs are masked, where one operand has few different rows: gradients without a zero, say.

PEs of a group that see equal rows of both operands do the same, if both have an output. So a tile is timed by one PE
for each group and each *kind* of the other operand's rows; which outputs are needed then only says how often each of
them counts. What a group does depends on which kinds take part in it, but not all matter: a kind whose bits are among
another's never offers more pairs in a window, so its queue is never the fuller one, and beside the other it changes
nothing. Gradients have some nine kinds, around an image's border, and all are among that of the interior.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from accelsim.compile import kernel, popcount
from accelsim.lowering.bits import Words
from accelsim.timing.scan_kernels import (
    BUSY,
    CYCLES,
    PAIRS,
    POSITIONS,
    SCANNED,
    STARVED,
    WORKING,
    Integers,
    Operand,
    Pes,
    Room,
    Totals,
    call_code,
    column_bits,
    drop_windows,
    find_present,
    first_tiles,
    lay_out,
    numbers,
    set_all,
)
from accelsim.timing.tiles import Tiling

MOST_KINDS = 10
_MEMORY = 64  # outcomes kept of a row tile


class Kinds(NamedTuple):
    """The different rows of an operand.

    Attributes:
        first: int64 [kinds], a row of each kind.
        of: int64 [rows], each row's kind.
        beside: int64 [2^kinds], for each set of kinds all that change nothing beside them, themselves included.
    """

    first: Integers
    of: Integers
    beside: Integers


class _Memo(NamedTuple):
    """What groups did, by the set of kinds that took part.

    Attributes:
        place: int64 [2^kinds], where a set's outcome is kept; -1 if it is not.
        used: int64 [1].
        ended, starved, pairs: int64 [places, groups, kinds].
        sums: int64 [places, kinds, bytes, 256, 8], for each byte of a column's needed rows what they did together:
            outputs, busy cycles, starved lanes, pairs, and the last end among them; the rest fills a cache line.
        summed: int64 [places], whether these are there.
    """

    place: Integers
    used: Integers
    ended: Integers
    starved: Integers
    pairs: Integers
    sums: Integers
    summed: Integers


class _Tile(NamedTuple):
    """A tile's planes, one row a group and one a kind, and the windows that it streams.

    Attributes:
        outer, inner: words [planes, groups / 8] and [planes, kinds / 8].
        kept: int64, the windows.
        memo: of all tiles with these planes.
        takes_part, sets: int64 [groups], scratch.
        outputs: int64 [groups, kinds], scratch: needed ones.
    """

    outer: Words
    inner: Words
    kept: Integers
    memo: _Memo
    takes_part: Integers
    sets: Integers
    outputs: Integers


def find_kinds(rows: Words) -> Kinds | None:
    """Tell the different rows apart; None if there are more than `MOST_KINDS`."""
    of, first = np.zeros(len(rows), np.int64), np.zeros(MOST_KINDS, np.int64)
    count = int(_tell_apart(rows, of, first))
    if not 0 < count <= MOST_KINDS:
        return None
    chosen = rows[first[:count]]
    among = [sum(1 << j for j in range(count) if not (chosen[j] & ~chosen[k]).any()) for k in range(count)]
    beside = np.zeros(1 << count, np.int64)
    for k in range(count):
        beside[1 << k : 2 << k] = beside[: 1 << k] | among[k]
    return Kinds(first[:count], of, beside)


@kernel
def _tell_apart(rows: Words, of: Integers, first: Integers) -> int:
    count, last = 0, 0
    for row in range(rows.shape[0]):
        found = -1
        for turn in range(count):
            kind = (last + turn) % count
            same = True
            for word in range(rows.shape[1]):
                if rows[row, word] != rows[first[kind], word]:
                    same = False
                    break
            if same:
                found = kind
                break
        if found < 0:
            if count == first.size:
                return -1
            first[count] = row
            found = count
            count += 1
        of[row] = last = found
    return count


@kernel
def scan_alike(
    a: Operand,
    b: Operand,
    kinds: Kinds,
    tiling: Tiling,
    pes: Pes,
    room: Room,
    totals: Totals,
    by_column: bool | None,
) -> None:
    """Run all tiles of a masked GEMM.

    Args:
        a, b: the operands; of the one that plays the members, a row for each kind.
        pes: blocks whose members are kinds, with `each`.
        by_column: `pes.by_column`, but None for False: what only the other case needs is not even compiled then.
    """
    windows, planes = pes.sizes.size, a.true.shape[1] * 8
    extent = pes.cols if pes.by_column else pes.rows
    room_groups = ((extent + pes.groups - 1) // pes.groups * pes.groups + 7) >> 3
    groups, members = (b, a) if pes.by_column else (a, b)
    count = kinds.first.size
    inner = np.zeros((planes, ((count + pes.members - 1) // pes.members * pes.members + 7) >> 3), np.uint64)
    lay_out(members.shown, numbers(0, count), inner)
    true_outer = np.zeros((planes, room_groups), np.uint64)
    outer = true_outer if groups.seen else np.zeros((planes, room_groups), np.uint64)
    every, kept, present = numbers(0, windows), numbers(0, windows), np.zeros(windows, np.bool_)
    set_all(present, True)
    used, positions = drop_windows(pes, every, present, kept)
    memo = _remember(count, extent, (pes.rows + 7) >> 3)
    first = first_tiles(tiling, pes.cols)
    rows, cols = tiling.needed.shape[0], kinds.of.size if not pes.by_column else b.true.shape[0]
    every_row = column_bits(tiling.needed, 0, rows, cols)
    bits = np.zeros((cols, (pes.rows + 63) >> 6), np.uint64)
    takes_part, sets = np.zeros(extent, np.int64), np.zeros(extent, np.int64)
    outputs = np.zeros((extent, count), np.int64)
    for row_tile in range(tiling.starts.size):
        low = row_tile * pes.rows
        height = min(pes.rows, rows - low)
        _cut_rows(every_row, low, height, bits)
        begin, end = first[row_tile], first[row_tile + 1]
        for index in range(begin, end):
            if not pes.by_column and index > begin:
                break
            start = tiling.starts[row_tile] + (index - begin) * pes.cols
            taken = tiling.columns[start : min(start + pes.cols, tiling.stops[row_tile])]
            ours = taken if pes.by_column else numbers(low, low + height)
            if groups.seen or groups.drop:
                lay_out(groups.true, ours, true_outer)
            if not groups.seen:
                lay_out(groups.shown, ours, outer)
            if groups.drop:
                find_present(true_outer, pes.planes, present)
                used, positions = drop_windows(pes, every, present, kept)
            set_all(memo.place, -1)
            memo.used[0] = 0
            tile = _Tile(outer, inner, kept[:used], memo, takes_part, sets, outputs)
            if by_column is None:
                columns = tiling.columns[tiling.starts[row_tile] : tiling.stops[row_tile]]
                _time_rows(pes, room, kinds, tile, bits, height, columns, totals, begin)
            else:
                _time_columns(pes, room, kinds, tile, bits, low, height, taken, totals, index)
        for index in range(begin, end):
            across = min(pes.cols, tiling.stops[row_tile] - tiling.starts[row_tile] - (index - begin) * pes.cols)
            if not pes.by_column:
                totals[POSITIONS, index] = positions
                totals[SCANNED, index] = height * across * used


@kernel
def _cut_rows(every_row: Words, low: int, height: int, bits: Words) -> None:
    """Take a row tile's bits out of those of all rows: words [cols, rows / 64]."""
    for word in range(bits.shape[1]):
        at, shift = (low >> 6) + word, np.uint64(low & 63)
        left = height - 64 * word
        mask = np.uint64(0) if left <= 0 else ~np.uint64(0) >> np.uint64(64 - min(left, 64))
        for column in range(bits.shape[0]):
            value = np.uint64(0)
            if at < every_row.shape[1]:
                value = every_row[column, at] >> shift
            if shift and at + 1 < every_row.shape[1]:
                value |= every_row[column, at + 1] << (np.uint64(64) - shift)
            bits[column, word] = value & mask


@kernel
def _remember(kinds: int, groups: int, row_bytes: int) -> _Memo:
    places = _MEMORY + 1  # the last one for what is used once
    return _Memo(
        np.zeros(1 << kinds, np.int64),
        np.zeros(1, np.int64),
        np.zeros((places, groups, kinds), np.int64),
        np.zeros((places, groups, kinds), np.int64),
        np.zeros((places, groups, kinds), np.int64),
        np.zeros((_MEMORY, kinds, row_bytes, 256, 8), np.int64),
        np.zeros(places, np.int64),
    )


@kernel
def _run(pes: Pes, room: Room, tile: _Tile, takes_part: Integers, place: int) -> None:
    """Run one PE for each group and each kind that takes part in it, and keep what they did.

    Args:
        takes_part: int64 [groups], the set of kinds.
    """
    memo, outer, inner = tile.memo, tile.outer, tile.inner
    groups, kinds = takes_part.size, memo.ended.shape[2]
    every = ~room.wanted.dtype.type(0)
    for first_group in range(0, groups, pes.groups):
        for first_kind in range(0, kinds, pes.members):
            some_groups, some_kinds = min(pes.groups, groups - first_group), min(pes.members, kinds - first_kind)
            set_all(room.wanted, 0)
            for g in range(some_groups):
                for k in range(some_kinds):
                    if takes_part[first_group + g] >> (first_kind + k) & 1:
                        room.wanted[pes.lanes_at[g, k]] = every
            call_code(
                pes.address, outer, first_group, inner, first_kind, tile.kept, tile.kept.size, room.wanted, room.out
            )
            for g in range(some_groups):
                for k in range(some_kinds):
                    lane = pes.lanes_at[g, k]
                    to = (place, first_group + g, first_kind + k)
                    memo.ended[to] = np.int64(room.out[pes.pointers[g, k]])
                    memo.starved[to] = np.int64(room.out[pes.starved_at + lane])
                    memo.pairs[to] = np.int64(room.out[pes.pairs_at + lane])
    memo.summed[place] = 0


@kernel
def _recall(pes: Pes, room: Room, kinds: Kinds, tile: _Tile, part: int) -> int:
    """Return where the outcome of groups in which these kinds take part is kept; run them if it is not."""
    memo = tile.memo
    part = (1 << kinds.first.size) - 1 if pes.alone else kinds.beside[part]
    if memo.place[part] < 0:
        if memo.used[0] == _MEMORY:
            set_all(memo.place, -1)
            memo.used[0] = 0
        memo.place[part] = memo.used[0]
        memo.used[0] += 1
        set_all(tile.takes_part, part)
        _run(pes, room, tile, tile.takes_part, memo.place[part])
    return memo.place[part]  # type: ignore[no-any-return]


@kernel
def _time_columns(
    pes: Pes,
    room: Room,
    kinds: Kinds,
    tile: _Tile,
    bits: Words,
    low: int,
    height: int,
    taken: Integers,
    totals: Totals,
    index: int,
) -> None:
    """Time a tile whose groups are columns; rows from `low` on are of few kinds."""
    _forget(tile)
    for c in range(taken.size):
        for word in range(bits.shape[1]):
            left = bits[taken[c], word]
            while left:
                row = low + word * 64 + _lowest(left)
                tile.outputs[c, kinds.of[row]] += 1
                tile.sets[c] |= 1 << kinds.of[row]
                left &= left - np.uint64(1)
    _add_groups(pes, room, kinds, tile, taken.size, totals, index)
    for window in tile.kept:
        totals[POSITIONS, index] += pes.sizes[window]
    totals[SCANNED, index] = height * taken.size * tile.kept.size


@kernel
def _add_groups(pes: Pes, room: Room, kinds: Kinds, tile: _Tile, count: int, totals: Totals, index: int) -> None:
    """Add what a tile's first groups did, each with its own set of kinds (`sets`, `outputs`)."""
    sets = tile.sets
    slowest, place, memo = tile.kept.size, -1, tile.memo
    if pes.together:  # one pointer for all: what any group does depends on the kinds in every other
        alike = True
        for g in range(sets.size):
            sets[g] = kinds.beside[sets[g]]
            alike = alike and (g >= count or sets[g] == sets[0])
        if alike and sets[0]:  # PEs behind the edge see nothing, so they may take part or not
            place = _recall(pes, room, kinds, tile, sets[0])
        else:
            place = _MEMORY  # used once
            _run(pes, room, tile, sets, place)
    for g in range(count):
        if not sets[g]:
            continue
        if not pes.together:
            place = _recall(pes, room, kinds, tile, sets[g])
        for kind in range(kinds.first.size):
            number = tile.outputs[g, kind]
            if number:
                ended = memo.ended[place, g, kind]
                slowest = max(slowest, ended)
                totals[WORKING, index] += number
                totals[BUSY, index] += number * ended
                totals[STARVED, index] += number * memo.starved[place, g, kind]
                totals[PAIRS, index] += number * memo.pairs[place, g, kind]
    totals[CYCLES, index] = max(totals[CYCLES, index], slowest)


@kernel
def _forget(tile: _Tile) -> None:
    """Empty the scratch of the tile before."""
    set_all(tile.sets, 0)
    for group in range(tile.outputs.shape[0]):
        for kind in range(tile.outputs.shape[1]):
            tile.outputs[group, kind] = 0


@kernel
def _time_rows(
    pes: Pes,
    room: Room,
    kinds: Kinds,
    tile: _Tile,
    bits: Words,
    height: int,
    columns: Integers,
    totals: Totals,
    first: int,
) -> None:
    """Time the tiles of a row tile, whose groups are rows; the columns are of few kinds.

    Mostly one kind takes part in nearly every row, and all others change nothing beside it: then the rows' sums are at
    hand, and only the rows apart, without it, are looked at one by one.
    """
    memo, words = tile.memo, bits.shape[1]
    apart = np.zeros(words, np.uint64)
    of, needed = np.zeros(pes.cols, np.int64), np.zeros((words, pes.cols), np.uint64)  # of the tile's columns
    row_bytes = min(memo.sums.shape[2], 8 * words)
    for start in range(0, columns.size, pes.cols):
        across, index = min(pes.cols, columns.size - start), first + start // pes.cols
        for at in range(across):
            of[at] = kinds.of[columns[start + at]]
            for word in range(words):
                needed[word, at] = bits[columns[start + at], word]
        chief = _find_chief(kinds, of, across)
        wanted, others = np.int64(0), np.int64(0)
        for word in range(words):
            any_kind, of_chief = np.uint64(0), np.uint64(0)
            for at in range(across):
                any_kind |= needed[word, at]
                if of[at] == chief or pes.alone:  # alone, no kind changes anything beside another
                    of_chief |= needed[word, at]
            apart[word] = any_kind & ~of_chief
            others += np.int64(popcount(apart[word]))
            wanted += np.int64(popcount(any_kind))
        slowest = np.int64(tile.kept.size)
        if chief >= 0 and (not pes.together or (others == 0 and wanted == height)):
            place = _recall(pes, room, kinds, tile, 1 << chief)
            if not memo.summed[place]:
                _sum_up(memo, place)
            working, busy, starved, pairs = np.int64(0), np.int64(0), np.int64(0), np.int64(0)
            for byte in range(row_bytes):
                word, shift = byte >> 3, np.uint64(8 * (byte & 7))
                for at in range(across):
                    value = np.int64(((needed[word, at] & ~apart[word]) >> shift) & np.uint64(255))
                    working += memo.sums[place, of[at], byte, value, 0]
                    busy += memo.sums[place, of[at], byte, value, 1]
                    starved += memo.sums[place, of[at], byte, value, 2]
                    pairs += memo.sums[place, of[at], byte, value, 3]
                    slowest = max(slowest, memo.sums[place, of[at], byte, value, 4])
            totals[WORKING, index] = working
            totals[BUSY, index] = busy
            totals[STARVED, index] = starved
            totals[PAIRS, index] = pairs
        else:
            others = wanted
            set_all(apart, ~np.uint64(0))
        totals[CYCLES, index] = slowest
        if others:
            _forget(tile)
            for at in range(across):
                for word in range(words):
                    left = needed[word, at] & apart[word]
                    while left:
                        row = word * 64 + _lowest(left)
                        tile.outputs[row, of[at]] += 1
                        tile.sets[row] |= 1 << of[at]
                        left &= left - np.uint64(1)
            _add_groups(pes, room, kinds, tile, height, totals, index)


@kernel
def _find_chief(kinds: Kinds, of: Integers, count: int) -> int:
    """Return the kind beside which no other of some columns' kinds changes anything; -1 if there is none."""
    some = 0
    for at in range(count):
        some |= 1 << of[at]
    for kind in range(kinds.first.size):
        if some >> kind & 1 and some & ~kinds.beside[1 << kind] == 0:
            return kind
    return -1


@kernel
def _lowest(bits: np.uint64) -> int:
    """Return the place of the lowest set bit."""
    return np.int64(popcount((bits & (~bits + np.uint64(1))) - np.uint64(1)))  # type: ignore[return-value]


@kernel
def _sum_up(memo: _Memo, place: int) -> None:
    """Fill what the rows of a byte did together, for each byte of a column's needed rows."""
    groups = memo.ended.shape[1]
    for byte in range(memo.sums.shape[2]):
        for value in range(1, 256):
            row, rest = 0, value & (value - 1)
            while not value >> row & 1:
                row += 1
            row += byte * 8
            for kind in range(memo.sums.shape[1]):
                there = row < groups  # the last byte may hold fewer rows
                ended = memo.ended[place, row, kind] if there else 0
                starved = memo.starved[place, row, kind] if there else 0
                pairs = memo.pairs[place, row, kind] if there else 0
                for part, more in enumerate((np.int64(there), ended, starved, pairs)):
                    memo.sums[place, kind, byte, value, part] = memo.sums[place, kind, byte, rest, part] + more
                memo.sums[place, kind, byte, value, 4] = max(memo.sums[place, kind, byte, rest, 4], ended)
    memo.summed[place] = 1
