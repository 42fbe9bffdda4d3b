"""Cuts that were chosen beforehand, by layer and pass: a file that `accelsim run --mapping` reads."""

from __future__ import annotations

import csv
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from accelsim.errors import AccelsimError
from accelsim.lowering.gemm import PASSES
from accelsim.memory.blocking import Blocking, read_blockings

_NEEDED = ("layer", "pass", "mapping")
Cuts = tuple[Blocking, ...]


@dataclass(frozen=True)
class GivenCuts:
    """How the GEMMs of a pass are to be cut.

    Attributes:
        blockings: one for all of them, or one for each: those of a stride phase together, group by group.
        groups: that each phase has.
    """

    blockings: Cuts
    groups: int

    def of(self, group: int, phase: int) -> Blocking:
        """Return the cut of one GEMM; phases are counted from 0, as they come.

        Raises:
            AccelsimError: there is none for it.
        """
        place = 0 if len(self.blockings) == 1 else phase * self.groups + group
        if place >= len(self.blockings):
            raise AccelsimError(
                f"the mapping is for {len(self.blockings)} GEMMs, but there are more: give one for each or one for all"
            )
        return self.blockings[place]


@dataclass(frozen=True)
class Mappings:
    """The cuts of some layers' passes; those of others are searched.

    Attributes:
        layers: that have any.
        by_call: by layer, pass, step and call.
        by_layer: by layer and pass, of the first step and call that the file has.
    """

    layers: frozenset[str]
    by_call: Mapping[tuple[str, str, str, str], Cuts]
    by_layer: Mapping[tuple[str, str], Cuts]

    def of(self, layer: str, which: str, step: int, call: int) -> Cuts:
        """Return the cuts of a pass: one for each of its GEMMs, one for all of them, or none."""
        return self.by_call.get((layer, which, str(step), str(call)), self.by_layer.get((layer, which), ()))


def read_mappings(path: str | os.PathLike[str]) -> Mappings:
    """Read a CSV file with the columns layer, pass and mapping, and step and call if it has them: a layers.csv, say.

    Raises:
        AccelsimError: the file cannot be read or is none of these; says where, and what would be right.
    """
    by_call: dict[tuple[str, str, str, str], Cuts] = {}
    by_layer: dict[tuple[str, str], Cuts] = {}
    try:
        with Path(path).open(newline="", encoding="utf-8") as file:
            table = csv.DictReader(file)
            if lacking := [name for name in _NEEDED if name not in (table.fieldnames or ())]:
                raise AccelsimError(f"{path}: no table of mappings, it lacks the columns {', '.join(lacking)}")
            for row in table:
                if row["pass"] not in PASSES or row["mapping"] is None:
                    raise ValueError(f"pass is {row['pass']!r}, expected one of {', '.join(PASSES)}")
                layer, cuts = (row["layer"], row["pass"]), read_blockings(row["mapping"])
                by_layer.setdefault(layer, cuts)
                by_call[(*layer, row.get("step") or "", row.get("call") or "")] = cuts
    except OSError as error:
        raise AccelsimError(f"{path}: cannot be read: {error.strerror}") from None
    except UnicodeDecodeError:
        raise AccelsimError(f"{path}: no table of mappings: it is no text in UTF-8") from None
    except AccelsimError:
        raise
    except (ValueError, csv.Error) as error:
        raise AccelsimError(f"{path}, line {table.line_num}: {error}") from None
    return Mappings(frozenset(layer for layer, _ in by_layer), by_call, by_layer)
