"""Two results side by side: what differs, what got faster, and where the cycles went."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import pandas as pd

from accelsim.errors import AccelsimError
from accelsim.results.differences import Difference, find_differences, images_of, short_hash
from accelsim.results.other_work import OTHER_WORK, parts_of_total
from accelsim.results.result import SLOT_COLUMNS
from accelsim.results.saved import SavedResult

KEYS = ["trace", "step", "call", "layer", "pass"]
_MEASURES = ["cycles", "dense_cycles", "energy_pj", "dense_energy_pj"]
SLOT_NAMES = (*(column.removeprefix("slots_") for column in SLOT_COLUMNS), OTHER_WORK)
"""What cycles are spent on: the array's slots, and the work between the products."""


@dataclass(frozen=True)
class Comparison:
    """Two results, side by side.

    Attributes:
        first, second: the results.
        layers: one row per layer and pass, steps and calls added up, and one per kind of other work, whose layer is
            `OTHER_WORK` and whose pass is the kind: layer, pass, and for each of the two, ending in _a and _b: cycles,
            dense_cycles, energy_pj, dense_energy_pj, and cycles by slot (`barrier_a`: the cycles that all multipliers
            together spent on it; a machine's slots sum to its cycles, so the differences sum to the difference in
            cycles, whatever the two arrays' sizes). Figures per image if `per_image`.
        differs: what differs between the two, see `find_differences`.
        images: how many images the recorded steps of either took through its first layer, see `images_of`.
        per_image: whether the figures are divided by these images, because their numbers differ.
        notes: what a reader has to know, one sentence each.
    """

    first: SavedResult
    second: SavedResult
    layers: pd.DataFrame
    differs: dict[str, Difference]
    images: tuple[int | None, int | None]
    per_image: bool
    notes: tuple[str, ...]

    def totals(self, which: str | None = None) -> dict[str, float]:
        """Return the sums of a pass, of the other work, or of all; NaN for the energy of an idealised machine."""
        column = "layer" if which == OTHER_WORK else "pass"
        rows = self.layers if which is None else self.layers[self.layers[column] == which]
        return {name: float(rows[name].sum(skipna=False)) for name in rows.columns if name not in ("layer", "pass")}

    def at_equal_area(self) -> dict[str, dict[str, float | None]]:
        """Return the ratios against the best dense machines of either's area, by pass, and of all (`total`).

        For each, speedup_at_equal_area_a and _b, energy_ratio_at_equal_area_a and _b; None where there is none. Empty
        if neither result has such a machine.
        """
        parts = [parts_of_total(one.summary) | {"total": one.summary["total"]} for one in (self.first, self.second)]
        found: dict[str, dict[str, float | None]] = {
            name: {
                f"{ratio}_{side}": own.get(name, {}).get(ratio)
                for ratio in ("speedup_at_equal_area", "energy_ratio_at_equal_area")
                for side, own in zip("ab", parts, strict=True)
            }
            for name in dict.fromkeys([*parts[0], *parts[1]])
        }
        return found if any(value is not None for value in found["total"].values()) else {}

    def seconds(self) -> tuple[float, float]:
        """Return how long either takes for the recorded steps, or for an image if `per_image`."""
        sums = self.totals()
        clocks = [one.summary["hardware"]["clock_mhz"] * 1e6 for one in (self.first, self.second)]
        return sums["cycles_a"] / clocks[0], sums["cycles_b"] / clocks[1]


