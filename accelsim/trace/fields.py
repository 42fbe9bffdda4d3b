"""Kinds of a record's fields: what is kept of a value that is given, and what a file may hold."""

from __future__ import annotations

import operator
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any, Literal, get_args

from accelsim.errors import TraceError
from accelsim.trace.plain import is_unicode

Kind = Literal["conv", "conv_transpose", "matmul"]
Pair = tuple[int, int]
Padding = Pair | tuple[int, int, int, int]

MAX_MASK_ELEMENTS = 1 << 33
"""Elements of one mask (1 GiB packed) or output, and the largest extent, stride or padding: no real tensor is larger,
and a mask of ones costs a file nothing."""


@dataclass(frozen=True)
class FieldKind:
    """What the values of a field have in common.

    Attributes:
        keep: what an operation keeps of a value; called with the operation's name, the field's, and the value. Raises
            TraceError if it cannot be one.
        fits: whether a value that was read from a file can be one.
    """

    keep: Callable[[str, str, Any], Any]
    fits: Callable[[object], bool]


def told(kind: FieldKind, means: str) -> dict[str, Any]:
    """Return what a record's field says of itself: its kind, and what it means, in the documentation."""
    return {"kind": kind, "means": means}


def is_count(value: object) -> bool:
    """Return whether a file's value is an integer from 0 on, of 63 bits."""
    return type(value) is int and 0 <= value < 1 << 63


def is_extent(value: object) -> bool:
    """Return whether a file's value is an integer from 0 on that a shape or geometry may have."""
    return type(value) is int and 0 <= value <= MAX_MASK_ELEMENTS


def _are_extents(value: object, counts: tuple[int, ...]) -> bool:
    return type(value) is tuple and len(value) in counts and all(map(is_extent, value))


def _text(name: str, field: str, value: str) -> str:
    if not isinstance(value, str) or not is_unicode(value):
        raise TraceError(f"{name!a}: {field} is {value!a}, expected a str of valid Unicode")
    return value


def _integer(name: str, field: str, value: int, least: int) -> int:
    try:
        number = operator.index(value)
    except TypeError:
        raise TraceError(f"{name}: {field} is {value!r}, expected an integer") from None
    if number < least:
        raise TraceError(f"{name}: {field} is {value!r}, expected at least {least}")
    return number


def _count_or_none(name: str, field: str, value: int | None) -> int | None:
    return None if value is None else _integer(name, field, value, 0)


def _pair(name: str, field: str, value: Pair, least: int) -> Pair:
    try:
        first, second = (operator.index(extent) for extent in value)
    except (TypeError, ValueError):
        raise TraceError(f"{name}: {field} is {value!r}, expected two integers") from None
    if min(first, second) < least:
        raise TraceError(f"{name}: {field} is {value!r}, expected two integers of at least {least}")
    return first, second


def _padding(name: str, field: str, value: Padding) -> Padding:
    try:
        sides = tuple(map(operator.index, value))
    except TypeError:
        sides = ()
    if len(sides) not in (2, 4) or min(sides) < 0:
        raise TraceError(
            f"{name}: {field} is {value!r}, expected (rows, columns) or (top, left, bottom, right), integers from 0 on"
        )
    top, left, *after = sides
    return (top, left) if after in ([], [top, left]) else (top, left, after[0], after[1])


def _kind(name: str, field: str, value: str) -> str:
    if value not in get_args(Kind):
        raise TraceError(f"{name}: {field} is {value!r}, expected one of {', '.join(get_args(Kind))}")
    return value


TEXT = FieldKind(_text, lambda value: type(value) is str)
COUNT = FieldKind(partial(_integer, least=0), is_count)
COUNT_OR_NONE = FieldKind(_count_or_none, is_count)  # a file always has it
NUMBER = FieldKind(partial(_integer, least=1), is_count)
FLAG = FieldKind(lambda name, field, value: bool(value), lambda value: type(value) is bool)
KIND = FieldKind(_kind, lambda value: type(value) is str and value in get_args(Kind))
EXTENTS_FROM_0 = FieldKind(partial(_pair, least=0), partial(_are_extents, counts=(2,)))
EXTENTS_FROM_1 = FieldKind(partial(_pair, least=1), partial(_are_extents, counts=(2,)))
PADDING = FieldKind(_padding, partial(_are_extents, counts=(2, 4)))
