"""A run's action counts as a YAML file in the form of Accelergy's `action_counts`, version 0.3."""

from __future__ import annotations

import os
import re
from typing import Any

import yaml

from accelsim.energy.actions import ARRAY_ACTIONS
from accelsim.energy.load import table_of
from accelsim.errors import HardwareError
from accelsim.files import WholeText
from accelsim.fleet import PassDetail
from accelsim.hardware.model import Hardware
from accelsim.results import PassResult


class ActionCounts(WholeText):
    """Collects the action counts of a machine's passes; a context manager that leaves the whole file or none.

    The file is written pass by pass, so memory does not grow with the run.

    Args:
        path: the file, replaced if it exists.
        hw: the machine.

    Raises:
        AccelsimError: the file cannot be written.
        HardwareError: the machine's energy table cannot be read, or it is idealised and has no energy.
    """

    def __init__(self, path: str | os.PathLike[str], hw: Hardware) -> None:
        super().__init__(path, "action counts")
        self._hw, self._table = hw, table_of(hw)
        if hw.idealised:
            raise HardwareError(f"{hw.name} is idealised, it has no energy and no action counts: take another machine")
        self._design = re.sub(r"\W", "_", hw.name)
        self._totals = [0] * len(ARRAY_ACTIONS)

    def _begin(self) -> None:
        self._file.write("# Counts by pass, then their sum as Accelergy reads it; fields: docs/interop.md.\n")
        self._file.write("passes:\n")

    def add(self, result: PassResult, detail: PassDetail) -> None:
        """Append a pass.

        Raises:
            AccelsimError: the disk is full.
        """
        counts = [int(action.count(self._hw, detail.actions)) for action in ARRAY_ACTIONS]
        self._totals = [total + count for total, count in zip(self._totals, counts, strict=True)]
        head = {
            "step": result.step,
            "layer": result.layer,
            "call": result.call,
            "pass": result.which,
            "cycles": result.machine.cycles,
            "energy_pj": result.machine.energy.total_pj,
        }
        with self._refusing():
            self._dump([head | {"local": self._local(counts)}])

    def _end(self) -> None:
        prices = [
            {
                "component": action.component,
                "action": name,
                "unit": action.unit.format(hw=self._hw),
                "pj": action.pj(self._table, self._hw),
            }
            for action in ARRAY_ACTIONS
            for name in action.names
        ]
        self._dump({"energy_table": self._table.name, "prices": prices})
        self._dump({"action_counts": {"version": 0.3, "local": self._local(self._totals)}})

    def _local(self, counts: list[int]) -> list[dict[str, Any]]:
        """Return counts by component, those that are 0 as well."""
        by_component: dict[str, list[dict[str, Any]]] = {}
        for action, count in zip(ARRAY_ACTIONS, counts, strict=True):
            of_one = by_component.setdefault(action.component, [])
            of_one += [{"name": name, "counts": count} for name in action.names]
        return [{"name": f"{self._design}.{name}", "action_counts": of_one} for name, of_one in by_component.items()]

    def _dump(self, part: object) -> None:
        yaml.safe_dump(part, self._file, sort_keys=False, allow_unicode=True, width=10**6)