def compare(first: SavedResult, second: SavedResult, *, unlike: bool = False) -> Comparison:
    """Put two results side by side.

    Args:
        unlike: also compare results of different traces with the same layers and passes; other batch sizes and numbers
            of steps are compared per image.

    Raises:
        AccelsimError: they are of different masks, of different operations and passes, or of other sizes per image.
    """
    notes = _trace_notes(first, second, unlike)
    one, other = (_keyed(result) for result in (first, second))
    if unlike:
        one, other = (rows.groupby(["layer", "pass"]).sum(numeric_only=True, min_count=1) for rows in (one, other))
    missing, extra = one.index.difference(other.index), other.index.difference(one.index)
    for keys, has, lacks in ((missing, first, second), (extra, second, first)):
        if len(keys):
            key = dict(zip(keys.names, keys[0], strict=True))
            layer, which = key.pop("layer"), key.pop("pass")
            example = ", ".join([layer, which, *(f"{name} {value}" for name, value in key.items())])
            raise AccelsimError(
                f"{has.path} and {lacks.path} are not of the same operations: {len(keys)} rows are in the former only,"
                f" such as {example}"
            )
    images = images_of(first.layers), images_of(second.layers)
    per_image = unlike and images[0] is not None and images[1] is not None and images[0] != images[1]
    names = [*_MEASURES, *SLOT_NAMES]
    if per_image:
        one, other = (rows[["macs", *names]] / (number or 1) for rows, number in zip((one, other), images, strict=True))
    if not np.allclose(one["macs"], other["macs"].reindex(one.index), rtol=1e-9, atol=0):
        raise AccelsimError(
            f"{first.path} and {second.path} have the same layers' names, but not their sizes"
            f"{' per image' if per_image else ''}"
        )
    notes += _baseline_notes(one, other, per_image)
    bounds = [str(result.path) for result in (first, second) if result.summary["total"]["energy_pj"] is None]
    if bounds:
        notes.append(f"Idealised, so without energy: {' and '.join(bounds)}.")
    sampled = [str(result.path) for result in (first, second) if "sampling" in result.summary]
    if sampled:
        notes.append(f"Sampled, so estimates: {' and '.join(sampled)}.")
    columns = {f"{name}_{side}": rows[name] for name in names for side, rows in (("a", one), ("b", other))}
    order = first.layers[["layer", "pass"]].drop_duplicates()
    sums = pd.DataFrame(columns).groupby(["layer", "pass"], sort=False).sum(min_count=1)
    layers = sums.reindex(pd.MultiIndex.from_frame(order)).reset_index()
    between = _other_work((first, second), images if per_image else (1, 1))
    layers = pd.concat([layers, between.reindex(columns=layers.columns)], ignore_index=True) if len(between) else layers
    differs = find_differences(first, second)
    return Comparison(first, second, layers, differs, images, per_image, tuple(notes))


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
    for name, column in zip(SLOT_NAMES, SLOT_COLUMNS, strict=False):
        rows[name] = (rows[column] / a_cycle).fillna(0.0) if column in slots else 0.0
    rows[OTHER_WORK] = 0.0
    return rows


def _other_work(results: tuple[SavedResult, SavedResult], images: tuple[int | None, int | None]) -> pd.DataFrame:
    """A row per kind of work between the products; zeros where one result does not count it."""
    kinds = [result.summary.get("other_work", {}).get("by_kind", {}) for result in results]
    rows = []
    for kind in dict.fromkeys([*kinds[0], *kinds[1]]):
        row: dict[str, object] = {"layer": OTHER_WORK, "pass": kind}
        for side, known, number in zip("ab", kinds, images, strict=True):
            done = known.get(kind, dict.fromkeys(("cycles", "energy_pj", "dense_energy_pj"), 0))
            costs = {"cycles": done["cycles"], "dense_cycles": done["cycles"], OTHER_WORK: done["cycles"]}
            costs |= {name: done[name] for name in ("energy_pj", "dense_energy_pj")}
            numbers = {name: math.nan if cost is None else cost / (number or 1) for name, cost in costs.items()}
            row |= {f"{name}_{side}": numbers.get(name, 0.0) for name in (*_MEASURES, *SLOT_NAMES)}
        rows.append(row)
    return pd.DataFrame(rows)


def _trace_notes(first: SavedResult, second: SavedResult, unlike: bool) -> list[str]:
    hashes = [result.trace.get("sha256") for result in (first, second)]
    paths = [result.trace["path"] or "operations in memory" for result in (first, second)]
    if hashes[0] is None or hashes[1] is None:
        return ["Not both results say which content their trace had: whether the masks are the same is not known."]
    if hashes[0] == hashes[1]:
        return []
    traces = " and ".join(f"{path} (SHA-256 {short_hash(sha)})" for path, sha in zip(paths, hashes, strict=True) if sha)
    if not unlike:
        raise AccelsimError(
            f"{first.path} and {second.path} are of different traces, {traces}; --unlike compares them all the same"
        )
    return [f"The masks differ: {traces}."]


def _baseline_notes(one: pd.DataFrame, other: pd.DataFrame, per_image: bool) -> list[str]:
    if np.allclose(one["dense_cycles"], other["dense_cycles"].reindex(one.index), rtol=1e-9, atol=0):
        return []
    dense = " and ".join(f"{rows['dense_cycles'].sum():,.{per_image:d}f}" for rows in (one, other))
    return [
        f"Their baselines differ, {dense} cycles without skipping{' per image' if per_image else ''}: compare cycles,"
        " not speedups."
    ]
