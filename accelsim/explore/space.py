"""A space of designs, as a YAML file describes it."""

from __future__ import annotations

import math
import os
from collections.abc import Iterator
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, StrictInt, StrictStr

from accelsim.errors import SpaceError, not_this
from accelsim.explore.condition import Condition
from accelsim.explore.values import expand
from accelsim.hardware.check import check, key_paths
from accelsim.hardware.load import load_hardware
from accelsim.hardware.model import Hardware
from accelsim.hardware.yaml_file import Document, Location, Problem, read_document

KEYS = frozenset(".".join(path) for path in key_paths(Hardware))
Invalid = Literal["refuse", "skip"]
Text = Annotated[StrictStr, Field(min_length=1)]
Steps = tuple[int, ...] | Literal["last"]


class Sample(BaseModel):
    """Some designs of the grid, drawn at random."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    count: Annotated[StrictInt, Field(ge=1, description="designs to draw")]
    seed: Annotated[StrictInt, Field(ge=0)] = 0


def _steps(given: object) -> object:
    if (
        given is None
        or given == "last"
        or (isinstance(given, list) and given and all(type(one) is int for one in given))
    ):
        return given
    raise ValueError("expected steps such as [35, 575], or last")


class _File(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)

    hw: Text = Field(description="the machine that all designs start from, a YAML file")
    traces: Annotated[list[Text], Field(min_length=1, description="traces that every design replays")]
    steps: Annotated[Steps | None, BeforeValidator(_steps)] = Field(
        None, description="recorded steps to replay, or the last; null: all"
    )
    space: dict[str, Any] = Field(description="hardware keys and their values")
    where: Text | list[Text] = Field([], description="conditions that a design must meet")
    sample: Sample | None = Field(None, description="draw some designs instead of all")
    on_invalid: Invalid = Field("refuse", description="what becomes of a combination that is no machine")


@dataclass(frozen=True)
class Space:
    """Designs: one machine, and values for some of its keys.

    The designs of the full grid are numbered from 0, the last key's values changing fastest.

    Attributes:
        file: its name, as messages show it.
        base: the machine's file, as plain values.
        base_hw: the same, checked.
        hw_file: that file; an energy table's path is relative to its folder.
        traces: their names as written, and their paths.
        steps: those of each trace that are replayed, "last" for its last one; None for all.
        axes: the values of each swept key, by its dotted name.
        conditions: those that a design must meet, each with its line in the file.
        lines: line of each swept key in the file, by its path in the machine.
    """

    file: str
    base: dict[str, Any]
    base_hw: Hardware
    hw_file: Path
    traces: dict[str, Path]
    steps: Steps | None
    axes: dict[str, list[Any]]
    conditions: tuple[tuple[Condition, int | None], ...]
    sample: Sample | None
    on_invalid: Invalid
    lines: dict[Location, int]

    @property
    def size(self) -> int:
        """Designs in the full grid."""
        return math.prod(len(values) for values in self.axes.values())

    def values(self, number: int) -> dict[str, Any]:
        """Return a design's swept keys and their values."""
        chosen = {}
        for key, values in reversed(self.axes.items()):
            number, place = divmod(number, len(values))
            chosen[key] = values[place]
        return {key: chosen[key] for key in self.axes}


def check_space(space: object) -> None:
    """Refuse what is no space, such as the path of one.

    Raises:
        SpaceError: it is not a `Space`.
    """
    if not isinstance(space, Space):
        raise SpaceError(not_this("space", space, "a Space: load_space reads one from a file"))


def load_space(path: str | Path) -> Space:
    """Read a space file; its paths are relative to its own folder, or to the working directory if nothing is there.

    Raises:
        HardwareError: the file or the machine's cannot be read or is not what it should be; one sentence per line with
            file, line, key, and the nearest valid name.
        SpaceError: the same of swept keys, values, conditions, and traces that are not there.
    """
    document = read_document(path)
    given = check(document, _File)
    problems: list[Problem] = []
    axes = {key: _axis(document, key, values, problems) for key, values in given.space.items()}
    for one in axes:
        problems += [
            Problem(document.line(("space", other)), f"key {other!r} is swept, and {one!r} around it too, keep one")
            for other in axes
            if other.startswith(f"{one}.")
        ]
    conditions = list(_conditions(document, given.where, problems))
    traces = {}
    for place, name in enumerate(given.traces):
        line = document.line(("traces", place))
        if name in traces:
            problems.append(Problem(line, f"trace {name!r} is given twice"))
        traces[name] = _find(document, name)
        if not os.path.isfile(traces[name]):  # False, too, for a name that no file can have
            problems.append(Problem(line, f"trace {name!r} is no file, nor from here"))
    if not axes:
        problems.append(Problem(document.line(("space",)), "key 'space' is empty, expected hardware keys"))
    if problems:
        problems.sort(key=lambda problem: problem.line or 0)
        raise SpaceError("\n".join(problem.sentence(document.file) for problem in problems))
    machine = _find(document, given.hw)
    return Space(
        file=document.file,
        base_hw=load_hardware(machine),
        base=read_document(machine).value,
        hw_file=machine,
        traces=traces,
        steps=given.steps,
        axes=axes,
        conditions=tuple(conditions),
        sample=given.sample,
        on_invalid=given.on_invalid,
        lines={tuple(key.split(".")): document.lines["space", key] for key in axes},
    )


def _axis(document: Document, key: str, given: Any, problems: list[Problem]) -> list[Any]:
    line = document.line(("space", key))
    if key not in KEYS:
        ends = {name.rpartition(".")[2]: name for name in sorted(KEYS, reverse=True)}
        close = get_close_matches(key, sorted(KEYS), 1) or [
            ends[end] for end in get_close_matches(key.rpartition(".")[2], list(ends), 1)
        ]
        meant = f"did you mean {close[0]!r}?" if close else "expected a hardware key such as array.rows"
        problems.append(Problem(line, f"key {key!r} is unknown, {meant}"))
        return []
    try:
        return expand(given)
    except ValueError as error:
        problems.append(Problem(line, f"key {key!r} {error}"))
        return []


def _conditions(
    document: Document, given: str | list[str], problems: list[Problem]
) -> Iterator[tuple[Condition, int | None]]:
    texts = [given] if isinstance(given, str) else given
    for place, text in enumerate(texts):
        line = document.line(("where", place))
        try:
            yield Condition.read(text, KEYS), line
        except ValueError as error:
            problems.append(Problem(line, f"condition {text[:200]!r} {error}"))


def _find(document: Document, name: str) -> Path:
    beside = Path(document.file).parent / name
    return beside if os.path.exists(beside) else Path(name)
