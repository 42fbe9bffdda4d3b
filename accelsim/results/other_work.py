"""The work between the products in a result: what it costs by recorded step and kind, and sums of that."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pandas as pd

from accelsim.energy.account import Actions
from accelsim.energy.table import EnergyTable
from accelsim.energy.vector_work import ROWS, vector_energy, vector_work
from accelsim.hardware.model import Hardware
from accelsim.results.row import known
from accelsim.trace.other_work import OtherWork

OTHER_WORK = "other work"
_COUNTS, _ENERGIES = ("ops", "dram_bytes", "cycles"), ("energy_pj", "dense_energy_pj", "equal_area_energy_pj")
COLUMNS = ("step", "kind", *_COUNTS, *_ENERGIES)

NO_OTHER_WORK: dict[str, Any] = dict.fromkeys(_COUNTS, 0) | dict.fromkeys(_ENERGIES, 0.0)
"""Sums of nothing."""

TOLD = "counted by the tracer"
ASSUMED = "assumed: a batch norm and a ReLU after every convolution and linear layer, SGD with momentum"
NOT_ASKED = "left out"
OF_A_PART = "not counted where only some layers or passes are replayed"


@dataclass(frozen=True)
class OtherWorkCosts:
    """What the work between the products costs on a machine.

    Attributes:
        basis: where its elements are from, or why there are none, a phrase.
        table: a row a step and kind: step, kind (norm, activation, softmax, pooling, add, dropout, optimizer), ops,
            dram_bytes, cycles, energy_pj, dense_energy_pj, equal_area_energy_pj. The dense machines do the same work in
            the same cycles; their energy differs by their leakage.
    """

    basis: str = NOT_ASKED
    table: pd.DataFrame = field(default_factory=lambda: pd.DataFrame([], columns=list(COLUMNS)))

    @classmethod
    def of(
        cls, work: OtherWork, basis: str, hw: Hardware, prices: EnergyTable, rival: Hardware | None = None
    ) -> OtherWorkCosts:
        """Return the costs of some work.

        Args:
            rival: the dense machine at equal area, if there is one; its vector unit is the machine's.
        """
        rows, machines = [], (hw, hw.dense(), rival)
        for step, tally in sorted(work.steps.items()):
            for kind, done in vector_work(hw, tally).items():
                energies = [
                    math.nan if machine is None else vector_energy(prices, machine, done).total_pj
                    for machine in machines
                ]
                rows.append((step, kind, done.ops, done.dram_bytes, done.cycles, *energies))
        return cls(basis, pd.DataFrame(rows, columns=list(COLUMNS)))

    @property
    def counted(self) -> bool:
        """Whether totals have it."""
        return self.basis in (TOLD, ASSUMED)

    def sums(self, stands_for: Mapping[int, float] | None = None) -> dict[str, Any]:
        """Return plain sums of all steps, or of those given, each as often as it stands for others."""
        return _sums(self.table, stands_for)

    def by_kind(self, stands_for: Mapping[int, float] | None = None) -> dict[str, dict[str, Any]]:
        """Return the same sums for each kind that there is."""
        parts = {kind: self.table[self.table["kind"] == kind] for kind in ROWS}
        return {kind: _sums(part, stands_for) for kind, part in parts.items() if len(part)}


LEFT_OUT = OtherWorkCosts()


def _sums(rows: pd.DataFrame, stands_for: Mapping[int, float] | None) -> dict[str, Any]:
    if stands_for is None:
        counts: dict[str, Any] = {name: sum(rows[name].tolist()) for name in _COUNTS}
        return counts | {name: known(float(sum(rows[name].tolist()))) for name in _ENERGIES}
    weights = np.array([stands_for.get(step, 0.0) for step in rows["step"].tolist()], np.float64)
    counts = {name: round(float(weights @ rows[name].to_numpy(np.float64))) for name in _COUNTS}
    return counts | {name: known(float(weights @ rows[name].to_numpy(np.float64))) for name in _ENERGIES}


def actions_of(sums: Mapping[str, Any]) -> Actions:
    """Return what energy is charged for, of some sums."""
    return Actions(cycles=sums["cycles"], vector_ops=sums["ops"], dram_read_bytes=sums["dram_bytes"])


def parts_of_total(summary: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    """Return what a summary's total is the sum of: its passes, and the work between the products in the same terms."""
    parts: dict[str, dict[str, Any]] = dict(summary["by_pass"])
    done = (summary.get("other_work") or {}).get("total")
    if done and done["cycles"]:
        own, dense = done["energy_pj"], done["dense_energy_pj"]
        rest = {"dense_cycles": done["cycles"], "speedup": 1.0, "energy_ratio": dense / own if own else None}
        rival = done.get("equal_area_energy_pj")
        rest["equal_area_cycles"] = None if rival is None else done["cycles"]
        rest["speedup_at_equal_area"] = None if rival is None else 1.0
        rest["energy_ratio_at_equal_area"] = None if rival is None or not own else rival / own
        parts[OTHER_WORK] = dict.fromkeys(("macs", "effectual_macs", "utilization"), 0) | done | rest
    return parts
