"""What an operation is to a recorder: something to record, to take apart, to count, or nothing that multiplies."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal

from accelsim.tracing import operands as ops
from accelsim.tracing.composites import Composites, has_decomposition
from accelsim.tracing.unlowered import multiplies

Role = Literal["convolution", "convolution_backward", "product", "added_product", "composite", "unlowered", "other"]


class Roles:
    """Tells operations' roles, each looked up once.

    Args:
        composites: tells which operations PyTorch runs as several others.
    """

    def __init__(self, composites: Composites) -> None:
        self._composites = composites
        self._known: dict[Any, Role] = {}

    def of(self, function: Any, args: Sequence[Any], kwargs: dict[str, Any]) -> Role:
        """Return an operation's role, given what it is called with."""
        role = self._known.get(function)
        if role is None:
            role = self._known[function] = _find(function)
        if role == "composite" and not self._composites.decomposes(function, args, kwargs):
            return _counted(function)
        return role


def _find(function: Any) -> Role:
    packet = getattr(function, "overloadpacket", function)
    if packet in ops.CONVOLUTIONS:
        return "convolution"
    if packet in ops.CONVOLUTION_BACKWARDS:
        return "convolution_backward"
    if packet in ops.PRODUCTS:
        return "product"
    if packet in ops.ADDED_PRODUCTS:
        return "added_product"
    return "composite" if has_decomposition(function) else _counted(function)


def _counted(function: Any) -> Role:
    return "unlowered" if multiplies(function) else "other"
