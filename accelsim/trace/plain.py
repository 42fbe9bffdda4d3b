"""Plain values from and to bytes nobody vouches for: what a trace's pickles may hold, and how much of it.

    values      str (valid Unicode), int (64 bits), float, bool, None, bytes, list, tuple, dict
    keys        str or int
    bounds      MAX_VALUES values in a pickle (keys count, and what stands in several places counts in each), MAX_DEPTH
                containers inside each other, MAX_VALUE_BYTES bytes

So a pickle takes at most some 400 MB of memory and some seconds to read, whatever it holds. Keys are only of types
whose hashes nobody can make collide.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterable
from math import isfinite
from typing import Any

MAX_VALUES = 1 << 22
MAX_DEPTH = 32
MAX_VALUE_BYTES = 1 << 26
"""Size of one pickle; that of a record's body is bounded by what its header declares."""


class FormatError(Exception):
    """Why bytes are not what the grammar says; the reader adds file and record to make a `TraceError` of it."""


_ATOMS = frozenset((float, bool, bytes, type(None)))


class _Decoder:
    """Builds the value of a pickle from the operations that plain values need, and from no other.

    Python's own unpickler is not used on files: it would build a dict of keys that collide, or millions of small dicts,
    before anything could be checked. Every other operation (globals, calls, persistent and extension references, memo
    slots of one's choice) is refused.

    Attributes:
        at: position after what was read so far.
    """

    def __init__(self, data: bytes) -> None:
        self.data, self.at = data, 0
        self._stack: list[Any] = []
        self._marks: list[int] = []
        self._memo: list[Any] = []

    def value(self) -> Any:
        """Return the value of the pickle that the data starts with."""
        data, values = self.data, 0
        for _ in range(_MOST_OPERATIONS_PER_VALUE * MAX_VALUES):
            if self.at >= len(data):
                raise FormatError("one of its pickles has no end")
            operation = data[self.at]
            self.at += 1
            if operation == _STOP:
                (value,) = self._stack
                return value
            push, act = _PUSHES.get(operation), _ACTIONS.get(operation)
            if push is not None:
                values += 1
                if values > MAX_VALUES:
                    break
                self._stack.append(push(self))
            elif act is not None:
                act(self)
            else:
                raise FormatError(f"it holds pickle operation 0x{operation:02x}, which plain data does not need")
        raise FormatError(f"one of its pickles has more than {MAX_VALUES} values")

    def number(self, layout: struct.Struct) -> Any:
        """Read a number."""
        (number,) = layout.unpack_from(self.data, self.at)
        self.at += layout.size
        return number

    def counted(self, layout: struct.Struct) -> bytes:
        """Read as many bytes as a length in front of them says."""
        length = self.number(layout)
        start, self.at = self.at, self.at + length
        if self.at > len(self.data):
            raise FormatError("one of its pickles has no end")
        return self.data[start : self.at]

    def integer(self) -> int:
        """Read an integer of more than 32 bits."""
        digits = self.counted(_BYTE)
        if len(digits) > 9:  # a sign's byte is one more than 64 bits
            raise FormatError("it holds an integer of more than 64 bits")
        return int.from_bytes(digits, "little", signed=True)

    def protocol(self) -> None:
        """Read the protocol's number, which decides nothing."""
        if self.number(_BYTE) > _LAST_PROTOCOL:
            raise FormatError(_NO_PICKLE)

    def frame(self) -> None:
        """Read the length of a part that is read at once."""
        if self.number(_LONG_LENGTH) > len(self.data) - self.at:
            raise FormatError("one of its pickles has no end")

    def mark(self) -> None:
        """Note where the items of a container start."""
        if len(self._marks) == MAX_DEPTH:
            raise FormatError(f"it is nested more than {MAX_DEPTH} deep")
        self._marks.append(len(self._stack))

    def memoize(self) -> None:
        """Number the last value, for use in several places."""
        self._memo.append(self._stack[-1])

    def recall(self, layout: struct.Struct) -> Any:
        """Return a numbered value."""
        return self._memo[self.number(layout)]

    def since_mark(self) -> tuple[Any, ...]:
        """Take the values after the last mark."""
        return self.last(len(self._stack) - self._marks.pop())

    def last(self, count: int) -> tuple[Any, ...]:
        """Take the last values."""
        if not 0 <= count <= len(self._stack):
            raise FormatError(_NO_PICKLE)
        rest = len(self._stack) - count
        items = tuple(self._stack[rest:])
        del self._stack[rest:]
        return items

    def append(self, items: tuple[Any, ...]) -> None:
        """Add items to the list below them."""
        target = self._stack[-1]
        if type(target) is not list:
            raise FormatError(_NO_PICKLE)
        target.extend(items)

    def set(self, items: tuple[Any, ...]) -> None:
        """Add keys and values, in turn, to the dict below them."""
        target = self._stack[-1]
        if type(target) is not dict or len(items) % 2:
            raise FormatError(_NO_PICKLE)
        if (fault := _fault_of_keys(items[::2])) is not None:
            raise FormatError(f"it has a key {fault}")
        target.update(zip(items[::2], items[1::2], strict=True))


