"""Two results on the same masks: what got faster, and where the cycles went."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from accelsim.errors import AccelsimError
from accelsim.results.result import SLOT_COLUMNS
from accelsim.results.saved import SavedResult

KEYS = ["trace", "step", "call", "layer", "pass"]
_MEASURES = ["cycles", "dense_cycles", "energy_pj", "dense_energy_pj"]
SLOT_NAMES = tuple(column.removeprefix("slots_") for column in SLOT_COLUMNS)


@dataclass(frozen=True)
class Comparison:
    """Two results, side by side.

    Attributes:
        first, second: the results.
        layers: a row a layer and pass, steps and calls added up: layer, pass, and for each of the two, ending in _a and
            _b: cycles, dense_cycles, energy_pj, dense_energy_pj, and cycles by slot (`barrier_a`: the cycles that all
            multipliers together spent on it; a machine's slots sum to its cycles, so the differences sum to the
            difference in cycles, whatever the two arrays' sizes).
        notes: what a reader has to know, a sentence each.
    """

    first: SavedResult
    second: SavedResult
    layers: pd.DataFrame
    notes: tuple[str, ...]

    def totals(self, which: str | None = None) -> dict[str, float]:
        """Return the sums of a pass, or of all; NaN for the energy of an idealised machine."""
        rows = self.layers if which is None else self.layers[self.layers["pass"] == which]
        return {name: float(rows[name].sum(skipna=False)) for name in rows.columns if name not in ("layer", "pass")}

    def seconds(self) -> tuple[float, float]:
        """Return how long either takes for the recorded steps."""
        sums = self.totals()
        clocks = [one.summary["hardware"]["clock_mhz"] * 1e6 for one in (self.first, self.second)]
        return sums["cycles_a"] / clocks[0], sums["cycles_b"] / clocks[1]


def compare(first: SavedResult, second: SavedResult, *, unlike: bool = False) -> Comparison:
    """Put two results side by side.

    Args:
        unlike: also compare results of different traces with the same operations; a note says so.

    Raises:
        AccelsimError: they are of different masks, or of different operations and passes.
    """
    notes = _trace_notes(first, second, unlike)
    one, other = (_keyed(result) for result in (first, second))
    missing, extra = one.index.difference(other.index), other.index.difference(one.index)
    for keys, has, lacks in ((missing, first, second), (extra, second, first)):
        if len(keys):
            trace, step, call, layer, which = keys[0]
            raise AccelsimError(
                f"{has.path} and {lacks.path} are not of the same operations: {len(keys)} rows are in the former only,"
                f" such as {layer}, {which}, step {step}, call {call}, file {trace}"
            )
    if not np.array_equal(one["macs"], other["macs"].reindex(one.index)):
        raise AccelsimError(f"{first.path} and {second.path} have the same layers' names, but not their sizes")
    notes += _machine_notes(first, second, one, other)
    names = [*_MEASURES, *SLOT_NAMES]
    columns = {f"{name}_{side}": rows[name] for name in names for side, rows in (("a", one), ("b", other))}
    order = first.layers[["layer", "pass"]].drop_duplicates()
    sums = pd.DataFrame(columns).groupby(["layer", "pass"], sort=False).sum(min_count=1)
    layers = sums.reindex(pd.MultiIndex.from_frame(order)).reset_index()
    return Comparison(first, second, layers, tuple(notes))


def _keyed(result: SavedResult) -> pd.DataFrame:
    """A result's rows by operation and pass, with its slots as cycles."""
    table = result.layers
    if "trace" not in table.columns:
        table = table.assign(trace=0)
    if doubled := int(table.duplicated(KEYS).sum()):
        raise AccelsimError(f"{result.path / 'layers.csv'}: {doubled} rows are there twice")
    rows = table.set_index(KEYS).sort_index()
    slots = [column for column in SLOT_COLUMNS if column in rows.columns]
    a_cycle = rows[slots].sum(axis=1) / rows["cycles"].where(rows["cycles"] > 0)
    for name, column in zip(SLOT_NAMES, SLOT_COLUMNS, strict=True):
        rows[name] = (rows[column] / a_cycle).fillna(0.0) if column in slots else 0.0
    return rows


def _trace_notes(first: SavedResult, second: SavedResult, unlike: bool) -> list[str]:
    hashes = [result.trace.get("sha256") for result in (first, second)]
    paths = [result.trace["path"] or "operations in memory" for result in (first, second)]
    if None in hashes:
        return ["Not both results say which content their trace had: whether the masks are the same is not known."]
    if hashes[0] == hashes[1]:
        return []
    traces = " and ".join(f"{path} (SHA-256 {_short(sha)})" for path, sha in zip(paths, hashes, strict=True))
    if not unlike:
        raise AccelsimError(
            f"{first.path} and {second.path} are of different traces, {traces}; --unlike compares them all the same"
        )
    return [f"The masks differ: {traces}."]


def _short(sha256: Any) -> str:
    return ", ".join(one[:12] for one in ([sha256] if isinstance(sha256, str) else sha256))


def _machine_notes(first: SavedResult, second: SavedResult, one: pd.DataFrame, other: pd.DataFrame) -> list[str]:
    notes = []
    if not np.array_equal(one["dense_cycles"], other["dense_cycles"].reindex(one.index)):
        dense = [int(rows["dense_cycles"].sum()) for rows in (one, other)]
        notes.append(
            f"Their baselines differ, {dense[0]:,} and {dense[1]:,} cycles without skipping: compare cycles, not"
            " speedups."
        )
    facts = {
        "clocks": [f"{result.summary['hardware']['clock_mhz']:g} MHz" for result in (first, second)],
        "energy tables": [str(result.summary["hardware"]["energy"]) for result in (first, second)],
        "versions of accelsim": [str(result.summary["accelsim_version"]) for result in (first, second)],
    }
    notes += [f"Their {name} differ: {pair[0]} and {pair[1]}." for name, pair in facts.items() if pair[0] != pair[1]]
    bounds = [str(result.path) for result in (first, second) if result.summary["total"]["energy_pj"] is None]
    if bounds:
        notes.append(f"Idealised, so without energy: {' and '.join(bounds)}.")
    sampled = [str(result.path) for result in (first, second) if "sampling" in result.summary]
    if sampled:
        notes.append(f"Sampled, so estimates: {' and '.join(sampled)}.")
    return notes
