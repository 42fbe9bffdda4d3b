"""Bit matrices: rows of packed bits, and what lowering does with whole ones.

A bit string is a uint64 array in which bit `i` is bit `i % 64` of word `i // 64`; in a bit matrix each row starts at a
word and its spare bits are zero. Nothing here unpacks a bit to a byte; the loops are compiled (`accelsim/kernel`).
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from accelsim import kernel

Words = NDArray[np.uint64]
Edges = NDArray[np.int64]
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


def all_set(source: Words, bits: int) -> bool:
    """Whether the first `bits` bits are all set; found out at the first that is not."""
    return kernel.compiled.all_set(source, bits)


def fill_runs(flags: NDArray[np.bool_], size: int) -> Words:
    """Make each flag a run of `size` equal bits: booleans [rows, flags] to words [rows, words]."""
    rows = np.empty((flags.shape[0], words_for(flags.shape[1] * size)), np.uint64)
    kernel.compiled.fill_runs(flags, flags.shape[0], flags.shape[1], size, rows)
    return rows


def join_runs(pieces: NDArray[np.uint64], size: int) -> Words:
    """Join each row's pieces of `size` bits: words [rows, pieces, words] to [rows, words]."""
    count, parts, words = pieces.shape
    rows = np.empty((count, words_for(parts * size)), np.uint64)
    kernel.compiled.join_runs(np.ascontiguousarray(pieces), count, parts, words, size, rows)
    return rows


def transpose_rows(rows: Words, cols: int, matrices: int = 1) -> Words:
    """Transpose bit matrices that follow one another: words [matrices * rows, words] to [matrices * cols, words]."""
    count = len(rows) // matrices
    target = np.empty((matrices * cols, words_for(count)), np.uint64)
    kernel.compiled.transpose_rows(np.ascontiguousarray(rows), matrices, count, cols, target)
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


def _count_columns(rows: Words) -> NDArray[np.int64]:
    counts = np.zeros(rows.shape[1] * WORD, np.int64)
    kernel.compiled.count_columns(np.ascontiguousarray(rows), rows.shape[0], rows.shape[1], counts)
    return counts


def count_rectangles(rows: Words, row_edges: Edges, column_edges: Edges) -> Edges:
    """Count the set bits of blocks, given by the edges of their rows and columns: int64 [row blocks, column blocks]."""
    counts = np.empty((row_edges.size - 1, column_edges.size - 1), np.int64)
    rows = np.ascontiguousarray(rows)
    kernel.compiled.count_rectangles(rows, rows.shape[0], rows.shape[1], row_edges, column_edges, counts)
    return counts


def take_columns(rows: Words, columns: NDArray[np.int64]) -> Words:
    """Take some columns of a bit matrix: words [rows, words] to [rows, ceil(columns / 64)]."""
    bits = (rows[:, columns >> 6] >> (columns & 63).astype(np.uint64)) & np.uint64(1)
    taken = np.zeros((len(rows), words_for(columns.size)), np.uint64)
    packed = np.packbits(bits.astype(np.uint8), axis=1, bitorder="little")
    taken.view(np.uint8)[:, : packed.shape[1]] = packed
    return taken
