"""A whole training from its recorded steps: cycles, energy and speedup of all optimiser steps of the run.

Steps that grow weights by gradient and ordinary ones are sampled each for itself. Between two recorded steps of a kind
a quantity moves along a straight line over training time, outside it keeps the nearest recorded value; the sum runs
over the run's actual steps. So a recorded step stands for a number of steps, and a total is a weighted sum.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from accelsim.energy.account import Actions
from accelsim.energy.mask_update import SELECTION_PASSES, mask_update_actions
from accelsim.energy.vector_work import VectorWork
from accelsim.lowering.gemm import PASSES
from accelsim.results.energy_range import NOTHING, EnergyRanges
from accelsim.results.equal_area import ratios
from accelsim.results.other_work import LEFT_OUT, OTHER_WORK, OtherWorkCosts, actions_of
from accelsim.results.row import known, speedup
from accelsim.results.whole_run import WholeRun
from accelsim.trace.training_run import TrainingRun

RULE = "straight lines between recorded steps of a kind, constant outside, summed over the run's steps"
ALL_PASSES = "all passes"
_COUNTED = (
    *("macs", "effectual_macs", "cycles", "dense_cycles", "equal_area_cycles"),
    *("energy_pj", "dense_energy_pj", "equal_area_energy_pj"),
)
_FEWEST_TO_HALVE = 4


@dataclass(frozen=True)
class StepGroup:
    """The run's steps of one kind, and the recorded ones that stand for them.

    Attributes:
        steps: ascending, int64.
        recorded: ascending, at least one.
    """

    steps: np.ndarray
    recorded: tuple[int, ...]

    def weights(self, chosen: slice = slice(None)) -> pd.Series:
        """Return how many steps each recorded one stands for, by step; `chosen` leaves some recorded ones out."""
        recorded = self.recorded[chosen] or self.recorded
        return pd.Series(stands_for(recorded, self.steps), index=list(recorded))


def stands_for(recorded: Sequence[int], steps: np.ndarray) -> np.ndarray:
    """Return how many of a run's steps each recorded step stands for, float64 [recorded].

    A step between two recorded ones is shared by them, the nearer one taking more; one outside is its neighbour's.

    Args:
        recorded: ascending, at least one.
        steps: int64, the steps to stand for.
    """
    last = len(recorded) - 1
    position = np.interp(steps, recorded, np.arange(last + 1))
    left = np.floor(position).astype(np.int64)
    right = np.minimum(left + 1, last)
    return np.bincount(left, 1 - (position - left), last + 1) + np.bincount(right, position - left, last + 1)


def group_steps(run: TrainingRun, recorded: Sequence[int]) -> tuple[dict[str, StepGroup], list[str]]:
    """Divide a run's steps into kinds, each with its recorded steps, and say what is missing.

    Of a kind that was not recorded the other kind's recorded steps stand for it.
    """
    growth = np.array([step for step in run.growth_steps if run.first_step <= step < run.end_step], dtype=np.int64)
    ordinary = np.setdiff1d(np.arange(run.first_step, run.end_step), growth)
    groups, notes = {}, []
    for kind, steps, grows in (("ordinary", ordinary, False), ("growth", growth, True)):
        of_kind = tuple(step for step in recorded if (step in run.growth_steps) == grows)
        if len(steps) and not of_kind:
            cost = "too little" if grows else "too much"
            notes.append(f"None of the {len(steps)} {kind} steps was recorded: the others stand for them, {cost}.")
        if len(steps):
            groups[kind] = StepGroup(steps, of_kind or tuple(recorded))
    return groups, notes


def sum_training(
    layers: pd.DataFrame,
    other_work: OtherWorkCosts,
    whole: WholeRun,
    mask_updates: pd.DataFrame,
    clock_mhz: float,
    energy_ranges: EnergyRanges,
) -> tuple[dict[str, Any], pd.Series]:
    """Sum a whole training.

    Args:
        layers: a row per recorded operation and pass, as in a result.
        other_work: of the recorded steps.
        whole: the run.
        mask_updates: a row an update: judged, pruned, grown, dram_bytes, cycles, energy_pj.
        clock_mhz: of the machine.
        energy_ranges: how far ratios of energies may be off, since prices are known only so well.

    Returns:
        What `Result.training` says, and how many steps each recorded step stands for, by step; empty if the run's
        length is not known or its course cannot be.
    """
    recorded = [int(step) for step in np.sort(layers["step"].unique()) if step != whole.unfinished]
    run, notes = whole.run, list(whole.notes)
    if run is not None:
        recorded = [step for step in recorded if step < run.end_step]
        length = run.end_step - run.first_step
        if length > 1 and len(recorded) < 2:
            notes.insert(0, f"No whole training: {len(recorded)} recorded step of {length} does not show its course.")
            run = None
    if run is None or not recorded:
        return {"total": None, "notes": notes}, pd.Series(dtype=np.float64)
    groups, missing = group_steps(run, recorded)
    weights = _together([group.weights() for group in groups.values()])
    whole_steps = _with_other_work(layers, other_work)
    halves = _halves(whole_steps, groups, mask_updates, clock_mhz)
    if halves is None:
        missing.append(f"Fewer than {_FEWEST_TO_HALVE} recorded ordinary steps: no estimate of the sampling error.")

    def sums(
        part: pd.DataFrame, weights: pd.Series, between: OtherWorkCosts = LEFT_OUT, updates: pd.DataFrame | None = None
    ) -> dict[str, Any]:
        rows = part[part["pass"] != OTHER_WORK]
        often = rows["step"].map(weights).fillna(0.0)
        both = actions_of(between.sums(dict(zip(weights.index.tolist(), weights.tolist(), strict=True))))
        alone = NOTHING if updates is None else _update_actions(updates)
        return _sums(part, weights, updates, clock_mhz) | energy_ranges.bounds(often, both, alone)

    found = {
        "first_step": run.first_step,
        "steps": run.end_step - run.first_step,
        "growth_steps": len(groups["growth"].steps) if "growth" in groups else 0,
        "recorded": dict(Counter("growth" if step in run.growth_steps else "ordinary" for step in recorded)),
        "rule": RULE,
        "total": sums(whole_steps, weights, other_work, mask_updates),
        "by_pass": {name: sums(part, weights) for name in PASSES if len(part := _of(layers, "pass", name))},
        "by_branch": {str(name): sums(_of(layers, "branch", name), weights) for name in layers["branch"].unique()},
        "by_kind": {kind: sums(whole_steps, group.weights(), other_work) for kind, group in groups.items()},
        "other_work": other_work.by_kind({int(step): float(weights.loc[step]) for step in weights.index}),
        "mask_updates": {"count": len(mask_updates)}
        | {name: known(sum(mask_updates[name].tolist())) for name in mask_updates.columns if name != "step"},
        "halves": halves,
        "notes": notes + missing,
    }
    return found, weights


def tabulate_steps(
    layers: pd.DataFrame, other_work: OtherWorkCosts, whole: WholeRun, weights: pd.Series
) -> pd.DataFrame:
    """Return a row a recorded step and pass, its other work, and all of it together, see `Result.steps`."""
    growth = frozenset(whole.run.growth_steps) if whole.run else frozenset()
    layers = _with_other_work(layers, other_work)
    rows: list[dict[str, object]] = []
    for step in np.sort(layers["step"].unique()):
        part = _of(layers, "step", step)
        kind = "unknown" if whole.run is None else "growth" if step in growth else "ordinary"
        start = {"step": int(step), "kind": kind, "stands_for": weights.get(step, math.nan)}
        for name in (*PASSES, OTHER_WORK, ALL_PASSES):
            chosen = part if name == ALL_PASSES else _of(part, "pass", name)
            if len(chosen):
                sums = {column: np.asarray(chosen[column]).sum().item() for column in _COUNTED}
                faster = speedup(sums["dense_cycles"], sums["cycles"])
                at_equal_area = speedup(sums["equal_area_cycles"], sums["cycles"])
                rows.append(start | {"pass": name} | sums | {"speedup": faster, "speedup_at_equal_area": at_equal_area})
    return pd.DataFrame(rows)


def _with_other_work(layers: pd.DataFrame, other_work: OtherWorkCosts) -> pd.DataFrame:
    """Add rows of the pass `OTHER_WORK`, one a step and kind, to what is counted of the others."""
    done = other_work.table
    if not len(done):
        return layers
    rows = done[["step", "cycles", "energy_pj", "dense_energy_pj", "equal_area_energy_pj"]].copy()
    rows["pass"], rows["macs"], rows["effectual_macs"], rows["dense_cycles"] = OTHER_WORK, 0, 0, done["cycles"]
    rows["equal_area_cycles"] = done["cycles"].where(done["equal_area_energy_pj"].notna())
    return pd.concat([layers[["step", "pass", *_COUNTED]], rows], ignore_index=True)


def _of(table: pd.DataFrame, column: str, value: object) -> pd.DataFrame:
    return table[table[column] == value]


def _together(parts: Sequence[pd.Series]) -> pd.Series:
    """Add up weights by step; a step that stands for two kinds is in both."""
    together: pd.Series = pd.concat(parts).groupby(level=0).sum()
    return together


def _sums(
    layers: pd.DataFrame, weights: pd.Series, mask_updates: pd.DataFrame | None, clock_mhz: float
) -> dict[str, Any]:
    """Weighted sums over steps, counts rounded to whole ones, with the mask updates if they are given."""
    counted = layers.groupby("step")[list(_COUNTED)]
    by_step = counted.apply(lambda step: step.sum(skipna=False)).reindex(weights.index, fill_value=0)
    exact = {name: float(weights.to_numpy() @ by_step[name].to_numpy()) for name in by_step.columns}
    if mask_updates is not None:
        exact["cycles"] += sum(mask_updates["cycles"])
        exact["energy_pj"] += sum(mask_updates["energy_pj"])
    sums: dict[str, Any] = {
        name: known(value) if name.endswith("_pj") or math.isnan(value) else round(value)
        for name, value in exact.items()
    }
    return sums | {
        "speedup": known(speedup(sums["dense_cycles"], sums["cycles"])),
        "energy_ratio": sums["dense_energy_pj"] / sums["energy_pj"] if sums["energy_pj"] else None,
        **ratios(sums),
        "seconds": sums["cycles"] / (clock_mhz * 1e6),
    }


def _update_actions(updates: pd.DataFrame) -> Actions:
    """What energy is charged for in updates of the masks."""
    judged, dram_bytes, cycles = (int(updates[name].sum()) for name in ("judged", "dram_bytes", "cycles"))
    return mask_update_actions(VectorWork(SELECTION_PASSES * judged, dram_bytes, cycles))


def _halves(
    layers: pd.DataFrame, groups: dict[str, StepGroup], mask_updates: pd.DataFrame, clock_mhz: float
) -> dict[str, Any] | None:
    """What either half of the recorded steps, every other one, makes of the run: a measure of the sampling error."""
    if "ordinary" not in groups or len(groups["ordinary"].recorded) < _FEWEST_TO_HALVE:
        return None
    sums = []
    for start in (0, 1):
        weights = _together([group.weights(slice(start, None, 2)) for group in groups.values()])
        sums.append(_sums(layers, weights, mask_updates, clock_mhz))
    return {name: [half[name] for half in sums] for name in ("cycles", "energy_pj", "speedup")}
