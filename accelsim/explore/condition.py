"""Conditions on a design, such as `array.rows == array.cols`: read by Python's grammar, worked out here.

Only comparisons, `and`, `or`, `not`, `in`, arithmetic on numbers, constants, lists and hardware keys are known;
nothing is ever run.
"""

from __future__ import annotations

import ast
import operator
from collections.abc import Callable
from dataclasses import dataclass
from difflib import get_close_matches
from typing import Any

Lookup = Callable[[str], Any]
_MOST_CHARACTERS = 1000
_WORDS = {"true": True, "false": False, "null": None}
_COMPARED: dict[type[ast.cmpop], Callable[[Any, Any], Any]] = {
    ast.Eq: operator.eq,
    ast.NotEq: operator.ne,
    ast.Lt: operator.lt,
    ast.LtE: operator.le,
    ast.Gt: operator.gt,
    ast.GtE: operator.ge,
    ast.In: lambda item, many: item in many,
    ast.NotIn: lambda item, many: item not in many,
}
_COMPUTED: dict[type[ast.operator], Callable[[Any, Any], Any]] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.Div: operator.truediv,
    ast.FloorDiv: operator.floordiv,
    ast.Mod: operator.mod,
}


@dataclass(frozen=True)
class Condition:
    """A condition that has been read.

    Attributes:
        text: as it was written.
    """

    text: str
    tree: ast.expr

    @classmethod
    def read(cls, text: str, keys: frozenset[str]) -> Condition:
        """Read a condition.

        Args:
            keys: dotted names of the hardware keys that it may mention.

        Raises:
            ValueError: it is no condition, or mentions an unknown key; says what would be right.
        """
        if len(text) > _MOST_CHARACTERS:
            raise ValueError(f"is longer than {_MOST_CHARACTERS} characters")
        try:
            tree = ast.parse(text.strip(), mode="eval").body
            _check(tree, keys)
        except (SyntaxError, RecursionError, MemoryError):
            raise ValueError("is no condition, expected one such as array.rows == array.cols") from None
        return cls(text, tree)

    def holds(self, lookup: Lookup) -> bool:
        """Return whether it holds where `lookup` gives the keys' values.

        Raises:
            ValueError: it comes to no truth value, or cannot be worked out (null compared with a number).
        """
        try:
            value = _value(self.tree, lookup)
        except (TypeError, ZeroDivisionError, OverflowError) as error:
            raise ValueError(f"cannot be worked out: {error}") from None
        if not isinstance(value, bool):
            raise ValueError(f"comes to {value!r}, expected true or false")
        return value


def _check(node: ast.expr, keys: frozenset[str]) -> None:
    """Raise ValueError where a condition has what is not known."""
    match node:
        case ast.BoolOp(values=parts) | ast.List(elts=parts) | ast.Tuple(elts=parts):
            pass
        case ast.Compare(left=left, ops=kinds, comparators=others) if all(type(kind) in _COMPARED for kind in kinds):
            parts = [left, *others]
        case ast.BinOp(left=left, op=kind, right=right) if type(kind) in _COMPUTED:
            parts = [left, right]
        case ast.UnaryOp(op=ast.Not() | ast.USub(), operand=operand):
            parts = [operand]
        case ast.Constant(value=bool() | int() | float() | str() | None):
            parts = []
        case ast.Name() | ast.Attribute():
            name = _dotted(node)
            if name not in keys and name not in _WORDS:
                close = get_close_matches(name, sorted(keys), 1)
                meant = f"did you mean {close[0]!r}?" if close else f"expected a hardware key, or quotes: '{name}'"
                raise ValueError(f"mentions {name!r}, which is no hardware key; {meant}")
            parts = []
        case _:
            raise ValueError(
                f"has {ast.unparse(node)!r} in it, expected hardware keys, numbers, quoted text, comparisons, and, or,"
                " not, in, + - * / // %"
            )
    for part in parts:
        _check(part, keys)


def _dotted(node: ast.expr) -> str:
    match node:
        case ast.Attribute(value=inner, attr=name):
            return f"{_dotted(inner)}.{name}"
        case ast.Name(id=name):
            return name
        case _:
            return ast.unparse(node)


def _value(node: ast.expr, lookup: Lookup) -> Any:
    match node:
        case ast.BoolOp(op=kind, values=parts):
            stops_at = isinstance(kind, ast.Or)
            return stops_at if any(_truth(part, lookup) == stops_at for part in parts) else not stops_at
        case ast.Compare(left=left, ops=kinds, comparators=others):
            values = [_value(part, lookup) for part in (left, *others)]
            pairs = zip(kinds, values[:-1], values[1:], strict=True)
            return all(_COMPARED[type(kind)](one, two) for kind, one, two in pairs)
        case ast.BinOp(left=left, op=kind, right=right):
            return _COMPUTED[type(kind)](_number(left, lookup), _number(right, lookup))
        case ast.UnaryOp(op=ast.Not(), operand=operand):
            return not _truth(operand, lookup)
        case ast.UnaryOp(operand=operand):
            return -_number(operand, lookup)
        case _:
            return _given(node, lookup)


def _given(node: ast.expr, lookup: Lookup) -> Any:
    """Return the value of a constant, a list or a key."""
    match node:
        case ast.List(elts=parts) | ast.Tuple(elts=parts):
            return [_value(part, lookup) for part in parts]
        case ast.Constant(value=value):
            return value
        case _:
            name = _dotted(node)
            return _WORDS[name] if name in _WORDS else lookup(name)


def _truth(node: ast.expr, lookup: Lookup) -> bool:
    value = _value(node, lookup)
    if not isinstance(value, bool):
        raise TypeError(f"{ast.unparse(node)} is {value!r}, expected true or false")
    return value


def _number(node: ast.expr, lookup: Lookup) -> int | float:
    value = _value(node, lookup)
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise TypeError(f"{ast.unparse(node)} is {value!r}, expected a number")
    return value
