"""A page on every hardware key, written from the model itself; `python -m accelsim.hardware.reference` prints it."""

from __future__ import annotations

import sys
from collections.abc import Iterable
from types import UnionType
from typing import Annotated, Any, Literal, Union, get_args, get_origin

from pydantic import BaseModel
from pydantic.fields import FieldInfo
from pydantic_core import PydanticUndefined

from accelsim.hardware.check import Fields, fields_below, nested_models
from accelsim.hardware.model import Hardware
from accelsim.hardware.skipping import Skipping

_UNITS = {
    "bytes_per_cycle": "bytes/cycle",
    "words_per_cycle": "words/cycle",
    "_mhz": "MHz",
    "_kib": "KiB",
    "_bits": "bits",
    "_cycles": "cycles",
}
_HEAD = """\
# Hardware files

A hardware file is YAML, one file per machine; `hw_configs/` holds commented examples. Every key is checked: an unknown
or repeated key, a wrong type or an impossible value is reported with file, line, key and the nearest valid name, all
problems of a file at once. Numbers follow YAML 1.2 (`1e3` is a number, `yes` is text); a number in quotes is text and
is refused; aliases and tags are not supported. Only `name`, `array.rows` and `array.cols` must be given (and, where
there is a `memory.dram`, its `bytes_per_cycle` or its `model`). What the keys do in a cycle is told in the timing
documentation, what they cost in `docs/energy.md`.

This page is printed by `python -m accelsim.hardware.reference`.
"""


def reference() -> str:
    """Markdown with a table a section: key, values, default, unit and meaning of every key of a hardware file."""
    return "\n".join([_HEAD, *_section(Hardware, Hardware.model_fields, ()), ""])


def _section(model: type[BaseModel], fields: Fields, prefix: tuple[str, ...]) -> list[str]:
    title = "Top level" if not prefix else f"`{'.'.join(prefix)}`"
    lines = [f"## {title}", "", " ".join((model.__doc__ or "").split()), ""]
    lines += ["| key | values | default | unit | meaning |", "|---|---|---|---|---|"]
    below: list[str] = []
    for name, field in fields.items():
        key = (*prefix, name)
        parts = list(nested_models(field.annotation))
        of = _kinds(model, name)
        meaning = f"{of}: {field.description}" if of else field.description or "see below"
        cells = (f"`{'.'.join(key)}`", _values(field), _default(field), _unit(name), meaning)
        lines.append("| " + " | ".join(cells) + " |")
        for part in parts:
            below += ["", *_section(part, fields_below(part), key)]
    return lines + below


def _kinds(model: type[BaseModel], name: str) -> str:
    """Name the kinds of PE that have a key, if not all do."""
    if not issubclass(model, Skipping) or name in model.model_fields:
        return ""
    return ", ".join(kind.model_fields["kind"].default for kind in model.variants() if name in kind.model_fields)


def _values(field: FieldInfo) -> str:
    # The rules of a plain annotation stand in the field, those of `Depth | None` in the annotation of its part.
    return _type_words(Annotated[field.annotation, *field.metadata] if field.metadata else field.annotation)


def _type_words(annotation: Any) -> str:
    if get_origin(annotation) is Annotated:
        kind, *rules = get_args(annotation)
        return _number_words(rules) or _type_words(kind)
    if get_origin(annotation) is Literal:
        return ", ".join(f"`{value}`" for value in get_args(annotation))
    if get_origin(annotation) in (Union, UnionType) and type(None) not in get_args(annotation):
        return ", or ".join(_type_words(part) for part in get_args(annotation))
    if get_origin(annotation) is tuple:
        return f"list of {_type_words(get_args(annotation)[0])}"
    if type(None) in get_args(annotation):
        (kind,) = (part for part in get_args(annotation) if part is not type(None))
        words = _type_words(kind)
        return f"{words}, or `null`" if "number" in words else f"{words} or `null`"
    return {bool: "`true`, `false`", str: "text"}.get(annotation, "mapping")


def _number_words(rules: Iterable[Any]) -> str | None:
    """Say which numbers are meant; None if the rules are not about numbers."""
    bounds: dict[str, Any] = {}
    for rule in rules:
        for one in rule.metadata if isinstance(rule, FieldInfo) else [rule]:
            bounds[type(one).__name__] = one
    if "Ge" in bounds:
        return f"whole number, {bounds['Ge'].ge} to {bounds['Le'].le}"
    if "Gt" in bounds:
        return f"number above {bounds['Gt'].gt}, to {bounds['Le'].le:g}"
    return None


def _default(field: FieldInfo) -> str:
    if any(True for _ in nested_models(field.annotation)):
        return "required" if field.is_required() else "`null`" if field.default is None else "its keys' defaults"
    match field.default:
        case value if value is PydanticUndefined:
            return "required"
        case None:
            return "`null`"
        case bool() as value:
            return f"`{str(value).lower()}`"
        case () | []:
            return "`[]`"
        case value:
            return f"`{value}`"


def _unit(name: str) -> str:
    return next((unit for suffix, unit in _UNITS.items() if name.endswith(suffix)), "")


if __name__ == "__main__":
    sys.stdout.write(reference())
