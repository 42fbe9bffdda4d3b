"""Kernels on packed bits: copying runs of bits, transposing, counting.

A bit string is a uint64 array in which bit `i` is bit `i % 64` of word `i // 64`; in a bit matrix each row starts at a
word and its spare bits are zero. Nothing here unpacks a bit to a byte.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from accelsim.compile import kernel

Words = NDArray[np.uint64]
WORD = 64
_WIDE = 128  # words of a row that are counted side by side: they fill vectors and stay in the nearest cache


def words_for(bits: int) -> int:
    """Words that hold this many bits."""
    return -(-bits // WORD)


def full_rows(rows: int, bits: int) -> Words:
    """Return a bit matrix [rows, bits] whose every bit is set."""
    words = np.full((rows, words_for(bits)), ~np.uint64(0))
    if bits % WORD:
        words[:, -1] = (1 << bits % WORD) - 1
    return words


def as_words(packed: NDArray[np.uint8]) -> Words:
    """Copy packed bytes into 64-bit words."""
    words = np.zeros(words_for(packed.size * 8), np.uint64)
    words.view(np.uint8)[: packed.size] = packed
    return words


@kernel
def read_bits(source: Words, position: int, count: int) -> np.uint64:
    """Read 1 to 64 bits."""
    word, shift = position >> 6, position & 63
    value: np.uint64 = source[word] >> np.uint64(shift)
    if shift + count > 64:
        value |= source[word + 1] << np.uint64(64 - shift)
    if count < 64:
        value &= (np.uint64(1) << np.uint64(count)) - np.uint64(1)
    return value


@kernel
def or_bits(target: Words, position: int, value: np.uint64, count: int) -> None:
    """Write 1 to 64 bits where the target is still zero; bits of `value` above `count` must be zero."""
    word, shift = position >> 6, position & 63
    target[word] |= value << np.uint64(shift)
    if shift + count > 64:
        target[word + 1] |= value >> np.uint64(64 - shift)


@kernel
def copy_bits(target: Words, target_position: int, source: Words, source_position: int, count: int) -> None:
    """Copy a run of bits to where the target is still zero."""
    done = 0
    while done < count:
        size = min(64, count - done)
        or_bits(target, target_position + done, read_bits(source, source_position + done, size), size)
        done += size


@kernel
def pack_runs(target: Words, position: int, source: Words, start: int, pitch: int, runs: int, size: int) -> None:
    """Copy runs of `size` bits, one every `pitch` bits of the source, close behind one another.

    What lies behind `position` in the target must be zero. Words are put together before they are written, which is
    several times faster than `copy_bits` where runs are short.
    """
    word, filled = position >> 6, position & 63
    value = target[word] if filled else np.uint64(0)
    for run in range(runs):
        for done in range(0, size, 64):
            count = min(64, size - done)
            bits = read_bits(source, start + run * pitch + done, count)
            value |= bits << np.uint64(filled)
            if filled + count < 64:
                filled += count
            else:
                target[word] = value
                word += 1
                value = bits >> np.uint64(64 - filled) if filled else np.uint64(0)
                filled += count - 64
    if filled:
        target[word] = value


@kernel
def transpose_block(block: Words) -> None:
    """Transpose 64 x 64 bits in place: swap ever smaller off-diagonal squares (Warren, Hacker's Delight, 7-3)."""
    width = 32
    mask = np.uint64(0x00000000FFFFFFFF)
    while width:
        shift = np.uint64(width)
        row = 0
        while row < 64:
            swapped = ((block[row] >> shift) ^ block[row + width]) & mask
            block[row] ^= swapped << shift
            block[row + width] ^= swapped
            row = (row + width + 1) & ~width
        width >>= 1
        mask ^= mask << np.uint64(width)


@kernel
def all_set(source: Words, bits: int) -> bool:
    """Whether the first `bits` bits are all set; found out at the first that is not."""
    for word in range(bits >> 6):
        if ~source[word]:
            return False
    rest = bits & 63
    return rest == 0 or read_bits(source, bits - rest, rest) == (np.uint64(1) << np.uint64(rest)) - np.uint64(1)


@kernel
def fill_runs(flags: NDArray[np.bool_], size: int) -> Words:
    """Make each flag a run of `size` equal bits: booleans [rows, flags] to words [rows, words]."""
    rows = np.zeros((flags.shape[0], (flags.shape[1] * size + 63) >> 6), np.uint64)
    ones = np.full((size + 63) >> 6, ~np.uint64(0))
    for row in range(flags.shape[0]):
        for flag in range(flags.shape[1]):
            if flags[row, flag]:
                copy_bits(rows[row], flag * size, ones, 0, size)
    return rows


@kernel
def join_runs(pieces: NDArray[np.uint64], size: int) -> Words:
    """Join each row's pieces of `size` bits: words [rows, pieces, words] to [rows, words]."""
    count, parts, _ = pieces.shape
    rows = np.zeros((count, (parts * size + 63) >> 6), np.uint64)
    for row in range(count):
        for part in range(parts):
            copy_bits(rows[row], part * size, pieces[row, part], 0, size)
    return rows


@kernel
def _swap_squares(low: Words, high: Words, shift: np.uint64, mask: np.uint64) -> None:
    for i in range(low.size):
        swapped = ((low[i] >> shift) ^ high[i]) & mask
        low[i] ^= swapped << shift
        high[i] ^= swapped


@kernel
def _transpose_blocks(blocks: Words) -> None:
    """Transpose eight blocks of 64 x 64 bits that lie side by side, as `transpose_block` does; words [64 x 8]."""
    width = 32
    mask = np.uint64(0x00000000FFFFFFFF)
    while width:
        for row in range(0, 64, 2 * width):
            low, high = blocks[row * 8 : (row + width) * 8], blocks[(row + width) * 8 : (row + 2 * width) * 8]
            _swap_squares(low, high, np.uint64(width), mask)
        width >>= 1
        mask ^= mask << np.uint64(width)


@kernel
def transpose_rows(rows: Words, cols: int) -> Words:
    """Transpose a bit matrix: words [rows, words] to [cols, words]."""
    count, width = rows.shape
    words = (count + 63) >> 6
    target = np.empty((cols, words), np.uint64)
    blocks = np.zeros(512, np.uint64)
    for first in range(0, width, 8):
        side = min(8, width - first)
        for word in range(words):
            height = min(64, count - word * 64)
            for row in range(height):
                for block in range(side):
                    blocks[row * 8 + block] = rows[word * 64 + row, first + block]
            blocks[height * 8 :] = 0
            _transpose_blocks(blocks)
            for block in range(side):
                start = (first + block) * 64
                for col in range(min(64, cols - start)):
                    target[start + col, word] = blocks[col * 8 + block]
    return target


def column_counts(rows: Words, cols: int) -> NDArray[np.int64]:
    """Count the set bits of each column of a bit matrix: words [rows, words] to int64 [cols]."""
    count, words = rows.shape
    folds = max(1, min(_WIDE // max(words, 1), count))  # short rows are counted side by side
    whole = count - count % folds
    folded = _count_columns(rows[:whole].reshape(whole // folds, folds * words))
    counts = folded.reshape(folds, words * WORD).sum(axis=0)
    if whole < count:
        counts += _count_columns(rows[whole:])
    return np.asarray(counts[:cols])


@kernel
def _count_columns(rows: Words) -> NDArray[np.int64]:
    """Count 255 rows at a time in eight words a column word: word `p` holds bit `p` of each count."""
    count, words = rows.shape
    counts = np.zeros(words * 64, np.int64)
    digits = np.zeros((8, min(words, _WIDE)), np.uint64)
    for first in range(0, words, _WIDE):
        side = min(_WIDE, words - first)
        for start in range(0, count, 255):
            digits[:] = 0
            stop = min(start + 255, count)
            fours = start + ((stop - start) & ~3)
            for row in range(start, fours, 4):
                _add_four(
                    digits,
                    rows[row, first : first + side],
                    rows[row + 1, first : first + side],
                    rows[row + 2, first : first + side],
                    rows[row + 3, first : first + side],
                )
            for row in range(fours, stop):
                _add_one(digits, rows[row, first : first + side])
            _read_counts(digits, side, counts[first * 64 : (first + side) * 64])
    return counts


@kernel
def _read_counts(digits: Words, words: int, counts: NDArray[np.int64]) -> None:
    for word in range(words):
        for bit in range(64):
            number = np.uint64(0)
            for digit in range(8):
                number += ((digits[digit, word] >> np.uint64(bit)) & np.uint64(1)) << np.uint64(digit)
            counts[word * 64 + bit] += np.int64(number)


@kernel
def _add_one(digits: Words, row: Words) -> None:
    for word in range(row.size):
        carry = row[word]
        for digit in range(8):
            old = digits[digit, word]
            digits[digit, word] = old ^ carry
            carry &= old


@kernel
def _add_four(digits: Words, first: Words, second: Words, third: Words, fourth: Words) -> None:
    """Add four rows: two full adders for the ones, one for the twos, half adders above."""
    d0, d1, d2, d3 = digits[0], digits[1], digits[2], digits[3]
    d4, d5, d6, d7 = digits[4], digits[5], digits[6], digits[7]
    for word in range(first.size):
        half = d0[word] ^ first[word]
        two_a = (d0[word] & first[word]) | (half & second[word])
        one = half ^ second[word]
        half = one ^ third[word]
        two_b = (one & third[word]) | (half & fourth[word])
        d0[word] = half ^ fourth[word]
        half = d1[word] ^ two_a
        four = (d1[word] & two_a) | (half & two_b)
        d1[word] = half ^ two_b
        eight = d2[word] & four
        d2[word] ^= four
        sixteen = d3[word] & eight
        d3[word] ^= eight
        carry = d4[word] & sixteen
        d4[word] ^= sixteen
        last = d5[word] & carry
        d5[word] ^= carry
        d7[word] ^= d6[word] & last
        d6[word] ^= last
