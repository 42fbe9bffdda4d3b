"""Which gradient a matrix product inside an autograd node computes, and which of its operands is the output's gradient.

For Y = A B (A [.., M, K], B [.., K, N]) PyTorch's backward runs, in this order and each only if wanted,

    dA = dY Bᵀ    or, where A was stored column by column,    (B dYᵀ)ᵀ
    dB = Aᵀ dY    or, where B was stored column by column,    (dYᵀ A)ᵀ

(torch/csrc/autograd/FunctionsManual.cpp, mm_mat1_grad and mm_mat2_grad; batched products use the first form only).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import torch


class Found(NamedTuple):
    """A recognised backward product."""

    first: bool
    """Whether it computes the gradient of the first operand, A."""
    grad_output: torch.Tensor
    """dY, [.., M, N], a view of one of the product's operands."""


class _Form(NamedTuple):
    left: tuple[int, int]
    right: tuple[int, int]
    gradient_is_left: bool
    transposed: bool
    saved_pointer: int


@dataclass(frozen=True)
class Product:
    """What must be remembered of Y = A B to recognise its backward; holds no tensor."""

    first: _Form
    second: _Form

    @classmethod
    def of(cls, a: torch.Tensor, b: torch.Tensor) -> Product:
        """Take shapes and storage orders from the forward's operands."""
        m, k = a.shape[-2:]
        n = b.shape[-1]
        pa, pb = a.data_ptr(), b.data_ptr()
        return cls(
            first=_Form((k, n), (n, m), False, True, pb) if _by_columns(a) else _Form((m, n), (n, k), True, False, pb),
            second=_Form((n, m), (m, k), True, True, pa) if _by_columns(b) else _Form((k, m), (m, n), False, False, pa),
        )

    def recognise(self, left: torch.Tensor, right: torch.Tensor, wanted: list[bool]) -> Found | None:
        """Return what the product left x right inside this operation's autograd node is, None if it is something else.

        Args:
            left, right: the product's operands.
            wanted: the gradients still to come, in PyTorch's order: True is that of A, False that of B.
        """
        shapes = tuple(left.shape[-2:]), tuple(right.shape[-2:])
        fitting = [first for first in wanted if (self._form(first).left, self._form(first).right) == shapes]
        if len(fitting) > 1:  # square: the operand that was saved tells, where no hook has replaced it
            saved = [first for first in fitting if self._saved(first, left, right)]
            fitting = saved if len(saved) == 1 else fitting
        if not fitting:
            return None
        form = self._form(fitting[0])
        gradient = left if form.gradient_is_left else right
        return Found(fitting[0], gradient.transpose(-2, -1) if form.transposed else gradient)

    def _form(self, first: bool) -> _Form:
        return self.first if first else self.second

    def _saved(self, first: bool, left: torch.Tensor, right: torch.Tensor) -> bool:
        form = self._form(first)
        return (right if form.gradient_is_left else left).data_ptr() == form.saved_pointer


def _by_columns(matrix: torch.Tensor) -> bool:
    return matrix.dim() == 2 and matrix.stride(0) == 1 and matrix.stride(1) == matrix.size(0)
