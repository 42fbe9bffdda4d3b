"""How dense which tensor of which layer is: numbers for all layers, and a file for some."""

from __future__ import annotations

import math
import os
from collections.abc import Iterable
from dataclasses import dataclass, field
from difflib import get_close_matches
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Literal, get_args

from accelsim.errors import AccelsimError
from accelsim.synth.lines import csv_lines

Tensor = Literal["weight", "activation", "gradient"]
TENSORS: tuple[Tensor, ...] = get_args(Tensor)


@dataclass(frozen=True)
class Rule:
    """One line of a densities file: what it says of layers whose name is, or fits, `layer` (`layer1.*`)."""

    layer: str
    densities: dict[Tensor, float]
    place: str

    def fits(self, name: str) -> bool:
        """Whether it speaks of a layer."""
        return name == self.layer or fnmatchcase(name, self.layer)


@dataclass(frozen=True)
class Densities:
    """Densities in [0, 1].

    Attributes:
        everywhere: by tensor, for layers of which no rule says anything.
        rules: the last one that fits a layer and names the tensor holds.

    Raises:
        AccelsimError: a density outside [0, 1].
    """

    everywhere: dict[Tensor, float] = field(default_factory=dict)
    rules: tuple[Rule, ...] = ()

    def __post_init__(self) -> None:
        for tensor, density in self.everywhere.items():
            if not 0 <= density <= 1:
                raise AccelsimError(f"{tensor} density is {density}, expected a share from 0 to 1")

    def of_rules(self, name: str, tensor: Tensor) -> float | None:
        """Return what the file says, None if it says nothing."""
        said = [rule.densities[tensor] for rule in self.rules if tensor in rule.densities and rule.fits(name)]
        return said[-1] if said else None

    def check_names(self, names: Iterable[str]) -> None:
        """Check that every rule fits a layer.

        Raises:
            AccelsimError: one fits none; names file, line and the nearest layer.
        """
        known = list(dict.fromkeys(names))
        for rule in self.rules:
            if not any(map(rule.fits, known)):
                close = get_close_matches(rule.layer, known, 1)
                hint = f"did you mean {close[0]!r}?" if close else f"it has {', '.join(known[:6])}, ..."
                raise AccelsimError(f"{rule.place}: no layer is called {rule.layer!r}, {hint}")


def read_densities(path: str | os.PathLike[str]) -> tuple[Rule, ...]:
    """Read a densities file: a header `layer,weight,activation,gradient` (in any order, not all), then a line a rule.

    An empty cell says nothing. Comments (#) and blank lines may stand anywhere.

    Raises:
        AccelsimError: not readable, another header, a number that is no density; names file and line.
    """
    rules: list[Rule] = []
    header: list[str] = []
    for line, cells in csv_lines(Path(path)):
        place = f"{path}:{line}"
        if not header:
            header = cells
            if "layer" not in header or len(set(header)) != len(header) or not set(header) <= {"layer", *TENSORS}:
                raise AccelsimError(
                    f"{place}: the header is {','.join(header)!r}, expected layer,weight,activation,gradient"
                )
            continue
        if len(cells) > len(header):
            raise AccelsimError(f"{place}: {len(cells)} columns, the header has {len(header)}")
        said = dict(zip(header, cells, strict=False))
        layer = said.pop("layer", "")
        if not layer:
            raise AccelsimError(f"{place}: no layer is named, expected a name or a pattern such as layer1.*")
        rules.append(
            Rule(layer, {name: _density(place, name, said[name]) for name in TENSORS if said.get(name)}, place)
        )
    return tuple(rules)


def _density(place: str, tensor: Tensor, text: str) -> float:
    try:
        density = float(text)
    except ValueError:
        density = math.nan
    if not 0 <= density <= 1:
        raise AccelsimError(f"{place}: {tensor} density is {text!r}, expected a share from 0 to 1")
    return density
