"""An operation and a pass become masked GEMMs, a group and a stride phase at a time.

A convolution ties three tensors together: weight w [O, I / g, R, S], image x [N, I, H, W] and response
y [N, O, P, Q]. Each pass makes one of them from the other two, and a transposed convolution is the same triple with
x and y changing places; so three lowerings serve all passes of all operations.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from accelsim.lowering.bits import Words, full_rows, words_for
from accelsim.lowering.channels import stride_phase
from accelsim.lowering.footprint import footprint
from accelsim.lowering.gemm import PASSES, MaskedGemm, Pass
from accelsim.lowering.inside import Offsets, Taps, dense_columns, tap_rows
from accelsim.lowering.tensor import Tensor
from accelsim.lowering.weights import Weights
from accelsim.trace.bitmask import BitMask
from accelsim.trace.record import OpTrace

_STACK_WORDS = 1 << 19  # of operand B: 4 MiB
_Columns = tuple[Words, NDArray[np.int32]]


def passes_of(op: OpTrace) -> tuple[Pass, ...]:
    """Return the passes that this operation ran."""
    ran = (True, "grad_output" in op.masks and op.needs_input_grad, "grad_output" in op.masks and op.needs_weight_grad)
    return tuple(name for name, happened in zip(PASSES, ran, strict=True) if happened)


def lower(op: OpTrace, which: Pass) -> Iterator[MaskedGemm]:
    """Yield the GEMMs of one pass, one in memory at a time: groups outermost, then stride phases.

    Raises:
        ValueError: the operation did not run this pass.
    """
    return Lowering(op).gemms(which)


class Lowering:
    """The GEMMs of one operation; what its passes share is made once and kept: up to two copies of its packed masks."""

    def __init__(self, op: OpTrace) -> None:
        self.op = op
        self.groups = op.groups
        self.w = Weights(op.masks["weight"], "activation" if op.kind == "matmul" else "weight", op.groups)
        given = Tensor(op.masks["input"], "activation")
        made = Tensor(op.masks.get("grad_output", BitMask(op.output_shape, _none(op.output_shape))), "gradient")
        self.x, self.y = (given, made) if op.kind != "conv_transpose" else (made, given)

    def gemms(self, which: Pass, stacked: bool = False) -> Iterator[MaskedGemm]:
        """Yield the GEMMs of one pass, as `lower` does.

        Args:
            stacked: several groups at a time, a few MiB of them, which are many small GEMMs otherwise. Then of several
                stride phases each yields some groups before the next does.

        Raises:
            ValueError: the operation did not run this pass.
        """
        op = self.op
        if which not in passes_of(op):
            raise ValueError(f"{op.name}, step {op.step}, call {op.call} did not run {which}")
        direct = op.kind != "conv_transpose"
        if not self.x.images:  # an empty batch
            return iter(())
        match which:
            case "forward":
                return self._response(which, stacked) if direct else self._image(which, stacked)
            case "input_grad":
                return self._image(which, stacked) if direct else self._response(which, stacked)
            case "weight_grad":
                return self._kernel(stacked)

    def _response(self, which: Pass, stacked: bool) -> Iterator[MaskedGemm]:
        """Make y from w and x: rows O, columns (n, p, q), reduction (r, s, i)."""
        x, taps, count = self.x, self._taps(), self.w.inputs
        pixels = x.pixels() if not x.dense and x.in_words(count, taps) else None
        dense = dense_columns(taps, x.images, count) if x.dense else None
        needed = self._needed(which, self.y)
        n, k = x.images * taps.grid[0] * taps.grid[1], count * taps.count
        for group, stack in self._stacks(n * words_for(k), stacked):
            first, row = group * count, group * self.w.out
            b, b_of = dense or (x.columns(pixels, first, count, taps, stack), None)
            yield MaskedGemm(
                m=self.w.out,
                n=n,
                k=k,
                a=self.w.by_tap(group, stack),
                b=b,
                b_of=b_of,
                a_kind=self.w.kind,
                b_kind=x.kind,
                output_kind=self.y.kind if which == "input_grad" else "activation",
                footprint=footprint(x.line_nonzeros(first, count, stack), x.images, count, taps, "n"),
                needed=None if needed is None else needed.rows[row : row + self.w.out * stack],
                group=group,
                groups=self.groups,
                tensor_densities=(self.w.mask.density, x.mask.density),
                stack=stack,
            )

    def _image(self, which: Pass, stacked: bool) -> Iterator[MaskedGemm]:
        """Make x from w and y, per stride phase: rows I, columns (n, h, w) of the phase, reduction (r, s, o)."""
        y, count = self.y, self.w.out
        phases = list(self._phases())
        pixels = y.pixels() if not y.dense and any(y.in_words(count, part.taps) for part in phases) else None
        dense = [dense_columns(part.taps, y.images, count) if y.dense else None for part in phases]
        needed = self._needed(which, self.x)
        each = (y.images * p.taps.grid[0] * p.taps.grid[1] * words_for(count * p.taps.count) for p in phases)
        for group, stack in self._stacks(max(each, default=0), stacked):
            first, row = group * count, group * self.w.inputs
            for part, columns in zip(phases, dense, strict=True):
                taps = part.taps
                whole = pixels if y.in_words(count, taps) else None
                b, b_of = columns or (y.columns(whole, first, count, taps, stack), None)
                yield MaskedGemm(
                    m=self.w.inputs,
                    n=y.images * taps.grid[0] * taps.grid[1],
                    k=count * taps.count,
                    a=self.w.by_input(group, part.tap_indices, stack),
                    b=b,
                    b_of=b_of,
                    a_kind=self.w.kind,
                    b_kind=y.kind,
                    output_kind="gradient" if which == "input_grad" else "activation",
                    footprint=footprint(y.line_nonzeros(first, count, stack), y.images, count, taps, "n"),
                    needed=None if needed is None else self._phase_rows(needed, row, stack, part.phase),
                    group=group,
                    groups=self.groups,
                    tensor_densities=(self.w.mask.density, y.mask.density),
                    phase=part.phase,
                    stack=stack,
                )

    def _kernel(self, stacked: bool) -> Iterator[MaskedGemm]:
        """Make w from y and x: rows O, columns (r, s, i), reduction (n, p, q)."""
        x, y, taps, count = self.x, self.y, self._taps(), self.w.inputs
        k = x.images * taps.grid[0] * taps.grid[1]
        dense: _Columns | None = None
        if x.dense:
            dense = tap_rows(taps, x.images), np.repeat(np.arange(taps.count, dtype=np.int32), count)
        mask = self.op.masks.get("weight_grad_needed")
        needed = None if mask is None else self.w if mask == self.w.mask else Weights(mask, self.w.kind, self.groups)
        for group, stack in self._stacks(count * taps.count * words_for(k), stacked):
            first, row = group * count, group * self.w.out
            b, b_of = dense or (x.taps(first, count, taps, stack), None)
            yield MaskedGemm(
                m=self.w.out,
                n=count * taps.count,
                k=k,
                a=full_rows(stack * self.w.out, k) if y.dense else y.rows[row : row + self.w.out * stack],
                b=b,
                b_of=b_of,
                a_kind=y.kind,
                b_kind=x.kind,
                output_kind=self.w.kind,
                footprint=footprint(x.line_nonzeros(first, count, stack), x.images, count, taps, "k"),
                needed=None if needed is None else needed.by_tap(group, stack),
                group=group,
                groups=self.groups,
                tensor_densities=(y.mask.density, x.mask.density),
                stack=stack,
            )

    def _stacks(self, words: int, stacked: bool) -> Iterator[tuple[int, int]]:
        """Yield the first group and the number of groups of each stack, given the words of operand B of one group."""
        most = max(1, _STACK_WORDS // max(words, 1)) if stacked else 1
        for first in range(0, self.groups, most):
            yield first, min(most, self.groups - first)

    def _needed(self, which: Pass, made: Tensor) -> Tensor | None:
        """What must be computed of the tensor that a pass makes; after a ReLU it is that tensor's own non-zeros."""
        mask = self.op.masks.get("output_needed" if which == "forward" else "input_grad_needed")
        if mask is None or mask == made.mask:
            return None if mask is None else made
        return Tensor(mask, made.kind)

    def _taps(self) -> Taps:
        """Where each response position reads the image."""
        return Taps(self.x.image, self.y.image, self.op.stride, self._tap_offsets(0), self._tap_offsets(1))

    def _tap_offsets(self, axis: int) -> Offsets:
        """Source position of each tap at output position 0."""
        taps = (self.w.taps_r, self.w.taps_s)[axis]
        return np.arange(taps) * self.op.dilation[axis] - self.op.padding[axis]

    def _phases(self) -> Iterator[_Phase]:
        """Yield the stride phases that some tap reaches."""
        rows, columns = (self._reached_phases(axis) for axis in (0, 1))
        for a, height, taps_r, offset_y in rows:
            for b, width, taps_s, offset_x in columns:
                taps = (taps_r[:, None] * self.w.taps_s + taps_s).ravel()
                yield _Phase((a, b), taps, Taps(self.y.image, (height, width), (1, 1), offset_y, offset_x))

    def _reached_phases(self, axis: int) -> list[tuple[int, int, Offsets, Offsets]]:
        """Phases along an axis, with their extent and taps; a stride far beyond the image has no more than pixels."""
        extent, stride = self.x.image[axis], self.op.stride[axis]
        phases = ((a, len(range(a, extent, stride)), *self._phase_taps(axis, a)) for a in range(min(stride, extent)))
        return [phase for phase in phases if phase[2].size]

    def _phase_taps(self, axis: int, phase: int) -> tuple[Offsets, Offsets]:
        """Taps that reach image positions congruent to `phase`, and the response position each reads first."""
        reach = phase - self._tap_offsets(axis)
        taps = np.flatnonzero(reach % self.op.stride[axis] == 0)
        return taps, reach[taps] // self.op.stride[axis]

    def _phase_rows(self, needed: Tensor, first: int, stack: int, phase: tuple[int, int]) -> Words:
        """A row per channel of some groups, the pixels of one stride phase."""
        rows = needed.rows[first : first + self.w.inputs * stack]
        if self.op.stride == (1, 1):
            return rows
        return stride_phase(rows, needed.images, needed.image, self.op.stride, phase)


@dataclass(frozen=True)
class _Phase:
    """Image positions congruent to `phase` modulo the stride, the taps that reach them, and what these read of y."""

    phase: tuple[int, int]
    tap_indices: NDArray[np.int64]
    taps: Taps


def _none(shape: tuple[int, ...]) -> bytes:
    return bytes(-(-int(np.prod(shape)) // 8))
