"""An operation of a tensor subclass (DTensor, a quantised tensor) while it runs as operations on ordinary tensors.

Autograd sees the subclass alone: what requires grad, which node belongs to the operation, and in which form its
backward runs follow from the subclass's arguments, the masks from those of the ordinary tensors.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch


@dataclass
class Unfolding:
    """A subclass's operation.

    Attributes:
        function, args: the operation.
        begins: whether it has not come to the subclass yet.
        linked: whether a product inside it stands for it.
    """

    function: Any
    args: Sequence[Any]
    begins: bool = True
    linked: bool = False

    @property
    def kind(self) -> str:
        """What the subclass is called."""
        kinds = [type(arg).__name__ for arg in self.args if isinstance(arg, torch.Tensor)]
        return f"tensor subclass ({next((kind for kind in kinds if kind not in ('Tensor', 'Parameter')), 'unknown')})"

    def arguments_of(self, function: Any, args: Sequence[Any]) -> Sequence[Any]:
        """Return an inner operation's arguments as autograd knows them: the subclass's, if that runs the same."""
        return self.args if function is self.function else args

    def link(self) -> bool:
        """Let a product stand for the operation; return whether it is the first one."""
        first, self.linked = not self.linked, True
        return first
