"""A simulation's result: a table with a row per operation and pass, totals, and the files they are kept in."""

from __future__ import annotations

import csv
import json
import os
from collections.abc import Iterable
from dataclasses import dataclass, field, fields, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from accelsim.array import Slots
from accelsim.energy.account import EnergyBreakdown
from accelsim.errors import AccelsimError
from accelsim.files import write_whole
from accelsim.hardware.model import Hardware
from accelsim.lowering.gemm import PASSES
from accelsim.results.energy_range import EnergyRange, EnergyRanges
from accelsim.results.equal_area import EqualArea, ratios
from accelsim.results.html import summary_html
from accelsim.results.other_work import NO_OTHER_WORK, OtherWorkCosts, actions_of
from accelsim.results.row import PassResult, known, port_rates, speedup
from accelsim.results.sampled import EXACT, SampledRows, sampling_summary, with_intervals
from accelsim.results.training import sum_training, tabulate_steps
from accelsim.results.whole_run import WholeRun
from accelsim.sampling import Sampling, Spread
from accelsim.trace.format import accelsim_version
from accelsim.trace.plain import json_values

SLOT_COLUMNS = tuple(f"slots_{part.name}" for part in fields(Slots))
ENERGY_COLUMNS = tuple(f"energy_{part.name}" for part in fields(EnergyBreakdown) if part.name != "vector_pj")
_RIVALS = ("equal_area_cycles", "equal_area_energy_pj")
_SUMMED = (
    "macs",
    "effectual_macs",
    "cycles",
    "array_cycles",
    "dense_cycles",
    "equal_area_cycles",
    *SLOT_COLUMNS,
    "dram_bytes",
    "dense_dram_bytes",
    "working_cycles",
    "weight_read_words",
    "input_read_words",
    "energy_pj",
    "dense_energy_pj",
    "equal_area_energy_pj",
    *ENERGY_COLUMNS,
)


