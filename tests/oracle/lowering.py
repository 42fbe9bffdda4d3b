"""The lowering as plain loops over boolean arrays, straight from the definition of each pass; slow, for tests.

It shares nothing with the bit kernels: A, B and the output mask are filled element by element.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import product

import numpy as np
from numpy.typing import NDArray

from accelsim.lowering.gemm import Pass, TensorKind
from accelsim.trace.record import OpTrace

Mask = NDArray[np.bool_]


@dataclass(frozen=True)
class PlainGemm:
    """Boolean A [M, K], B [K, N], and the outputs that must be computed [M, N]."""

    a: Mask
    b: Mask
    needed: Mask
    a_kind: TensorKind
    b_kind: TensorKind


def plain_lower(op: OpTrace, which: Pass) -> Iterator[PlainGemm]:
    """Yield the GEMMs of one pass in the order of `lower`."""
    weight, x = op.weight, op.input
    y = op.grad_output if op.grad_output is not None else np.zeros(op.output_shape, bool)
    w_kind: TensorKind = "activation" if op.kind == "matmul" else "weight"
    x_kind: TensorKind = "activation"
    y_kind: TensorKind = "gradient"
    makes = {"forward": "y", "input_grad": "x", "weight_grad": "w"}[which]
    masks = {"forward": op.output_needed, "input_grad": op.input_grad_needed, "weight_grad": op.weight_grad_needed}
    needed = masks[which]
    if op.kind == "conv_transpose":
        x, y, x_kind, y_kind = y, x, y_kind, x_kind
        makes = {"y": "x", "x": "y", "w": "w"}[makes]
    (n, _, h, w), (_, _, p, q) = x.shape, y.shape
    o, i, r, s = weight.shape
    o //= op.groups
    (sh, sw), (ph, pw), (dh, dw) = op.stride, op.padding[:2], op.dilation
    for g in range(op.groups):
        gw, gx, gy = weight[g * o : (g + 1) * o], x[:, g * i : (g + 1) * i], y[:, g * o : (g + 1) * o]
        if makes == "y":
            a = np.array([[gw[m, c, u, v] for u, v, c in product(range(r), range(s), range(i))] for m in range(o)])
            b = np.zeros((r * s * i, n * p * q), bool)
            for k, (u, v, c) in enumerate(product(range(r), range(s), range(i))):
                for j, (nn, pp, qq) in enumerate(product(range(n), range(p), range(q))):
                    hh, ww = pp * sh + u * dh - ph, qq * sw + v * dw - pw
                    b[k, j] = 0 <= hh < h and 0 <= ww < w and gx[nn, c, hh, ww]
            want = np.ones((n, o, p, q), bool) if needed is None else needed[:, g * o : (g + 1) * o]
            yield PlainGemm(a, b, want.transpose(1, 0, 2, 3).reshape(o, -1), w_kind, x_kind)
        elif makes == "w":
            a = gy.transpose(1, 0, 2, 3).reshape(o, -1)
            b = np.zeros((n * p * q, r * s * i), bool)
            for j, (u, v, c) in enumerate(product(range(r), range(s), range(i))):
                for k, (nn, pp, qq) in enumerate(product(range(n), range(p), range(q))):
                    hh, ww = pp * sh + u * dh - ph, qq * sw + v * dw - pw
                    b[k, j] = 0 <= hh < h and 0 <= ww < w and gx[nn, c, hh, ww]
            want = np.ones((o, i, r, s), bool) if needed is None else needed[g * o : (g + 1) * o]
            yield PlainGemm(a, b, want.transpose(0, 2, 3, 1).reshape(o, -1), y_kind, x_kind)
        else:
            for pa, pb in product(range(sh), range(sw)):
                taps = [
                    (u, v)
                    for u, v in product(range(r), range(s))
                    if (pa + ph - u * dh) % sh == 0 and (pb + pw - v * dw) % sw == 0
                ]
                pixels = list(product(range(n), range(pa, h, sh), range(pb, w, sw)))
                if not taps or not pixels:
                    continue
                a = np.array([[gw[m, c, u, v] for (u, v), m in product(taps, range(o))] for c in range(i)])
                b = np.zeros((len(taps) * o, len(pixels)), bool)
                for k, ((u, v), m) in enumerate(product(taps, range(o))):
                    for j, (nn, hh, ww) in enumerate(pixels):
                        pp, qq = (hh + ph - u * dh) // sh, (ww + pw - v * dw) // sw
                        b[k, j] = 0 <= pp < p and 0 <= qq < q and gy[nn, m, pp, qq]
                want = np.ones((n, i, h, w), bool) if needed is None else needed[:, g * i : (g + 1) * i]
                want = want.transpose(1, 0, 2, 3)[:, :, pa::sh, pb::sw].reshape(i, -1)
                yield PlainGemm(a, b, want, w_kind, y_kind)
