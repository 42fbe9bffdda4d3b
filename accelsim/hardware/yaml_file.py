"""YAML read safely: plain values, and the line on which each key stands.

Numbers and booleans follow YAML 1.2 (`1e3` is a number, `010` is ten, `yes` is text), nothing can be executed, and
aliases are refused, so that a small file cannot grow into a large value.
"""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NoReturn

import yaml

from accelsim.errors import HardwareError, not_this

Location = tuple[str | int, ...]

_MAX_BYTES = 1 << 18
_MAX_DEPTH = 32
_MOST_DIGITS = 400  # of an integer; Python turns no more than 4,300 into text again
_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\ud800-\udfff]")
_CORE_TAG = "tag:yaml.org,2002:"


@dataclass(frozen=True)
class Problem:
    """One thing that is wrong in a file.

    Attributes:
        line: line number from 1, or None if nothing is known of it.
        text: what is wrong and what would be right, without file and line.
    """

    line: int | None
    text: str

    def sentence(self, file: str) -> str:
        """The problem with its place in front: `file:line: text`."""
        return f"{file}: {self.text}" if self.line is None else f"{file}:{self.line}: {self.text}"


@dataclass(frozen=True)
class Document:
    """A YAML file's content.

    Attributes:
        file: its name, as messages show it.
        value: dicts, lists, str, int, float, bool and None.
        lines: line number (from 1) of every key and list item, by its path from the root; the root's is ().
        problems: keys given twice; the first value stands.
    """

    file: str
    value: Any
    lines: dict[Location, int]
    problems: tuple[Problem, ...] = ()

    def line(self, location: Location) -> int | None:
        """Line of a key, or, if the file does not have it, of the nearest mapping around it."""
        for length in range(len(location), -1, -1):
            if location[:length] in self.lines:
                return self.lines[location[:length]]
        return None


def read_document(path: str | Path) -> Document:
    """Read a YAML file.

    Raises:
        HardwareError: the file cannot be read, is larger than 256 KiB, is not UTF-8 text, empty, or not one plain
            YAML document.
    """
    if not isinstance(path, str | os.PathLike):
        raise HardwareError(not_this("the file", path, "a path"))
    file, text = str(path), _read_text(Path(path))
    try:
        root = _Loader(text).get_single_node()
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        what = " ".join(part for part in (error.context, error.problem) if part)
        problem = Problem(mark.line + 1 if mark else None, f"not valid YAML: {what}")
        raise HardwareError(problem.sentence(file)) from None
    except yaml.reader.ReaderError as error:
        problem = Problem(text.count("\n", 0, error.position) + 1, "a control character stands here, expected text")
        raise HardwareError(problem.sentence(file)) from None
    if root is None:
        raise HardwareError(f"{file}: the file is empty, expected 'key: value' lines")
    builder = _Builder(file)
    value = builder.build(root, ())
    return Document(file, value, builder.lines, tuple(builder.problems))


def _read_text(path: Path) -> str:
    try:
        with path.open("rb") as stream:
            data = stream.read(_MAX_BYTES + 1)
    except IsADirectoryError:
        raise HardwareError(f"{path}: is a directory, expected a YAML file") from None
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
        raise HardwareError(f"{path}: cannot be read: {reason}") from None
    if len(data) > _MAX_BYTES:
        raise HardwareError(f"{path}: is larger than {_MAX_BYTES // 1024} KiB, so it is no file of this kind")
    if b"\0" in data:
        raise HardwareError(f"{path}: is binary or UTF-16, expected UTF-8 text")
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise HardwareError(f"{path}:{line}: byte {data[error.start]:#04x} is not UTF-8 text") from None