@dataclass(frozen=True)
class Result:
    """What `simulate` returns.

    Attributes:
        layers: a row per operation and pass; cycles are clock cycles, energies pJ (NaN for an idealised machine, which
            has none), sizes bytes. `trace` is which of several trace files (ranks, parts) the row is of, by its
            position in `trace["path"]`, from 0.
        hardware: the machine.
        trace: where the masks came from: path, SHA-256 of the file's content, metadata, whether the recording was
            complete, and whether all of its records and passes were replayed.
        other_work: the work between the products (normalisation, activation functions, optimiser), see
            `OtherWorkCosts`.
        run: what is known of the run behind the recorded steps.
        mask_updates: a row an update of the masks in the whole run: step, judged (weights compared), pruned, grown,
            dram_bytes, cycles, energy_pj.
        sampling: how the tiles were sampled, if they were; then `layers` has `tiles`, `simulated_tiles`, and 95 %
            intervals: cycles_low and cycles_high, energy_pj_low and energy_pj_high.
        spreads: how far each row of `layers` may be off.
        energy_range: how far its energies may be off, since prices are known only so well.
        equal_area: the best dense machine of the same area.
        rivals: what it did, a row per row of `layers`: equal_area_cycles, equal_area_energy_pj; NaN without one.
        rival_spreads: how far each of these rows may be off.
    """

    layers: pd.DataFrame
    hardware: Hardware
    trace: dict[str, Any]
    other_work: OtherWorkCosts = field(default_factory=OtherWorkCosts)
    run: WholeRun = field(default_factory=lambda: WholeRun(None))
    mask_updates: pd.DataFrame = field(default_factory=lambda: mask_update_table(()))
    sampling: Sampling | None = None
    spreads: tuple[Spread, ...] = ()
    energy_range: EnergyRange | None = None
    equal_area: EqualArea = field(default_factory=EqualArea)
    rivals: pd.DataFrame = field(default_factory=pd.DataFrame)
    rival_spreads: tuple[Spread, ...] = ()

    @classmethod
    def from_rows(
        cls,
        rows: Iterable[PassResult],
        hardware: Hardware,
        trace: dict[str, Any],
        other_work: OtherWorkCosts,
        run: WholeRun,
        mask_updates: pd.DataFrame,
        sampling: Sampling | None = None,
        equal_area: EqualArea | None = None,
    ) -> Result:
        """Build the table; rows keep their order."""
        rows = list(rows)
        table, spreads = pd.DataFrame([row.columns() for row in rows]), tuple(row.machine.spread for row in rows)
        layers, rivals = table.drop(columns=list(_RIVALS)), table[list(_RIVALS)]
        if sampling is not None:
            layers = with_intervals(layers, spreads)
        own, beside = [row.machine.actions for row in rows], equal_area or EqualArea()
        energy_range = EnergyRange(hardware, hardware.dense(), own, [row.dense.actions for row in rows])
        if beside.machine is not None:
            done = [row.equal_area.actions for row in rows if row.equal_area is not None]
            beside = replace(beside, energy_range=EnergyRange(hardware, beside.machine, own, done))
        return cls(
            layers,
            hardware,
            trace,
            other_work,
            run,
            mask_updates,
            sampling,
            spreads,
            energy_range,
            beside,
            rivals,
            tuple(EXACT if row.equal_area is None else row.equal_area.spread for row in rows),
        )

    @cached_property
    def _counted(self) -> pd.DataFrame:
        """`layers`, with the columns of `rivals`."""
        return pd.concat([self.layers, self.rivals], axis=1)

    @property
    def training(self) -> dict[str, Any]:
        """The whole training: cycles, energy and speedup of all optimiser steps of the run; plain values only.

        `total` (with the mask updates, which the dense baseline does not need), `by_pass`, `by_branch` and `by_kind`
        (ordinary and growth steps) hold cycles, dense_cycles, energy_pj, dense_energy_pj, speedup, energy_ratio (with
        energy_ratio_low and energy_ratio_high, see `summary`), the same at equal area, and seconds; `total` and
        `by_kind` have the work between the products too, of which `other_work` says how much each kind is. `steps`,
        `growth_steps` and `mask_updates` say how many there were, `recorded` how many of either kind the sums rest on,
        `rule` how. `halves` has the totals that either half of the recorded steps would give, None if there are too
        few. `total` is None, and nothing else is there, where `notes` say why the run cannot be summed.
        """
        return self._training[0]

    @cached_property
    def steps(self) -> pd.DataFrame:
        """A row a recorded step and pass, and two for the step: its `other work`, if it is counted, and `all passes`
        together with that. How the speedup moves over the training.

        Columns: step, kind (ordinary; growth: weights grow by gradient; unknown: the trace does not say), stands_for
        (steps of the run, not a number without a sum), pass, macs, effectual_macs, cycles, dense_cycles, energy_pj,
        dense_energy_pj, speedup.
        """
        return tabulate_steps(self._counted, self.other_work, self.run, self._training[1])

    @cached_property
    def _training(self) -> tuple[dict[str, Any], pd.Series]:
        return sum_training(
            self._counted, self.other_work, self.run, self.mask_updates, self.hardware.clock_mhz, self._energy_ranges
        )

    @property
    def _energy_ranges(self) -> EnergyRanges:
        beside = self.equal_area.energy_range
        return EnergyRanges({"energy_ratio": self.energy_range, "energy_ratio_at_equal_area": beside})

    @cached_property
    def summary(self) -> dict[str, Any]:
        """Totals of the recorded steps, for all, by pass, by branch and call, and by step; and the whole training.

        `total` and `by_step` have the work between the products, `other_work`, on top of what passes sum up to: its
        cycles and energy are also by themselves there (`other_work_cycles`, `energy_other_work_pj`). It takes the
        baseline as long, so it lowers the speedup. `energy_ratio` lies from `energy_ratio_low` to `energy_ratio_high`
        in 90 % of draws of the prices within their ranges, the same draw for machine and baseline.
        `weight_words_per_cycle` and `input_words_per_cycle` are what the ports were asked for. Plain values only;
        None where there is none, as for the energy of an idealised machine. `sampling` is there if the tiles were
        sampled, see `sampling_summary`.
        """
        steps = sorted(int(step) for step in self.layers["step"].unique())
        sampled: dict[str, Any] = {}
        if self.sampling is not None:
            weights, total = self._training[1], self.training["total"]
            rows = SampledRows(self._counted, self.spreads, self.rival_spreads)
            sampled["sampling"] = sampling_summary(self.sampling, rows, self.other_work, weights, total)
        return {
            "accelsim_version": accelsim_version(),
            "hardware": self.hardware.model_dump(mode="json"),
            "trace": json_values(self.trace),
            "steps": steps,
            "other_work": {
                "basis": self.other_work.basis,
                "lanes": self.hardware.vector_lanes,
                "total": self.other_work.sums(),
                "by_kind": self.other_work.by_kind(),
            },
            "equal_area": self.equal_area.plain(),
            "total": self._totals(self._counted, self.other_work.sums()),
            "by_pass": {name: self._totals(part) for name in PASSES if len(part := self._of("pass", name))},
            "by_branch": {
                f"{branch}, call {call}": self._totals(part)
                for (branch, call), part in self._counted.groupby(["branch", "call"], sort=False)
            },
            "by_step": {
                str(step): self._totals(self._of("step", step), self.other_work.sums({step: 1.0})) for step in steps
            },
            "training": self.training,
            **sampled,
        }

    def _of(self, column: str, value: object) -> pd.DataFrame:
        return self._counted[self._counted[column] == value]

    def _totals(self, part: pd.DataFrame, other: dict[str, Any] | None = None) -> dict[str, Any]:
        """Sum rows up, with the other work that goes with them."""
        totals: dict[str, Any] = {name: known(np.asarray(part[name]).sum().item()) for name in _SUMMED}
        other = NO_OTHER_WORK if other is None else other
        for name in ("cycles", "dram_bytes"):
            totals[name] += other[name]
            totals[f"dense_{name}"] += other[name]
        if totals["equal_area_cycles"] is not None:
            totals["equal_area_cycles"] = round(totals["equal_area_cycles"]) + other["cycles"]
        for name in ("energy_pj", "dense_energy_pj", "equal_area_energy_pj"):
            totals[name] = None if totals[name] is None else totals[name] + (other[name] or 0.0)
        totals["other_work_cycles"] = other["cycles"]
        totals["energy_other_work_pj"] = None if totals["energy_pj"] is None else other["energy_pj"]
        totals["speedup"] = known(speedup(totals["dense_cycles"], totals["cycles"]))
        slots = sum(totals[name] for name in SLOT_COLUMNS)
        consumed = totals["slots_effectual"] + totals["slots_ineffectual"]
        totals["utilization"] = consumed / slots if slots else 0.0
        totals["energy_ratio"] = totals["dense_energy_pj"] / totals["energy_pj"] if totals["energy_pj"] else None
        totals |= ratios(totals) | port_rates(totals)
        totals |= self._energy_ranges.bounds(pd.Series(1.0, part.index), actions_of(other))
        totals["seconds"] = totals["cycles"] / (self.hardware.clock_mhz * 1e6)
        return totals

    def _repr_html_(self) -> str:
        return summary_html(self.summary)

    def save(self, folder: str | os.PathLike[str]) -> None:
        """Write `layers.csv`, `training.csv` (the recorded steps) and `summary.json`, each whole or not at all.

        Raises:
            AccelsimError: the folder cannot be written.
        """
        directory = Path(folder)
        try:
            directory.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise AccelsimError(f"{directory}: results cannot be written: {error.strerror}") from None
        write_whole(directory / "layers.csv", _csv(self.layers))
        write_whole(directory / "training.csv", _csv(self.steps))
        write_whole(directory / "summary.json", json.dumps(self.summary, indent=2, allow_nan=False) + "\n")


def _csv(table: pd.DataFrame) -> str:
    text = table.to_csv(index=False)
    # Before Python 3.13 csv leaves carriage returns unquoted, and readers take them for the end of a line.
    return table.to_csv(index=False, quoting=csv.QUOTE_NONNUMERIC) if "\r" in text else text


def mask_update_table(rows: Iterable[dict[str, float]]) -> pd.DataFrame:
    """Build a result's table of mask updates."""
    return pd.DataFrame(rows, columns=["step", "judged", "pruned", "grown", "dram_bytes", "cycles", "energy_pj"])
