"""A simulation's result: a table with a row per operation and pass, totals, and the files they are kept in."""

from __future__ import annotations

import json
import math
import os
from collections.abc import Iterable
from dataclasses import dataclass, fields
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from accelsim.energy.account import EnergyBreakdown
from accelsim.errors import AccelsimError
from accelsim.hardware.model import Hardware
from accelsim.lowering.gemm import PASSES
from accelsim.results.row import PassResult, speedup
from accelsim.timing.outcome import Slots
from accelsim.trace.format import accelsim_version

SLOT_COLUMNS = tuple(f"slots_{part.name}" for part in fields(Slots))
ENERGY_COLUMNS = tuple(f"energy_{part.name}" for part in fields(EnergyBreakdown) if part.name != "vector_pj")
_SUMMED = (
    "macs",
    "effectual_macs",
    "cycles",
    "array_cycles",
    "dense_cycles",
    *SLOT_COLUMNS,
    "dram_bytes",
    "dense_dram_bytes",
    "energy_pj",
    "dense_energy_pj",
    *ENERGY_COLUMNS,
    "vector_cycles",
    "vector_energy_pj",
)


@dataclass(frozen=True)
class Result:
    """What `simulate` returns.

    Attributes:
        layers: a row per operation and pass; cycles are clock cycles, energies pJ, sizes bytes.
        hardware: the machine.
        trace: where the masks came from: path, metadata, whether the recording was complete.
        vector_work: whether the work between the convolutions was counted.
    """

    layers: pd.DataFrame
    hardware: Hardware
    trace: dict[str, Any]
    vector_work: bool = False

    @classmethod
    def from_rows(
        cls, rows: Iterable[PassResult], hardware: Hardware, trace: dict[str, Any], vector_work: bool
    ) -> Result:
        """Build the table; rows keep their order."""
        return cls(pd.DataFrame([row.columns() for row in rows]), hardware, trace, vector_work)

    @cached_property
    def summary(self) -> dict[str, Any]:
        """Totals of the recorded steps: for all, by pass, by branch and call, and by step; plain values only."""
        steps = sorted(int(step) for step in self.layers["step"].unique())
        return {
            "accelsim_version": accelsim_version(),
            "hardware": self.hardware.model_dump(mode="json"),
            "trace": self.trace,
            "steps": steps,
            "vector_work_counted": self.vector_work,
            "total": self._totals(self.layers),
            "by_pass": {name: self._totals(part) for name in PASSES if len(part := self._of("pass", name))},
            "by_branch": {
                f"{branch}, call {call}": self._totals(part)
                for (branch, call), part in self.layers.groupby(["branch", "call"], sort=False)
            },
            "by_step": {str(step): self._totals(self._of("step", step)) for step in steps},
        }

    def _of(self, column: str, value: object) -> pd.DataFrame:
        return self.layers[self.layers[column] == value]

    def _totals(self, part: pd.DataFrame) -> dict[str, Any]:
        totals: dict[str, Any] = {name: np.asarray(part[name]).sum().item() for name in _SUMMED}
        faster = speedup(totals["dense_cycles"], totals["cycles"])
        totals["speedup"] = faster if math.isfinite(faster) else None
        slots = sum(totals[name] for name in SLOT_COLUMNS)
        consumed = totals["slots_effectual"] + totals["slots_ineffectual"]
        totals["utilization"] = consumed / slots if slots else 0.0
        totals["energy_ratio"] = totals["dense_energy_pj"] / totals["energy_pj"] if totals["energy_pj"] else None
        totals["seconds"] = totals["cycles"] / (self.hardware.clock_mhz * 1e6)
        if self.vector_work:
            every, dense = (totals[name] + totals["vector_cycles"] for name in ("cycles", "dense_cycles"))
            totals["speedup_with_vector_work"] = speedup(dense, every) if every else None
        return totals

    def save(self, folder: str | os.PathLike[str]) -> None:
        """Write `layers.csv` and `summary.json`, each whole or not at all.

        Raises:
            AccelsimError: the folder cannot be written.
        """
        directory = Path(folder)
        try:
            directory.mkdir(parents=True, exist_ok=True)
            _write_whole(directory / "layers.csv", self.layers.to_csv(index=False))
            _write_whole(directory / "summary.json", json.dumps(self.summary, indent=2, allow_nan=False) + "\n")
        except OSError as error:
            raise AccelsimError(f"{directory}: results cannot be written: {error.strerror}") from None


def _write_whole(path: Path, text: str) -> None:
    beside = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        beside.write_text(text, encoding="utf-8")
        beside.replace(path)
    finally:
        beside.unlink(missing_ok=True)
