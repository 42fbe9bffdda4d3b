"""Kernels on packed bits: copying runs of bits, transposing, and the two gathers that im2col is made of.

A bit string is a uint64 array in which bit `i` is bit `i % 64` of word `i // 64`. Sources carry one spare word behind
their last bit, so that a read of 64 bits at any position stays inside. Nothing here unpacks a bit to a byte.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from accelsim.compile import kernel, popcount

Words = NDArray[np.uint64]
WORD = 64


def words_for(bits: int) -> int:
    """Words that hold this many bits."""
    return -(-bits // WORD)


def as_words(packed: NDArray[np.uint8]) -> Words:
    """Copy packed bytes into 64-bit words with a spare word behind them."""
    words = np.zeros(words_for(packed.size * 8) + 1, np.uint64)
    words.view(np.uint8)[: packed.size] = packed
    return words


@kernel
def read_bits(source: Words, position: int, count: int) -> np.uint64:
    """Read 1 to 64 bits."""
    word, shift = position >> 6, np.uint64(position & 63)
    value: np.uint64 = source[word] >> shift
    if shift:
        value |= source[word + 1] << (np.uint64(64) - shift)
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
def transpose_bits(source: Words, matrices: int, rows: int, cols: int) -> Words:
    """Transpose each of several bit matrices that lie one after another: [rows, cols] to [cols, rows]."""
    target = np.zeros(((matrices * rows * cols + 63) >> 6) + 1, np.uint64)
    block = np.empty(64, np.uint64)
    for matrix in range(matrices):
        base = matrix * rows * cols
        for row in range(0, rows, 64):
            height = min(64, rows - row)
            for col in range(0, cols, 64):
                width = min(64, cols - col)
                for i in range(height):
                    block[i] = read_bits(source, base + (row + i) * cols + col, width)
                block[height:] = 0
                transpose_block(block)
                for j in range(width):
                    or_bits(target, base + (col + j) * rows + row, block[j], height)
    return target


@kernel
def gather_channels(
    source: Words,
    shape: tuple[int, int, int, int],
    channels: tuple[int, int],
    grid: tuple[int, int],
    step: tuple[int, int],
    offset_y: NDArray[np.int64],
    offset_x: NDArray[np.int64],
) -> Words:
    """im2col with channels fastest: row (n, y, x) holds, for each tap (r, s), the channels of one source pixel.

    Args:
        source: bits of a tensor laid out [N, H, W, C] = `shape`.
        channels: first channel and number of channels to take.
        grid: Y and X, the positions in each image that make a row.
        step: source rows and columns from one grid position to the next.
        offset_y, offset_x: each tap's source position at grid position 0; outside the image lie zeros.

    Returns:
        Words [N * Y * X, words], row bits ordered r, s, channel.
    """
    images, height, width, depth = shape
    first, count = channels
    taps_y, taps_x = offset_y.size, offset_x.size
    row_words = (taps_y * taps_x * count + 63) >> 6
    rows = np.zeros((images * grid[0] * grid[1], row_words), np.uint64)
    adjacent = count == depth  # then neighbouring taps are one run of bits
    for s in range(1, taps_x):
        adjacent = adjacent and offset_x[s] == offset_x[s - 1] + 1
    index = 0
    for n in range(images):
        for y in range(grid[0]):
            for x in range(grid[1]):
                row = rows[index]
                index += 1
                for r in range(taps_y):
                    h = y * step[0] + offset_y[r]
                    if h < 0 or h >= height:
                        continue
                    line = (n * height + h) * width
                    if adjacent:
                        w = x * step[1] + offset_x[0]
                        low, high = max(0, -w), min(taps_x, width - w)
                        if high > low:
                            at = (line + w + low) * depth
                            copy_bits(row, (r * taps_x + low) * count, source, at, (high - low) * count)
                        continue
                    for s in range(taps_x):
                        w = x * step[1] + offset_x[s]
                        if 0 <= w < width:
                            at = (line + w) * depth + first
                            copy_bits(row, (r * taps_x + s) * count, source, at, count)
    return rows


@kernel
def split_columns(source: Words, lines: int, width: int, step: int) -> Words:
    """Deal each line's bits to shorter lines, column x to line x % step: [lines, width] to [step, lines, part]."""
    part = (width + step - 1) // step
    target = np.zeros(((step * lines * part + 63) >> 6) + 1, np.uint64)
    for line in range(lines):
        for x in range(width):
            position = line * width + x
            bit = (source[position >> 6] >> np.uint64(position & 63)) & np.uint64(1)
            to = ((x % step) * lines + line) * part + x // step
            target[to >> 6] |= bit << np.uint64(to & 63)
    return target