_NO_PICKLE = "one of its pickles cannot be loaded"
_STOP = ord(".")
_LAST_PROTOCOL = 5
_MOST_OPERATIONS_PER_VALUE = 4  # of a list of empty lists: make it, number it, append it
_BYTE, _SHORT, _LENGTH, _LONG_LENGTH = map(struct.Struct, ("<B", "<H", "<I", "<Q"))
_INT, _FLOAT = struct.Struct("<i"), struct.Struct(">d")
_PUSHES: dict[int, Callable[[_Decoder], Any]] = {
    ord("N"): lambda _: None,
    0x88: lambda _: True,
    0x89: lambda _: False,
    ord("K"): lambda read: read.number(_BYTE),
    ord("M"): lambda read: read.number(_SHORT),
    ord("J"): lambda read: read.number(_INT),
    0x8A: _Decoder.integer,
    ord("G"): lambda read: read.number(_FLOAT),
    0x8C: lambda read: _text(read.counted(_BYTE)),
    ord("X"): lambda read: _text(read.counted(_LENGTH)),
    0x8D: lambda read: _text(read.counted(_LONG_LENGTH)),
    ord("C"): lambda read: read.counted(_BYTE),
    ord("B"): lambda read: read.counted(_LENGTH),
    0x8E: lambda read: read.counted(_LONG_LENGTH),
    ord("]"): lambda _: [],
    ord("}"): lambda _: {},
    ord(")"): lambda _: (),
    0x85: lambda read: read.last(1),
    0x86: lambda read: read.last(2),
    0x87: lambda read: read.last(3),
    ord("t"): _Decoder.since_mark,
    ord("h"): lambda read: read.recall(_BYTE),
    ord("j"): lambda read: read.recall(_LENGTH),
}
_ACTIONS: dict[int, Callable[[_Decoder], None]] = {
    0x80: _Decoder.protocol,
    0x95: _Decoder.frame,
    ord("("): _Decoder.mark,
    0x94: _Decoder.memoize,
    ord("a"): lambda read: read.append(read.last(1)),
    ord("e"): lambda read: read.append(read.since_mark()),
    ord("s"): lambda read: read.set(read.last(2)),
    ord("u"): lambda read: read.set(read.since_mark()),
}


def _text(data: bytes) -> str:
    try:
        return data.decode()
    except UnicodeDecodeError:
        raise FormatError("it holds text that is not valid Unicode") from None


def load_first_plain(data: bytes) -> tuple[Any, int]:
    """Return the plain value that the data's first pickle is of, and the pickle's length.

    Raises:
        FormatError: anything but plain values, sizes out of bounds, or bytes that are no pickle.
    """
    decoder = _Decoder(data)
    try:
        value = decoder.value()
    except (IndexError, ValueError, struct.error):  # too little on the stack, or after the position
        raise FormatError(_NO_PICKLE) from None
    check_plain(value, "it")
    return value, decoder.at


