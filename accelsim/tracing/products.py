"""Which gradient a matrix product inside an autograd node computes, and which of its operands is the output's gradient.

For Y = A B (A [.., M, K], B [.., K, N]) PyTorch's backward runs, each only if wanted,

    dA = dY Bᵀ    or, where A was stored column by column,    (B dYᵀ)ᵀ
    dB = Aᵀ dY    or, where B was stored column by column,    (dYᵀ A)ᵀ

(torch/csrc/autograd/FunctionsManual.cpp, mm_mat1_grad and mm_mat2_grad; batched products use the first form only).
Which of the two are wanted follows from the node's edges. They run in the alphabetical order of the operands' names in
the operator's schema (tools/autograd/load_derivatives.py sorts them): dB first for `mm(self, mat2)`, dA first for
`addmm(self, mat1, mat2)`. So neither shapes nor addresses decide; shapes that do not fit show that the product is
something else.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import torch

Operands = Sequence[torch.Tensor]


class _Form(NamedTuple):
    left: tuple[int, int]
    right: tuple[int, int]
    gradient_is_left: bool
    transposed: bool


@dataclass(frozen=True)
class Product:
    """What must be remembered of Y = A B to recognise its backward; holds no tensor.

    Attributes:
        order: the order in which its two gradients run: True is that of A, False that of B.
    """

    order: tuple[bool, bool]
    _position: int
    _first: _Form
    _second: _Form

    @classmethod
    def of(cls, function: Any, a: torch.Tensor, b: torch.Tensor, position: int) -> Product:
        """Take shapes and storage orders from the forward's operands.

        Args:
            function: the operator.
            a, b: its operands.
            position: place of `a` among the operator's arguments; `b` is the next one.
        """
        names = [argument.name for argument in function._schema.arguments[position : position + 2]]
        m, k = a.shape[-2:]
        n = b.shape[-1]
        return cls(
            (True, False) if names[0] < names[1] else (False, True),
            position,
            _Form((k, n), (n, m), False, True) if _by_columns(a) else _Form((m, n), (n, k), True, False),
            _Form((n, m), (m, k), True, True) if _by_columns(b) else _Form((k, m), (m, n), False, False),
        )

    def wanted(self, node: Any) -> list[bool]:
        """Return which gradients the operator's node, which executes, computes, in the order in which they run."""
        edges = [edge for edge, _ in node.next_functions[self._position : self._position + 2]]
        return [first for first in self.order if _executes(edges[0 if first else 1])]

    def gradient_in(self, shown: Operands, operands: Operands, first: bool) -> torch.Tensor | None:
        """Return dY, [.., M, N], a view of an operand of the product left x right that computes the gradient of A or B.

        Args:
            shown: left and right as autograd knows them.
            operands: what is multiplied for them, the same but for tensor subclasses.
            first: whether the gradient is that of A.

        Returns:
            None if the shapes show that the product is something else.
        """
        form = self._first if first else self._second
        if tuple(tuple(operand.shape[-2:]) for operand in shown) != (form.left, form.right):
            return None
        gradient = operands[0 if form.gradient_is_left else 1]
        return gradient.transpose(-2, -1) if form.transposed else gradient


def _by_columns(matrix: torch.Tensor) -> bool:
    return matrix.dim() == 2 and matrix.stride(0) == 1 and matrix.stride(1) == matrix.size(0)


def _executes(node: Any) -> bool:
    """Whether the backward pass that runs will come to a node, None where an input needs no gradient."""
    if node is None:
        return False
    try:
        return bool(torch._C._will_engine_execute_node(node))
    except RuntimeError:  # a leaf whose gradient torch.autograd.grad returns
        return True
