"""The designs of a space: all or some, those that meet its conditions, each a machine that was checked."""

from __future__ import annotations

import random
from collections.abc import Iterable
from copy import deepcopy
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ValidationError

from accelsim.energy.load import table_of
from accelsim.errors import HardwareError, SpaceError
from accelsim.explore.space import Space
from accelsim.hardware.check import check
from accelsim.hardware.model import Hardware
from accelsim.hardware.skipping import Skipping
from accelsim.hardware.yaml_file import Document

MOST_DESIGNS = 1_000_000
_SHOWN = 8  # kinds of impossible combinations that a refusal spells out


@dataclass(frozen=True)
class Design:
    """One machine of a space.

    Attributes:
        number: its place in the full grid.
        values: the swept keys.
    """

    number: int
    values: dict[str, Any]
    hardware: Hardware


@dataclass(frozen=True)
class Chosen:
    """The designs to simulate, in the grid's order, and how many of the grid were not machines at all."""

    designs: list[Design]
    impossible: int


def choose(space: Space) -> Chosen:
    """Return a space's designs: those of the grid, or of the sample, that meet its conditions.

    Raises:
        SpaceError: combinations that are no machine, unless they are to be skipped: how many, and one of each kind;
            a grid too large to go through; conditions that leave nothing, or cannot be worked out.
        HardwareError: an energy table that cannot be used.
    """
    sample = space.sample
    if sample is None and space.size > MOST_DESIGNS:
        raise SpaceError(
            f"{space.file}: the grid has {space.size:,} designs, more than {MOST_DESIGNS:,}: draw some of them"
            " (sample: {count: 1000}) or search (accelsim search)"
        )
    numbers: Iterable[int] = range(space.size)
    if sample is not None:  # the first of one fixed order, so that a larger sample holds the smaller one
        numbers = random.Random(sample.seed).sample(range(space.size), min(space.size, MOST_DESIGNS))
    impossible = Impossible(space)
    designs: list[Design] = []
    for number in numbers:
        design = impossible.try_design(number)
        if design is not None:
            designs.append(design)
        if sample is not None and len(designs) + impossible.refused == sample.count:
            break
    impossible.refuse()
    if not designs:
        raise SpaceError(f"{space.file}: none of the {space.size:,} designs is left by its conditions")
    for hw in {_priced_by(design.hardware): design.hardware for design in designs}.values():
        table_of(hw)
    return Chosen(sorted(designs, key=lambda design: design.number), impossible.count)


def _priced_by(hw: Hardware) -> tuple[str, str | None]:
    return hw.energy, hw.memory.dram.kind if hw.memory.dram else None


class Impossible:
    """Builds designs, and collects the combinations that are no machine, by what is wrong with them.

    Attributes:
        count: how many there were.
    """

    def __init__(self, space: Space) -> None:
        self._space = space
        self._kinds: dict[tuple[object, ...], tuple[int, str]] = {}
        self.count = 0

    @property
    def refused(self) -> int:
        """Combinations that stand in the way of a sweep."""
        return 0 if self._space.on_invalid == "skip" else self.count

    def try_design(self, number: int) -> Design | None:
        """Return a design, None if it does not meet the conditions or is no machine.

        Raises:
            SpaceError: a condition cannot be worked out.
        """
        space, values = self._space, self._space.values(number)
        merged = merge(space.base, values)
        try:
            hardware = Hardware.model_validate(merged)
        except ValidationError as error:
            if _meets(space, values, merged):
                kinds = tuple(sorted((detail["loc"], detail["type"]) for detail in error.errors(include_url=False)))
                count, example = self._kinds.get(kinds, (0, ""))
                self._kinds[kinds] = count + 1, example or _explain(space, merged, values)
                self.count += 1
            return None
        if not _meets(space, values, hardware):
            return None
        if hardware.energy.endswith((".yaml", ".yml")):
            folder = Path(space.file).parent if "energy" in values else space.hw_file.parent
            hardware = hardware.model_copy(update={"energy": str((folder / hardware.energy).resolve())})
        return Design(number, values, hardware)

    def refuse(self) -> None:
        """Raise SpaceError if there were impossible combinations, unless they are to be skipped."""
        if not self.refused:
            return
        kinds = sorted(self._kinds.values(), key=lambda kind: -kind[0])
        lines = [f"{count:,} of them: {example}" for count, example in kinds[:_SHOWN]]
        more = [f"and {len(kinds) - _SHOWN} kinds more"] if len(kinds) > _SHOWN else []
        raise SpaceError(
            f"{self._space.file}: {self.count:,} combinations of the space are no machine; exclude them by a condition"
            " (where), or leave them out (on_invalid: skip, or --skip-invalid)\n" + "\n".join(lines + more)
        )


def merge(base: dict[str, Any], values: dict[str, Any]) -> dict[str, Any]:
    """Return a machine's plain values with some keys, by dotted names, set to others."""
    merged = deepcopy(base)
    for key, value in values.items():
        *around, last = key.split(".")
        place = merged
        for name in around:
            if not isinstance(place.get(name), dict):
                place[name] = {}
            place = place[name]
        place[last] = deepcopy(value)
    return merged


def shown(values: dict[str, Any]) -> str:
    """Return a design's swept keys in a line."""
    return ", ".join(f"{key}: {value}" for key, value in values.items())


def _explain(space: Space, merged: dict[str, Any], values: dict[str, Any]) -> str:
    try:
        check(Document(space.file, merged, space.lines), Hardware)
    except HardwareError as error:
        return f"{error} ({shown(values)})".replace("\n", "; ")
    raise AssertionError("a machine that was refused is refused again")


def _meets(space: Space, values: dict[str, Any], machine: Hardware | dict[str, Any]) -> bool:
    for condition, line in space.conditions:
        try:
            if not condition.holds(
                lambda name: values[name] if name in values else _inside(machine, space.base_hw, name)
            ):
                return False
        except ValueError as error:
            place = f"{space.file}:{line}" if line else space.file
            raise SpaceError(f"{place}: condition {condition.text!r} {error}, in the design {shown(values)}") from None
    return True


def _inside(machine: Any, base: Any, name: str) -> Any:
    """Return the value under a dotted name: the base's, where another kind of PE or no machine does not say it."""
    for part in name.split("."):
        base = getattr(base, part, None)
        elsewhere = base if isinstance(machine, Skipping) else None
        machine = machine.get(part, base) if isinstance(machine, dict) else getattr(machine, part, elsewhere)
    machine = machine.model_dump(mode="json") if isinstance(machine, BaseModel) else machine
    return list(machine) if isinstance(machine, tuple) else machine