def load_plain(data: bytes) -> Any:
    """Return the plain value that exactly these bytes are the pickle of.

    Raises:
        FormatError: anything but plain values, sizes out of bounds, or bytes that are no pickle.
    """
    value, end = load_first_plain(data)
    if end != len(data):
        raise FormatError("bytes follow a pickle's end")
    return value


def check_plain(value: object, where: str, most: int | None = None) -> None:
    """Check that a value is plain, see above.

    Subclasses are refused too: a numpy.float64 is a float, but its pickle names a class.

    Args:
        most: values that it may consist of; `MAX_VALUES` by default.

    Raises:
        FormatError: names the place inside `where` and what was found.
    """
    visits, most = 0, MAX_VALUES if most is None else most
    keys: list[object] = []  # of the place that is being looked at

    def check(value: object) -> None:
        nonlocal visits
        visits += 1
        if visits > most:
            raise FormatError(f"{_place(where, keys[:1])}: {where} has more than {most} values")
        kind = type(value)
        if kind in _ATOMS:
            return
        if isinstance(value, str) and kind is str:
            if not is_unicode(value):
                raise FormatError(f"{_place(where, keys)} holds half of a surrogate pair, which is not valid Unicode")
        elif isinstance(value, int) and kind is int:
            if not -(1 << 63) <= value < 1 << 63:
                raise FormatError(f"{_place(where, keys)} is an integer of more than 64 bits")
        elif len(keys) == MAX_DEPTH:
            raise FormatError(f"{where} is nested more than {MAX_DEPTH} deep")
        elif isinstance(value, (dict, list, tuple)) and kind in (dict, list, tuple):
            if isinstance(value, dict):
                visits += len(value)
                if (fault := _fault_of_keys(value)) is not None:
                    raise FormatError(f"{_place(where, keys)} has a key {fault}")
            for key, item in value.items() if isinstance(value, dict) else enumerate(value):
                keys.append(key)
                check(item)
                keys.pop()
        else:
            raise FormatError(
                f"{_place(where, keys)} is a {_name(kind)}, expected plain str, int, float, bool, None, bytes, list,"
                f" tuple or dict"
            )

    check(value)


def json_values(value: Any) -> Any:
    """Return what JSON can hold of a plain value: keys as text, bytes in hexadecimal, infinities and NaN as text."""
    if isinstance(value, dict):
        return {str(key): json_values(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [json_values(item) for item in value]
    if isinstance(value, bytes):
        return value.hex()
    if isinstance(value, float) and not isfinite(value):
        return str(value)
    if isinstance(value, str) and not is_unicode(value):  # a path's bytes that are no text
        return value.encode(errors="backslashreplace").decode()
    return value


def _fault_of_keys(keys: Iterable[object]) -> str | None:
    """Say what is wrong with one of a dict's keys."""
    for key in keys:
        if isinstance(key, str) and type(key) is str:
            if not is_unicode(key):
                return "with half of a surrogate pair, which is not valid Unicode"
        elif not isinstance(key, int) or type(key) is not int:
            return f"that is a {_name(type(key))}, expected str or int"
        elif not -(1 << 63) <= key < 1 << 63:
            return "that is an integer of more than 64 bits"
    return None


def is_unicode(text: str) -> bool:
    """Return whether a text can be written as UTF-8: Python's may hold halves of surrogate pairs, too."""
    if text.isascii():
        return True
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def _name(kind: type) -> str:
    return kind.__qualname__ if kind.__module__ == "builtins" else f"{kind.__module__}.{kind.__qualname__}"


def _place(where: str, keys: list[object]) -> str:
    return where + "".join(f"[{key!r:.40}]" for key in keys[:4])
