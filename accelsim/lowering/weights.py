"""A weight tensor in the layouts that its passes read, each made once."""

from __future__ import annotations

from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from accelsim.lowering.bits import WORD, Words, all_set, as_words, full_rows, join_runs, transpose_rows
from accelsim.lowering.channels import channel_rows
from accelsim.lowering.gemm import TensorKind
from accelsim.trace.bitmask import BitMask


class Weights:
    """A weight's non-zeros, [O, I / g, R, S], its role and its groups."""

    def __init__(self, mask: BitMask, kind: TensorKind, groups: int) -> None:
        self.mask, self.kind = mask, kind
        self.out = mask.shape[0] // groups
        self.inputs, self.taps_r, self.taps_s = mask.shape[1:]
        self.taps = self.taps_r * self.taps_s
        self._by_tap: dict[int, Words] = {}
        self._by_input: dict[int, Words] = {}

    @cached_property
    def dense(self) -> bool:
        """Whether no element is zero."""
        return all_set(as_words(self.mask.bits), self.mask.size)

    @cached_property
    def _rows(self) -> Words:
        """A row an output channel: words [O, words], row bits ordered i, r, s."""
        return channel_rows(as_words(self.mask.bits), 1, self.mask.shape[0], self.inputs * self.taps)

    def by_tap(self, group: int) -> Words:
        """A row an output channel of the group: words [O / g, words], row bits ordered r, s, i."""
        bits = self.inputs * self.taps
        if self.dense:
            return full_rows(self.out, bits)
        if self.taps == 1:
            return self._rows[group * self.out : (group + 1) * self.out]
        if group not in self._by_tap:
            turned = np.ascontiguousarray(self._turned(group).transpose(1, 0, 2)).reshape(bits, -1)
            self._by_tap[group] = transpose_rows(turned, self.out)
        return self._by_tap[group]

    def by_input(self, group: int, taps: NDArray[np.int64]) -> Words:
        """A row an input channel of the group, some taps of it: words [I / g, words], row bits ordered tap, o."""
        if self.dense:
            return full_rows(self.inputs, taps.size * self.out)
        turned = np.ascontiguousarray(self._turned(group)[:, taps])
        return turned.reshape(self.inputs, -1) if self.out % WORD == 0 else join_runs(turned, self.out)

    def _turned(self, group: int) -> Words:
        """Words [I / g, R * S, words]: for each input channel and tap, the group's output channels."""
        if group not in self._by_input:
            rows = self._rows[group * self.out : (group + 1) * self.out]
            turned = transpose_rows(rows, self.inputs * self.taps)
            self._by_input[group] = turned.reshape(self.inputs, self.taps, -1)
        return self._by_input[group]
