"""How kernels are compiled: Numba, released GIL, cached on disk where a disk allows it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, ParamSpec, TypeVar, cast

import numba
from numba.core import types
from numba.extending import intrinsic

P = ParamSpec("P")
T = TypeVar("T")


def kernel(function: Callable[P, T]) -> Callable[P, T]:
    """Compile a function to machine code on its first call, and cache the code beside it or in the user's cache.

    Where neither directory can be written, it is compiled afresh in each process.
    """
    try:
        compiled: Callable[P, T] = numba.njit(cache=True, nogil=True, error_model="numpy")(function)
    except RuntimeError:  # numba: "no locator available", every cache directory is read-only
        compiled = numba.njit(nogil=True, error_model="numpy")(function)
    return compiled


@intrinsic
def _popcount(typing_context: Any, value: Any) -> Any:
    if not isinstance(value, types.Integer):
        return None

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        return builder.ctpop(arguments[0])

    return value(value), generate


popcount = cast("Callable[[Any], Any]", _popcount)
"""Count the set bits of an unsigned integer, in its own width: LLVM turns it into vector popcounts. For kernels."""
