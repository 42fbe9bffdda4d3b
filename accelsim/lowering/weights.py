"""A weight tensor in the layouts that its passes read, each made once."""

from __future__ import annotations

from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from accelsim.lowering.bits import WORD, Words, all_set, as_words, full_rows, join_runs, take_columns, transpose_rows
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

    def by_tap(self, group: int, groups: int = 1) -> Words:
        """A row per output channel of some groups: words [groups * O / g, words], row bits ordered r, s, i."""
        bits = self.inputs * self.taps
        if self.dense:
            return full_rows(groups * self.out, bits)
        if self.taps == 1 or self.inputs == 1:
            return self._rows[group * self.out : (group + groups) * self.out]
        if groups > 1:
            return np.concatenate([self.by_tap(one) for one in range(group, group + groups)])
        if group not in self._by_tap:
            turned = np.ascontiguousarray(self._turned(group).transpose(1, 0, 2)).reshape(bits, -1)
            self._by_tap[group] = transpose_rows(turned, self.out)
        return self._by_tap[group]

    def by_input(self, group: int, taps: NDArray[np.int64], groups: int = 1) -> Words:
        """A row per input channel of some groups: words [groups * I / g, words], row bits ordered tap, o."""
        if self.dense:
            return full_rows(groups * self.inputs, taps.size * self.out)
        if self.inputs == self.out == 1:
            return take_columns(self._rows[group : group + groups], taps)
        if groups > 1:
            return np.concatenate([self.by_input(one, taps) for one in range(group, group + groups)])
        turned = np.ascontiguousarray(self._turned(group)[:, taps])
        return turned.reshape(self.inputs, -1) if self.out % WORD == 0 else join_runs(turned, self.out)

    def _turned(self, group: int) -> Words:
        """Words [I / g, R * S, words]: for each input channel and tap, the group's output channels."""
        if group not in self._by_input:
            rows = self._rows[group * self.out : (group + 1) * self.out]
            turned = transpose_rows(rows, self.inputs * self.taps)
            self._by_input[group] = turned.reshape(self.inputs, self.taps, -1)
        return self._by_input[group]
