"""Which runs the experiment consists of: a configuration file, read and spelt out row by row."""

from __future__ import annotations

from dataclasses import dataclass
from fnmatch import fnmatch
from itertools import product
from pathlib import Path
from typing import Any

import yaml

from accelsim.errors import TrainingError
from accelsim.ssl.config import TrainConfig

_SECTIONS = {"data": str, "training": dict, "methods": dict, "patterns": dict, "machines": dict, "rows": list}
_AXES = ("frameworks", "methods", "patterns", "sparsities", "seeds")


@dataclass(frozen=True)
class Row:
    """One training run; pattern "none" and method "dense" where nothing is pruned."""

    framework: str
    method: str
    pattern: str
    sparsity: float
    seed: int

    @property
    def name(self) -> str:
        """What files and `--only` call it, e.g. simclr-scp-2to4-0.5-s0."""
        how = "dense" if self.method == "dense" else f"{self.method}-{self.pattern}-{self.sparsity:g}"
        return f"{self.framework}-{how.replace(':', 'to')}-s{self.seed}"


@dataclass(frozen=True)
class Plan:
    """The experiment.

    Attributes:
        rows: seed by seed, so that an interrupted experiment has one seed of everything first.
        data: kind of the images, "photos" or "cifar10".
        training: fields of `TrainConfig` that all rows share.
        methods: fields of `TrainConfig` by method.
        patterns: further ones by pattern, where a pattern needs any.
        machines: names of hardware configurations by pattern.
    """

    rows: tuple[Row, ...]
    data: str
    training: dict[str, Any]
    methods: dict[str, dict[str, Any]]
    patterns: dict[str, dict[str, Any]]
    machines: dict[str, list[str]]

    def config(self, row: Row, data: str) -> TrainConfig:
        """Return a row's training configuration.

        Raises:
            TrainingError: a field that there is not, or a value that cannot be used.
        """
        chosen = {} if row.method == "dense" else {"method": row.method, "pattern": row.pattern}
        fields = self.training | self.methods[row.method] | self.patterns.get(row.pattern, {}) | chosen
        try:
            return TrainConfig(framework=row.framework, sparsity=row.sparsity, seed=row.seed, data=data, **fields)
        except TypeError as error:
            raise TrainingError(f"{row.name}: {error}, expected fields of TrainConfig") from None

    def only(self, wanted: list[str]) -> list[Row]:
        """Return the rows whose name matches one of the wildcards; all without any.

        Raises:
            TrainingError: a wildcard matches no row.
        """
        for wildcard in wanted:
            if not any(fnmatch(row.name, wildcard) for row in self.rows):
                raise TrainingError(f"--only {wildcard!r} matches no row, expected names like {self.rows[0].name}")
        return [row for row in self.rows if not wanted or any(fnmatch(row.name, wildcard) for wildcard in wanted)]


def read_plan(path: Path) -> Plan:
    """Read a configuration file.

    Raises:
        TrainingError: the file cannot be read, or a section, an axis, a method or a pattern's machine is missing.
    """
    try:
        given = yaml.safe_load(path.read_text())
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise TrainingError(f"{path}: cannot be read as YAML: {' '.join(str(error).split())}") from None
    if not isinstance(given, dict) or given.keys() != _SECTIONS.keys():
        raise TrainingError(f"{path}: expected the keys {', '.join(_SECTIONS)}, and no other")
    for section, kind in _SECTIONS.items():
        if not isinstance(given[section], kind):
            raise TrainingError(f"{path}: {section} is a {type(given[section]).__name__}, expected a {kind.__name__}")
    rows = []
    for place, entry in enumerate(given["rows"]):
        if (
            not isinstance(entry, dict)
            or entry.keys() != set(_AXES)
            or not all(isinstance(entry[a], list) for a in _AXES)
        ):
            raise TrainingError(f"{path}: rows[{place}] needs a list for each of {', '.join(_AXES)}")
        rows += [Row(*values) for values in product(*(entry[axis] for axis in _AXES))]
    for row in rows:
        if row.method not in given["methods"]:
            raise TrainingError(f"{path}: the method {row.method!r} of a row is missing under methods")
        if row.pattern not in given["machines"]:
            raise TrainingError(
                f"{path}: the pattern {row.pattern!r} of a row has no machines, list them under machines"
            )
    plan = Plan(
        rows=tuple(sorted(rows, key=lambda row: row.seed)),
        data=given["data"],
        training=given["training"],
        methods=given["methods"],
        patterns=given["patterns"],
        machines=given["machines"],
    )
    for row in plan.rows:
        plan.config(row, plan.data)  # what cannot be trained says so before hours of the others
    return plan
