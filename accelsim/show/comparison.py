"""A comparison of two results as tables for the terminal."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from rich.console import RenderableType

from accelsim.lowering.gemm import PASSES
from accelsim.results.comparison import SLOT_NAMES, Comparison
from accelsim.show.console import literal
from accelsim.show.tables import count, joules, times
from accelsim.show.text_table import TextTable

_SHOWN_REASONS = 2


def comparison_tables(comparison: Comparison) -> Iterator[RenderableType]:
    """Yield everything `accelsim compare` prints."""
    for side, result in (("A", comparison.first), ("B", comparison.second)):
        yield f"{side}: {literal(str(result.path))}, {literal(result.summary['hardware']['name'])}"
    yield ""
    yield _layers(comparison)
    yield ""
    yield _totals(comparison)
    yield ""
    yield _slots(comparison)
    yield ""
    one, other = comparison.seconds()
    yield f"Recorded steps: A {one * 1e3:.4g} ms, B {other * 1e3:.4g} ms: B is {_ratio(one, other)} as fast."
    yield from map(literal, comparison.notes)


def signed(value: float) -> str:
    """A difference in three digits: -1234 → −1.23k."""
    return f"{'−' if value < 0 else '+'}{count(round(abs(value)))}" if round(value) else "0"


def reasons(row: Mapping[Any, Any]) -> list[tuple[str, float]]:
    """Return slots and the cycles that B spends on them more than A, the largest difference first."""
    changes = [(name, row[f"{name}_b"] - row[f"{name}_a"]) for name in SLOT_NAMES]
    return sorted((one for one in changes if round(one[1])), key=lambda one: -abs(one[1]))


def _ratio(one: float, other: float) -> str:
    return times(one / other if other else None)


def _layers(comparison: Comparison) -> TextTable:
    why = "because (cycles, B less A)"
    table = TextTable("Layers", [""], ["cycles A", "cycles B", "A/B", "energy A", "energy B", why], left=[why])
    previous = None
    for row in comparison.layers.to_dict("records"):
        if row["layer"] != previous:
            table.add_row(literal(str(row["layer"])), style="bold")
        changes = [f"{name} {signed(change)}" for name, change in reasons(row)[:_SHOWN_REASONS]]
        table.add_row(
            f"  {row['pass']}",
            count(row["cycles_a"]),
            count(row["cycles_b"]),
            _ratio(row["cycles_a"], row["cycles_b"]),
            joules(row["energy_pj_a"]),
            joules(row["energy_pj_b"]),
            ", ".join(changes) or "no change",
        )
        previous = row["layer"]
    return table


def _passes(comparison: Comparison) -> dict[str, dict[str, float]]:
    names = [name for name in PASSES if name in set(comparison.layers["pass"])]
    rows: dict[str, dict[str, float]] = {name: comparison.totals(name) for name in names}
    return rows | {"total": comparison.totals()} if len(rows) > 1 else rows


def _totals(comparison: Comparison) -> TextTable:
    columns = ("cycles A", "cycles B", "A/B", "speedup A", "speedup B", "energy A", "energy B", "A/B")
    table = TextTable("Totals by pass", [""], columns)
    for name, sums in _passes(comparison).items():
        table.add_row(
            name,
            count(sums["cycles_a"]),
            count(sums["cycles_b"]),
            _ratio(sums["cycles_a"], sums["cycles_b"]),
            _ratio(sums["dense_cycles_a"], sums["cycles_a"]),
            _ratio(sums["dense_cycles_b"], sums["cycles_b"]),
            joules(sums["energy_pj_a"]),
            joules(sums["energy_pj_b"]),
            _ratio(sums["energy_pj_a"], sums["energy_pj_b"]),
            style="bold" if name == "total" else "",
        )
    return table


def _slots(comparison: Comparison) -> TextTable:
    every = comparison.totals()
    used = [name for name in SLOT_NAMES if round(every[f"{name}_a"]) or round(every[f"{name}_b"])]
    table = TextTable("Where the cycles went, B less A", [""], [*used, "sum"])
    for name, sums in _passes(comparison).items():
        changes = [sums[f"{slot}_b"] - sums[f"{slot}_a"] for slot in used]
        style = "bold" if name == "total" else ""
        table.add_row(name, *map(signed, changes), signed(sums["cycles_b"] - sums["cycles_a"]), style=style)
    return table
