"""A whole training as a table for the terminal."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from rich.console import RenderableType

from accelsim.results.quantities import count, joules, times
from accelsim.results.result import Result
from accelsim.show.text_table import TextTable


def training_table(result: Result) -> Iterator[RenderableType]:
    """Cycles and energy of all steps of the run, by pass and kind of step; what is missing in a sentence each."""
    training = result.training
    if training["total"] is not None:
        yield _table(training, result.hardware.clock_mhz)
        yield from _price_ranges(training["total"])
        yield _rests_on(training)
    yield from training["notes"]


def _table(training: dict[str, Any], clock_mhz: float) -> RenderableType:
    updates, total = training["mask_updates"], training["total"]
    rows: dict[str, dict[str, Any]] = dict(training["by_pass"])
    if len(training["by_kind"]) > 1:
        numbers = {"ordinary": training["steps"] - training["growth_steps"], "growth": training["growth_steps"]}
        rows |= {f"{numbers[kind]} {kind} steps": sums for kind, sums in training["by_kind"].items()}
    for kind, done in training["other_work"].items():
        rows[f"other work: {kind}"] = done | {"dense_cycles": done["cycles"]}
    if updates["count"]:
        rows[f"other work: {updates['count']} mask updates"] = updates | {"dense_cycles": 0, "dense_energy_pj": 0}
    columns = ["cycles", "dense", "speedup", "seconds", "energy", "dense", "saved"]
    compared = total.get("speedup_at_equal_area") is not None
    if compared:
        columns += ["speedup, =area", "saved, =area"]
    table = TextTable(f"Whole training, {training['steps']} steps", [""], columns)
    for name, sums in (rows | {"total": total}).items():
        table.add_row(
            name,
            count(sums["cycles"]),
            count(sums["dense_cycles"]),
            times(sums.get("speedup")),
            f"{sums['cycles'] / (clock_mhz * 1e6):.3g}",
            joules(sums["energy_pj"]),
            joules(sums["dense_energy_pj"]),
            times(sums.get("energy_ratio")),
            *([times(sums.get(f"{name}_at_equal_area")) for name in ("speedup", "energy_ratio")] if compared else []),
            style="bold" if name == "total" else "",
        )
    return table


def _price_ranges(total: dict[str, Any]) -> Iterator[str]:
    """From where to where the total's ratios of energies lie."""
    found = []
    for name, against in (("energy_ratio", ""), ("energy_ratio_at_equal_area", " at equal area")):
        if total.get(f"{name}_low") is not None:
            low, high = (times(total[f"{name}_{end}"]) for end in ("low", "high"))
            found.append(f"{low} to {high}{against}")
    if found:
        yield f"Energy saved in 90 % of draws of the prices: {', '.join(found)}."


def _rests_on(training: dict[str, Any]) -> str:
    recorded = " and ".join(f"{number} {kind}" for kind, number in training["recorded"].items())
    sentence = f"From {recorded} step(s) recorded: {training['rule']}."
    if training["halves"]:
        one, other = training["halves"]["speedup"]
        sentence += f" Either half of them gives {times(one)} and {times(other)}."
    return sentence
