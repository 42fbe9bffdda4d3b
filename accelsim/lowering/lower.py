"""An operation and a pass become masked GEMMs, a group and a stride phase at a time.

A convolution ties three tensors together: weight w [O, I / g, R, S], image x [N, I, H, W] and response
y [N, O, P, Q]. Each pass makes one of them from the other two, and a transposed convolution is the same triple with
x and y changing places; so three lowerings serve all passes of all operations.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from accelsim.lowering.bits import (
    Words,
    as_words,
    count_runs,
    gather_channels,
    gather_pixels,
    transpose_bits,
    words_for,
)
from accelsim.lowering.gemm import PASSES, Footprint, MaskedGemm, Pass, TensorKind
from accelsim.trace.bitmask import BitMask
from accelsim.trace.record import OpTrace

Offsets = np.ndarray[tuple[int], np.dtype[np.int64]]


def passes_of(op: OpTrace) -> tuple[Pass, ...]:
    """Return the passes that this operation ran."""
    ran = (True, "grad_output" in op.masks and op.needs_input_grad, "grad_output" in op.masks and op.needs_weight_grad)
    return tuple(name for name, happened in zip(PASSES, ran, strict=True) if happened)


def lower(op: OpTrace, which: Pass) -> Iterator[MaskedGemm]:
    """Yield the GEMMs of one pass, one in memory at a time: groups outermost, then stride phases.

    Raises:
        ValueError: the operation did not run this pass.
    """
    if which not in passes_of(op):
        raise ValueError(f"{op.name}, step {op.step}, call {op.call} did not run {which}")
    convolution = _Convolution(op)
    direct = op.kind != "conv_transpose"
    match which:
        case "forward":
            return convolution.response(which) if direct else convolution.image(which)
        case "input_grad":
            return convolution.image(which) if direct else convolution.response(which)
        case "weight_grad":
            return convolution.kernel(which)


@dataclass(frozen=True)
class _Tensor:
    mask: BitMask
    kind: TensorKind


class _Convolution:
    """The triple (w, x, y) of one operation, whatever the roles its tensors play."""

    def __init__(self, op: OpTrace) -> None:
        self.op = op
        second: TensorKind = "activation" if op.kind == "matmul" else "weight"
        self.w = _Tensor(op.masks["weight"], second)
        given = _Tensor(op.masks["input"], "activation")
        made = _Tensor(op.masks.get("grad_output", BitMask(op.output_shape, _none(op.output_shape))), "gradient")
        self.x, self.y = (given, made) if op.kind != "conv_transpose" else (made, given)
        self.groups = op.groups
        self.out_per_group = self.w.mask.shape[0] // op.groups
        self.in_per_group, self.taps_r, self.taps_s = self.w.mask.shape[1:]

    def response(self, which: Pass) -> Iterator[MaskedGemm]:
        """Make y from w and x: rows O, columns (n, p, q), reduction (r, s, i)."""
        n, _, height, width = self.x.mask.shape
        _, _, p, q = self.y.mask.shape
        taps_y, taps_x = self._tap_offsets(0), self._tap_offsets(1)
        x = transpose_bits(as_words(self.x.mask.bits), n, self.x.mask.shape[1], height * width)
        weights = self._weights_by_tap(self.w.mask)
        needed = self._needed(which)
        for group in range(self.groups):
            rows = slice(group * self.out_per_group, (group + 1) * self.out_per_group)
            channels = (group * self.in_per_group, self.in_per_group)
            yield MaskedGemm(
                m=self.out_per_group,
                n=n * p * q,
                k=self.in_per_group * self.taps_r * self.taps_s,
                a=weights[rows],
                b=gather_channels(
                    x, (n, height, width, self.x.mask.shape[1]), channels, (p, q), self.op.stride, taps_y, taps_x
                ),
                a_kind=self.w.kind,
                b_kind=self.x.kind,
                output_kind=self.y.kind if which == "input_grad" else "activation",
                footprint=_footprint(self.x.mask, channels, (p, q), self.op.stride[0], taps_y, "n"),
                needed=None if needed is None else _channel_rows(needed, rows.start, self.out_per_group),
                group=group,
            )

    def image(self, which: Pass) -> Iterator[MaskedGemm]:
        """Make x from w and y, per stride phase: rows I, columns (n, h, w) of the phase, reduction (r, s, o)."""
        n, depth, height, width = self.x.mask.shape
        _, o, p, q = self.y.mask.shape
        y = transpose_bits(as_words(self.y.mask.bits), n, o, p * q)
        weights = self._weights_by_input()
        needed = self._needed(which)
        for group in range(self.groups):
            for a in range(self.op.stride[0]):
                for b in range(self.op.stride[1]):
                    taps_r, offset_y = self._phase_taps(0, a)
                    taps_s, offset_x = self._phase_taps(1, b)
                    grid = (len(range(a, height, self.op.stride[0])), len(range(b, width, self.op.stride[1])))
                    if not (taps_r.size and taps_s.size and min(grid) and n):
                        continue
                    taps = (taps_r[:, None] * self.taps_s + taps_s).ravel()
                    channels = (group * self.out_per_group, self.out_per_group)
                    start = group * self.in_per_group
                    yield MaskedGemm(
                        m=self.in_per_group,
                        n=n * grid[0] * grid[1],
                        k=self.out_per_group * taps.size,
                        a=_concatenate(weights[group][:, taps], self.out_per_group),
                        b=gather_channels(y, (n, p, q, o), channels, grid, (1, 1), offset_y, offset_x),
                        a_kind=self.w.kind,
                        b_kind=self.y.kind,
                        output_kind="gradient" if which == "input_grad" else "activation",
                        footprint=_footprint(self.y.mask, channels, grid, 1, offset_y, "n"),
                        needed=None
                        if needed is None
                        else gather_pixels(
                            as_words(needed.bits),
                            (n, depth, height, width),
                            (start, self.in_per_group),
                            grid,
                            self.op.stride,
                            np.array([a]),
                            np.array([b]),
                        ),
                        group=group,
                        phase=(a, b),
                    )

    def kernel(self, which: Pass) -> Iterator[MaskedGemm]:
        """Make w from y and x: rows O, columns (r, s, i), reduction (n, p, q)."""
        n, _, p, q = self.y.mask.shape
        taps_y, taps_x = self._tap_offsets(0), self._tap_offsets(1)
        x = as_words(self.x.mask.bits)
        needed = self._needed(which)
        needed_rows = None if needed is None else self._weights_by_tap(needed)
        for group in range(self.groups):
            rows = slice(group * self.out_per_group, (group + 1) * self.out_per_group)
            channels = (group * self.in_per_group, self.in_per_group)
            yield MaskedGemm(
                m=self.out_per_group,
                n=self.in_per_group * self.taps_r * self.taps_s,
                k=n * p * q,
                a=_channel_rows(self.y.mask, rows.start, self.out_per_group),
                b=gather_pixels(x, self.x.mask.shape, channels, (p, q), self.op.stride, taps_y, taps_x),  # type: ignore[arg-type]
                a_kind=self.y.kind,
                b_kind=self.x.kind,
                output_kind=self.w.kind,
                footprint=_footprint(self.x.mask, channels, (p, q), self.op.stride[0], taps_y, "k"),
                needed=None if needed_rows is None else needed_rows[rows],
                group=group,
            )

    def _needed(self, which: Pass) -> BitMask | None:
        name = {"forward": "output_needed", "input_grad": "input_grad_needed", "weight_grad": "weight_grad_needed"}
        return self.op.masks.get(name[which])

    def _tap_offsets(self, axis: int) -> Offsets:
        """Source position of each tap at output position 0."""
        return np.arange((self.taps_r, self.taps_s)[axis]) * self.op.dilation[axis] - self.op.padding[axis]

    def _phase_taps(self, axis: int, phase: int) -> tuple[Offsets, Offsets]:
        """Taps that reach image positions congruent to `phase`, and the response position each reads first."""
        reach = phase - self._tap_offsets(axis)
        taps = np.flatnonzero(reach % self.op.stride[axis] == 0)
        return taps, reach[taps] // self.op.stride[axis]

    def _weights_by_tap(self, mask: BitMask) -> Words:
        """Rows O, bits ordered (r, s, i)."""
        o, i, r, s = mask.shape
        return _rows(transpose_bits(as_words(mask.bits), o, i, r * s), o, i * r * s)

    def _weights_by_input(self) -> Words:
        """Words [groups, I / g, R·S, words]: for each input channel and tap, the group's output channels."""
        taps = self.taps_r * self.taps_s
        rows = self.in_per_group * taps
        turned = transpose_bits(as_words(self.w.mask.bits), self.groups, self.out_per_group, rows)
        return _rows(turned, self.groups * rows, self.out_per_group).reshape(self.groups, self.in_per_group, taps, -1)


