"""Checks a YAML document against a Pydantic model; every problem becomes one sentence with file, line and key."""

from __future__ import annotations

from collections.abc import Iterator
from difflib import get_close_matches
from typing import Any, TypeVar, get_args

from pydantic import BaseModel, ValidationError
from pydantic.fields import FieldInfo

from accelsim.errors import HardwareError
from accelsim.hardware.yaml_file import Document, Location, Problem

Model = TypeVar("Model", bound=BaseModel)
Fields = dict[str, FieldInfo]

_MOST_SENTENCES = 20
_EXPECTED = {
    "int_type": "a whole number",
    "float_type": "a number",
    "finite_number": "a finite number",
    "bool_type": "true or false",
    "string_type": "text",
    "tuple_type": "a list",
    "list_type": "a list",
    "string_too_short": "a text that is not empty",
}
_BOUNDS = {
    "greater_than": ("a number above", "gt"),
    "greater_than_equal": ("at least", "ge"),
    "less_than_equal": ("at most", "le"),
    "string_too_long": ("at most this many characters:", "max_length"),
    "too_short": ("at least this many items:", "min_length"),
}


def check(document: Document, model: type[Model]) -> Model:
    """Return the document as a checked model.

    Raises:
        HardwareError: one sentence per line, in the file's order, for every problem of the document.
    """
    problems = list(document.problems)
    try:
        checked = model.model_validate(document.value)
    except ValidationError as error:
        details = error.errors(include_url=False)
        misspelt = {_meant(model, detail["loc"]) for detail in details if detail["type"] == "extra_forbidden"}
        for detail in details:
            location = detail["loc"]
            if detail["type"] == "missing" and location in misspelt:
                continue  # said already: the unknown key's sentence names it
            problems.append(Problem(document.line(location), _explain(model, location, dict(detail))))
    if problems:
        problems.sort(key=lambda problem: problem.line or 0)
        sentences = [problem.sentence(document.file) for problem in problems[:_MOST_SENTENCES]]
        more = len(problems) - len(sentences)
        raise HardwareError("\n".join([*sentences, f"{document.file}: and {more} more"] if more else sentences))
    return checked


def key_paths(model: Any, prefix: tuple[str, ...] = ()) -> Iterator[tuple[str, ...]]:
    """Yield the path of every key that a model (or an annotation of one) knows, mappings before their keys."""
    for name, field in fields_below(model).items():
        yield (*prefix, name)
        yield from key_paths(field.annotation, (*prefix, name))


def fields_below(annotation: Any) -> Fields:
    """Return the keys of the mapping that an annotation mentions (`Dram | None` mentions Dram); none of a plain value.

    Those of all variants, where a model has some (`Skipping`, which each kind of PE extends).
    """
    fields: Fields = {}
    for model in nested_models(annotation):
        for variant in (model, *(model.variants() if hasattr(model, "variants") else ())):
            fields |= {name: field for name, field in variant.model_fields.items() if name not in fields}
    return fields


def nested_models(annotation: Any) -> Iterator[type[BaseModel]]:
    """Yield the models that an annotation mentions."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield annotation
    for argument in get_args(annotation):
        yield from nested_models(argument)


def _explain(model: type[BaseModel], location: Location, detail: dict[str, Any]) -> str:
    key = f"key {_dotted(location)!r}" if location else "the file"
    kind, given = detail["type"], detail["input"]
    if kind == "extra_forbidden":
        return f"{key} is unknown{_nearest(model, location)}"
    if kind == "missing":
        field = _fields_at(model, location[:-1])[str(location[-1])]
        return f"{key} is missing" + (f" ({field.description})" if field.description else "")
    if kind == "value_error" and isinstance(given, dict):  # a rule over several keys of one mapping
        return f"{key}: {detail['ctx']['error']}"
    return f"{key} is {shown(given)}{_wanted(model, location, detail)}"


def _wanted(model: type[BaseModel], location: Location, detail: dict[str, Any]) -> str:
    kind, context = detail["type"], detail.get("ctx", {})
    if kind in _EXPECTED:
        return f", expected {_EXPECTED[kind]}"
    if kind in _BOUNDS:
        words, bound = _BOUNDS[kind]
        return f", expected {words} {context[bound]}"
    match kind:
        case "model_type" | "model_attributes_type" | "dict_type":
            keys = list(_fields_at(model, location))
            return f", expected a mapping with keys such as {', '.join(keys[:4])}"
        case "literal_error":
            words = context["expected"].replace(" or ", ", ").split(", ")
            close = get_close_matches(str(detail["input"]), [word.strip("'") for word in words], 1)
            return f", expected {context['expected']}" + (f": did you mean {close[0]!r}?" if close else "")
        case "value_error":
            return f": {context['error']}"
        case _:
            return f": {detail['msg'][0].lower()}{detail['msg'][1:]}"


def _meant(model: type[BaseModel], location: Location) -> Location | None:
    """Where an unknown key would be right among its neighbours, if it is close to one of them."""
    close = get_close_matches(str(location[-1]), list(_fields_at(model, location[:-1])), 1)
    return (*location[:-1], close[0]) if close else None


def _nearest(model: type[BaseModel], location: Location) -> str:
    if meant := _meant(model, location):
        return f", did you mean {meant[-1]!r}?"
    wanted, siblings = str(location[-1]), list(_fields_at(model, location[:-1]))
    elsewhere = {path[-1]: path for path in reversed(list(key_paths(model))) if len(path) > 1 or len(location) > 1}
    if close := get_close_matches(wanted, list(elsewhere), 1):
        return f", did you mean {_dotted(elsewhere[close[0]])!r}?"
    return f", expected one of {', '.join(siblings)}"


def _fields_at(model: type[BaseModel], location: Location) -> Fields:
    fields = dict(model.model_fields)
    for key in location:
        if key in fields:
            fields = fields_below(fields[str(key)].annotation) or fields
    return fields


def _dotted(location: Location) -> str:
    text = ""
    for part in location:
        text += f"[{part}]" if isinstance(part, int) else f".{part}" if text else part
    return text


def shown(value: Any) -> str:
    """Return a value from a file as a message names it, whatever it is."""
    match value:
        case None:
            return "empty"
        case bool():
            return str(value).lower()
        case str():
            return f"the text {value[:40]!r}"
        case dict() | list() | tuple():
            return "a mapping" if isinstance(value, dict) else "a list"
        case int() if value.bit_length() > 256:
            return f"an integer of {value.bit_length()} bits"
        case _:
            text = str(value)
            return text if len(text) < 40 else text[:36] + " ..."
