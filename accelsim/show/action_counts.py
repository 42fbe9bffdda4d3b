"""A run's action counts as a YAML file in the form of Accelergy's `action_counts`, version 0.3."""

from __future__ import annotations

import os
import re
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import yaml

from accelsim.energy.actions import ARRAY_ACTIONS
from accelsim.energy.load import load_table
from accelsim.errors import AccelsimError, HardwareError
from accelsim.files import whole_file
from accelsim.fleet import PassDetail
from accelsim.hardware.model import Hardware
from accelsim.results import PassResult


class ActionCounts:
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
        self.path, self._hw, self._table = Path(path), hw, load_table(hw.energy)
        if hw.idealised:
            raise HardwareError(f"{hw.name} is idealised, it has no energy and no action counts: take another machine")
        self._design = re.sub(r"\W", "_", hw.name)
        self._totals = [0] * len(ARRAY_ACTIONS)

    def __enter__(self) -> Self:
        try:
            with ExitStack() as opening:
                beside = opening.enter_context(whole_file(self.path))
                self._file = opening.enter_context(beside.open("w", encoding="utf-8"))
                self._file.write("# Counts by pass, then their sum as Accelergy reads it; fields: docs/interop.md.\n")
                self._file.write("passes:\n")
                self._closing = opening.pop_all()
        except OSError as error:
            raise self._unwritable(error) from None
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if error is not None:
            self._closing.__exit__(kind, error, traceback)
            return
        try:
            with self._closing:
                self._finish()
        except OSError as failure:
            raise self._unwritable(failure) from None

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
            "cycles": result.run.cycles,
            "energy_pj": result.run.energy.total_pj,
        }
        try:
            self._dump([head | {"local": self._local(counts)}])
        except OSError as error:
            raise self._unwritable(error) from None

    def _finish(self) -> None:
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

    def _unwritable(self, error: OSError) -> AccelsimError:
        return AccelsimError(f"{self.path}: action counts cannot be written: {error.strerror}")
