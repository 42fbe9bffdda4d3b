"""A tensor of an operation in the layouts that its passes read, each made once."""

from __future__ import annotations

from functools import cached_property

import numpy as np

from accelsim.lowering.bits import (
    WORD,
    Words,
    all_set,
    as_words,
    column_counts,
    count_rectangles,
    full_rows,
    transpose_rows,
)
from accelsim.lowering.channels import channel_rows
from accelsim.lowering.footprint import Lines
from accelsim.lowering.gemm import TensorKind
from accelsim.lowering.im2col import gather_words, pixel_rows
from accelsim.lowering.inside import Taps
from accelsim.trace.bitmask import BitMask


class Tensor:
    """An image tensor's non-zeros, [N, C, H, W], and its role."""

    def __init__(self, mask: BitMask, kind: TensorKind) -> None:
        self.mask, self.kind = mask, kind
        self.images, self.channels, *_ = mask.shape
        self.image: tuple[int, int] = mask.shape[2:]  # type: ignore[assignment]
        self._counted: tuple[tuple[int, int, int], Lines] | None = None

    @cached_property
    def dense(self) -> bool:
        """Whether no element is zero."""
        return all_set(as_words(self.mask.bits), self.mask.size)

    @cached_property
    def rows(self) -> Words:
        """A row a channel: words [C, words], row bits ordered n, h, w."""
        area = self.image[0] * self.image[1]
        if self.dense:
            return full_rows(self.channels, self.images * area)
        if area == 1:
            return transpose_rows(self.pixels(), self.channels)
        return channel_rows(as_words(self.mask.bits), self.images, self.channels, area)

    def pixels(self) -> Words:
        """A row a pixel, not kept: words [N * H * W, words], row bits are channels."""
        area = self.image[0] * self.image[1]
        if area == 1:
            return channel_rows(as_words(self.mask.bits), 1, self.images, self.channels)
        return transpose_rows(self.rows, self.images * area)

    def line_nonzeros(self, first: int, count: int, groups: int = 1) -> Lines:
        """Non-zeros of each line (n, h) in groups of `count` channels, from `first` on: int64 [groups * N * H]."""
        if self._counted is None or self._counted[0] != (first, count, groups):
            width, lines = self.image[1], self.images * self.image[0]
            rows = self.rows[first : first + count * groups]
            if self.dense:
                counts = np.full(groups * lines, width * count)
            elif groups == 1:
                counts = column_counts(rows, lines * width).reshape(lines, width).sum(axis=1)
            else:
                counts = count_rectangles(rows, np.arange(len(rows) + 1), np.arange(lines + 1) * width)
                counts = counts.reshape(groups, count, lines).sum(axis=1).ravel()
            self._counted = ((first, count, groups), counts)
        return self._counted[1]

    def in_words(self, count: int, taps: Taps) -> bool:
        """Whether im2col of groups of `count` channels can copy whole words of `pixels`."""
        return count % WORD == 0 or (taps.in_place and count == self.channels)

    def columns(self, pixels: Words | None, first: int, count: int, taps: Taps, groups: int = 1) -> Words:
        """im2col with channels fastest: row (n, y, x) holds, for each tap (r, s), the channels of one source pixel.

        Args:
            pixels: what `pixels` returns, where `in_words`.
            first, count: the channels to take.
            taps: where the kernel reads the image.
            groups: how many groups of that many channels to take.

        Returns:
            Words [groups * N * Y * X, words], row bits ordered r, s, channel.
        """
        if pixels is None:
            return transpose_rows(
                self.taps(first, count, taps, groups), self.images * taps.grid[0] * taps.grid[1], groups
            )
        if taps.in_place and count == self.channels:
            return pixels
        starts = range(first, first + count * groups, count)
        parts = [gather_words(pixels, self.images, start // WORD, count // WORD, taps) for start in starts]
        return parts[0] if groups == 1 else np.concatenate(parts)

    def taps(self, first: int, count: int, taps: Taps, groups: int = 1) -> Words:
        """im2col with pixels fastest: words [groups * taps * channels, words], rows ordered group, r, s, channel."""
        rows = pixel_rows(self.rows[first : first + count * groups], self.images, taps)
        if groups == 1:
            return rows
        by_tap = rows.reshape(taps.count, groups, count, -1)
        return np.ascontiguousarray(by_tap.transpose(1, 0, 2, 3)).reshape(len(rows), -1)