class _Loader(yaml.SafeLoader):
    """Composes nodes only; resolves plain scalars by YAML 1.2's core schema and refuses aliases."""

    yaml_implicit_resolvers: dict[str, list[tuple[str, re.Pattern[str]]]] = {}  # noqa: RUF012 - PyYAML's own registry

    def __init__(self, text: str) -> None:
        super().__init__(text)
        self._depth = 0

    def compose_node(self, parent: yaml.Node | None, index: Any) -> yaml.Node | None:
        event = self.peek_event()  # type: ignore[no-untyped-call]
        if isinstance(event, yaml.AliasEvent):
            self._refuse(f"alias *{event.anchor} is not supported, write its value out", event)
        if self._depth > _MAX_DEPTH:
            self._refuse(f"nested deeper than {_MAX_DEPTH} levels", event)
        self._depth += 1
        node = super().compose_node(parent, index)
        self._depth -= 1
        return node

    @staticmethod
    def _refuse(why: str, event: Any) -> NoReturn:
        raise yaml.composer.ComposerError(None, None, why, event.start_mark)


for _kind, _pattern, _first in (
    ("null", r"~|null|Null|NULL|", ["~", "n", "N", ""]),
    ("bool", r"true|True|TRUE|false|False|FALSE", list("tTfF")),
    ("int", r"[-+]?[0-9]+|0x[0-9a-fA-F]+", list("-+0123456789")),
    (
        "float",
        r"[-+]?(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][-+]?[0-9]+)?|[-+]?\.(?:inf|Inf|INF)|\.(?:nan|NaN|NAN)",
        list("-+.0123456789"),
    ),
):
    _Loader.add_implicit_resolver(_CORE_TAG + _kind, re.compile(rf"^(?:{_pattern})$"), _first)


class _Builder:
    """Turns nodes into plain values and remembers their lines."""

    def __init__(self, file: str) -> None:
        self.file = file
        self.lines: dict[Location, int] = {}
        self.problems: list[Problem] = []

    def build(self, node: yaml.Node, location: Location) -> Any:
        line = node.start_mark.line + 1
        self.lines.setdefault(location, line)
        kind = node.tag.removeprefix(_CORE_TAG)
        match node, kind:
            case yaml.MappingNode(), "map":
                return self._mapping(node, location)
            case yaml.SequenceNode(), "seq":
                return [self.build(item, (*location, index)) for index, item in enumerate(node.value)]
            case yaml.ScalarNode(), "str" | "null" | "bool" | "int" | "float":
                return self._scalar(node.value, kind, line)
            case _:
                tag = node.tag.replace(_CORE_TAG, "!!")
                raise self._refusal(line, f"tag {tag} is not supported, expected text, numbers, lists and mappings")

    def _scalar(self, text: str, kind: str, line: int) -> str | int | float | bool | None:
        if _CONTROL.search(text):  # as an escape; PyYAML refuses the character itself
            raise self._refusal(line, f"{text[:40]!a} holds a control character or half a surrogate pair")
        try:
            return _scalar(text, kind)
        except ValueError:
            shown = text if len(text) < 40 else text[:36] + " ..."
            raise self._refusal(line, f"{shown!r} is not a valid {kind}") from None

    def _refusal(self, line: int, why: str) -> HardwareError:
        return HardwareError(Problem(line, why).sentence(self.file))

    def _mapping(self, node: yaml.MappingNode, location: Location) -> dict[str, Any]:
        result: dict[str, Any] = {}
        for key_node, value_node in node.value:
            line = key_node.start_mark.line + 1
            if not isinstance(key_node, yaml.ScalarNode):
                raise self._refusal(line, "a list or mapping stands where a key belongs")
            key = str(self._scalar(key_node.value, "str", line))
            place = (*location, key)
            if key in result:
                first = self.lines[place]
                name = ".".join(map(str, place))
                self.problems.append(Problem(line, f"key {name!r} was given on line {first} already, keep one of them"))
                continue
            self.lines[place] = line
            result[key] = self.build(value_node, place)
        return result


def _scalar(text: str, kind: str) -> str | int | float | bool | None:
    match kind:
        case "null":
            return None
        case "bool":
            return text.lower() == "true"
        case "int":
            if len(text) > _MOST_DIGITS:
                raise ValueError
            return int(text, 16) if text.startswith("0x") else int(text)
        case "float":
            special = text.lower().lstrip("+-")
            return float(text.replace(".", "", 1)) if special in {".inf", ".nan"} else float(text)
        case _:
            return text