def _none(shape: tuple[int, ...]) -> bytes:
    return bytes(-(-int(np.prod(shape)) // 8))


def _rows(bits: Words, rows: int, cols: int) -> Words:
    """Cut a bit string into rows that each start at a word."""
    return gather_pixels(bits, (1, rows, 1, cols), (0, rows), (1, cols), (1, 1), np.zeros(1, int), np.zeros(1, int))


def _concatenate(pieces: Words, bits: int) -> Words:
    """Join each row's pieces of `bits` bits: words [rows, pieces, words] to [rows, words]."""
    rows, count, words = pieces.shape
    flat = np.append(np.ascontiguousarray(pieces).ravel(), np.uint64(0))
    joined = gather_channels(
        flat, (rows, 1, count, words * 64), (0, bits), (1, 1), (1, 1), np.zeros(1, int), np.arange(count)
    )
    return joined.reshape(rows, words_for(count * bits))


def _channel_rows(mask: BitMask, first: int, count: int) -> Words:
    """Rows of channels, bits ordered (n, h, w)."""
    shape: tuple[int, int, int, int] = mask.shape  # type: ignore[assignment]
    zero = np.zeros(1, int)
    return gather_pixels(as_words(mask.bits), shape, (first, count), shape[2:], (1, 1), zero, zero)  # type: ignore[arg-type]


def _footprint(
    mask: BitMask, channels: tuple[int, int], grid: tuple[int, int], step: int, offset_y: Offsets, along: str
) -> Footprint:
    """Find the source lines behind each grid line, and how many non-zeros each holds."""
    n, depth, height, width = mask.shape
    counts = count_runs(as_words(mask.bits), n * depth * height, width).reshape(n, depth, height)
    per_line = counts[:, channels[0] : channels[0] + channels[1]].sum(axis=1).ravel()
    y = np.arange(grid[0]) * step
    first = np.clip(y + offset_y.min(), 0, height)
    last = np.clip(y + offset_y.max() + 1, 0, height)
    image = np.arange(n)[:, None] * height
    return Footprint(
        lines=n * height,
        channels=channels[1],
        line_elements=width * channels[1],
        line_nonzeros=per_line,
        grid_lines=n * grid[0],
        grid_width=grid[1],
        first=(image + first).ravel(),
        last=(image + np.maximum(first, last)).ravel(),
        along="n" if along == "n" else "k",
    )