@kernel
def gather_pixels(
    source: Words,
    shape: tuple[int, int, int, int],
    channels: tuple[int, int],
    grid: tuple[int, int],
    step: tuple[int, int],
    offset_y: NDArray[np.int64],
    offset_x: NDArray[np.int64],
) -> Words:
    """im2col with pixels fastest: row (r, s, channel) holds one bit for each grid position (n, y, x) of a tap.

    Args:
        source: bits of a tensor laid out [N, C, H, W] = `shape`; other arguments as for `gather_channels`.

    Returns:
        Words [taps * channels, words], row bits ordered n, y, x.
    """
    images, depth, height, width = shape
    first, count = channels
    taps_y, taps_x = offset_y.size, offset_x.size
    row_words = (images * grid[0] * grid[1] + 63) >> 6
    rows = np.zeros((taps_y * taps_x * count, row_words), np.uint64)
    lines = images * depth * height
    part = (width + step[1] - 1) // step[1]
    plane = split_columns(source, lines, width, step[1]) if step[1] > 1 else source
    index = 0
    for r in range(taps_y):
        for s in range(taps_x):
            start = offset_x[s] // step[1]  # floor: position of column offset_x in its plane
            base = (offset_x[s] - start * step[1]) * lines
            extent = (width - (offset_x[s] - start * step[1]) + step[1] - 1) // step[1]
            low, high = max(0, -start), min(grid[1], extent - start)
            whole = low == 0 and high == grid[1] == part == width and start == 0 and step[0] == 1
            for c in range(count):
                row = rows[index]
                index += 1
                for n in range(images):
                    image = base + (n * depth + first + c) * height
                    if whole and offset_y[r] == 0 and grid[0] <= height:
                        copy_bits(row, n * grid[0] * grid[1], plane, image * part, grid[0] * grid[1])
                        continue
                    for y in range(grid[0]):
                        h = y * step[0] + offset_y[r]
                        if 0 <= h < height and high > low:
                            to = (n * grid[0] + y) * grid[1] + low
                            copy_bits(row, to, plane, (image + h) * part + start + low, high - low)
    return rows


@kernel
def count_runs(source: Words, runs: int, size: int) -> NDArray[np.int64]:
    """Count the set bits of runs of `size` bits that lie one after another: int64 [runs]."""
    counts = np.zeros(runs, np.int64)
    for run in range(runs):
        for done in range(0, size, 64):
            counts[run] += np.int64(popcount(read_bits(source, run * size + done, min(64, size - done))))
    return counts


@kernel
def column_counts(rows: Words, cols: int) -> NDArray[np.int64]:
    """Count the set bits of each column of a bit matrix: words [rows, words] to int64 [cols].

    Eight columns are counted at a time in the bytes of one word, for at most 255 rows.
    """
    spread = np.zeros(256, np.uint64)
    for value in range(256):
        for bit in range(8):
            if value >> bit & 1:
                spread[value] |= np.uint64(1) << np.uint64(8 * bit)
    counts = np.zeros(((cols + 63) >> 6) << 6, np.int64)
    lanes = np.zeros((rows.shape[1], 8), np.uint64)
    for start in range(0, rows.shape[0], 255):
        lanes[:] = 0
        for i in range(start, min(start + 255, rows.shape[0])):
            for word in range(rows.shape[1]):
                value = rows[i, word]
                if value:
                    for byte in range(8):
                        lanes[word, byte] += spread[np.int64(value >> np.uint64(8 * byte)) & 255]
        for word in range(rows.shape[1]):
            for byte in range(8):
                for bit in range(8):
                    lane = (lanes[word, byte] >> np.uint64(8 * bit)) & np.uint64(255)
                    counts[word * 64 + byte * 8 + bit] += np.int64(lane)
    return counts[:cols]
