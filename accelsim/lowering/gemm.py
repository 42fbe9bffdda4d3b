"""The masked GEMM that every pass is made of."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from accelsim import kernel
from accelsim.errors import AccelsimError
from accelsim.lowering.bits import Words
from accelsim.lowering.inside import Taps

Pass = Literal["forward", "input_grad", "weight_grad"]
TensorKind = Literal["weight", "activation", "gradient"]
PASSES: tuple[Pass, ...] = ("forward", "input_grad", "weight_grad")


def chosen_passes(names: Iterable[Pass]) -> tuple[Pass, ...]:
    """Return passes in the order of PASSES, each once.

    Raises:
        AccelsimError: a name is none of PASSES, or `names` is no list of names but one name, say.
    """
    if isinstance(names, str) or not isinstance(names, Iterable):
        raise AccelsimError(f"passes is {names!r}, expected a list of some of {', '.join(PASSES)}")
    chosen: list[object] = list(names)
    for name in chosen:
        if name not in PASSES:
            raise AccelsimError(f"passes names {name!r}, expected some of {', '.join(PASSES)}")
    return tuple(name for name in PASSES if name in chosen)


@dataclass(frozen=True)
class Footprint:
    """Which lines of its source tensor operand B is gathered from; a line is one image row, W x C elements.

    Attributes:
        images: images of the source tensor; all are read in the same way.
        lines: lines of the source tensor (images x height).
        channels: channels of a line, those of one group.
        line_elements: elements of a line: image width x channels.
        line_nonzeros: int64 [lines], non-zero elements of each line; of GEMMs that are stacked, one after another.
        grid_lines: lines of the grid that enumerates (n, y): the column axis N of the GEMM, or its reduction K.
        grid_width: grid positions in one grid line.
        first, last: int64 [grid_lines], the source lines [first, last) that each grid line reads.
        along: the GEMM axis that runs over grid positions; the other axis of B runs over taps and channels.
        taps: where the kernel's taps read the source; its rows outermost along that other axis.
    """

    images: int
    lines: int
    channels: int
    line_elements: int
    line_nonzeros: np.ndarray[tuple[int], np.dtype[np.int64]]
    grid_lines: int
    grid_width: int
    first: np.ndarray[tuple[int], np.dtype[np.int64]]
    last: np.ndarray[tuple[int], np.dtype[np.int64]]
    along: Literal["n", "k"]
    taps: Taps


@dataclass(frozen=True)
class MaskedGemm:
    """O[M, N] = A[M, K] · B[K, N] with a bit for each operand element that is non-zero.

    Attributes:
        m, n, k: extents.
        a: words [M, ceil(K / 64)], row m's non-zeros along K; spare bits are zero.
        b: words [N, ceil(K / 64)], column n's non-zeros along K; of a dense tensor only the few columns that differ.
        a_kind, b_kind, output_kind: which tensor each one is, for `skipping.tensors` and `memory.compression`.
        b_of: int32 [N], the row of `b` that holds column n; None means row n.
        needed: words [M, ceil(N / 64)], outputs that must be computed; None means all.
        footprint: where B comes from in its tensor.
        group, phase: group of the convolution, and (row, column) phase of its stride in input_grad.
        groups: how many the convolution has.
        tensor_densities: non-zeros' share in the whole tensors that A and B are of, those of all groups.
        stack: how many GEMMs these are: those of as many groups from `group` on, equal in all but their masks. Their
            rows of `a`, of `b` (where `b_of` is given they share it) and of `needed` follow one another.
    """

    m: int
    n: int
    k: int
    a: Words
    b: Words
    a_kind: TensorKind
    b_kind: TensorKind
    output_kind: TensorKind
    footprint: Footprint
    b_of: NDArray[np.int32] | None = None
    needed: Words | None = None
    group: int = 0
    phase: tuple[int, int] = field(default=(0, 0))
    groups: int = 1
    tensor_densities: tuple[float, float] = (1.0, 1.0)
    stack: int = 1

    @property
    def macs(self) -> int:
        """M · N · K, of all that are stacked."""
        return self.stack * self.m * self.n * self.k

    def alone(self) -> Iterator[MaskedGemm]:
        """Yield the GEMMs that are stacked, one by one."""
        if self.stack == 1:
            yield self
            return
        lines = self.footprint.lines
        for number in range(self.stack):
            rows, columns = (slice(number * extent, (number + 1) * extent) for extent in (self.m, self.n))
            nonzeros = self.footprint.line_nonzeros[number * lines : (number + 1) * lines]
            yield replace(
                self,
                a=self.a[rows],
                b=self.b[columns] if self.b_of is None else self.b,
                needed=None if self.needed is None else self.needed[rows],
                footprint=replace(self.footprint, line_nonzeros=nonzeros),
                group=self.group + number,
                stack=1,
            )

    @cached_property
    def columns(self) -> Words:
        """All of B: words [N, ceil(K / 64)]."""
        return self.b if self.b_of is None else self.b[self.b_of]

    @cached_property
    def effectual_macs(self) -> int:
        """Pairs with both operands non-zero, over all outputs: sum over k of (non-zeros of A at k) x (of B at k)."""
        if self.b_of is None:
            a, b = np.ascontiguousarray(self.a), np.ascontiguousarray(self.b)
            return kernel.compiled.count_effectual(a, b, self.stack, self.m, self.n, a.shape[1])
        times = np.bincount(self.b_of, minlength=len(self.b))
        pairs = (int(np.bitwise_count(self.a & column).sum(dtype=np.int64)) for column in self.b)
        return sum(count * alike for count, alike in zip(pairs, times.tolist(), strict=True))

    @cached_property
    def effectual_where_needed(self) -> int:
        """Those pairs at the outputs that must be computed."""
        if self.needed is None:
            return self.effectual_macs
        a, b, needed = (np.ascontiguousarray(words) for words in (self.a, self.b, self.needed))
        return kernel.compiled.effectual_where_needed(a, b, self.b_of, self.stack, self.m, self.n, a.shape[1], needed)
