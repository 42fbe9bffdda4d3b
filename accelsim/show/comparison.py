"""A comparison of two results as tables for the terminal."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from rich.console import RenderableType

from accelsim.lowering.gemm import PASSES
from accelsim.results.comparison import SLOT_NAMES, Comparison
from accelsim.results.differences import Difference
from accelsim.results.equal_area import best_dense_machine
from accelsim.results.other_work import OTHER_WORK
from accelsim.results.quantities import count, joules, seconds, times
from accelsim.show.console import literal
from accelsim.show.text_table import TextTable

_SHOWN_REASONS = 2
LEAST_DIFFERENCE = 0.005  # cycles; slots are divided into cycles, so that equal ones may differ by a rounding


def comparison_tables(comparison: Comparison) -> Iterator[RenderableType]:
    """Yield everything `accelsim compare` prints."""
    for side, result in (("A", comparison.first), ("B", comparison.second)):
        yield f"{side}: {literal(str(result.path))}, {literal(result.summary['hardware']['name'])}"
    yield literal(differences_text(comparison.differs))
    if comparison.per_image:
        of_a, of_b = comparison.images
        yield f"Figures are per image: through the first layer went {of_a:,} images in A and {of_b:,} in B."
    yield ""
    yield _layers(comparison)
    yield ""
    yield _totals(comparison)
    yield ""
    yield _slots(comparison)
    yield ""
    if ratios := comparison.at_equal_area():
        yield _at_equal_area(ratios)
        yield ""
    one, other = comparison.seconds()
    what = "An image" if comparison.per_image else "Recorded steps"
    yield f"{what}: A {seconds(one)}, B {seconds(other)}: B is {_ratio(one, other)} as fast."
    yield from _per_image(comparison)
    for side, result in (("A", comparison.first), ("B", comparison.second)):
        if (rival := best_dense_machine(result.summary)) is not None:
            yield f"=area: {side} beside the best dense machine of its area, {rival}."
    yield from map(literal, comparison.notes)


def differences_text(differs: Mapping[str, Difference]) -> str:
    """Return what differs in one line: each name with the values of A and B."""
    if not differs:
        return "Differs: nothing."
    return "Differs (A | B): " + "; ".join(f"{name} {_value(a)} | {_value(b)}" for name, (a, b) in differs.items())


def _value(value: Any) -> str:
    if isinstance(value, list):
        return ", ".join(map(_value, value)) or "none"
    if value is None or isinstance(value, bool):
        return {None: "none", True: "yes", False: "no"}[value]
    return f"{value:.6g}" if isinstance(value, float) else str(value)


def _per_image(comparison: Comparison) -> Iterator[str]:
    """The figures of one image where the tables are about the recorded steps."""
    one, other = comparison.images
    if one is None or other is None or comparison.per_image:
        return
    sums, times_s = comparison.totals(), comparison.seconds()
    figures = [
        f"{count(sums[f'cycles_{side}'] / images)} cycles, {joules(sums[f'energy_pj_{side}'] / images)},"
        f" {seconds(time_s / images)}"
        for side, images, time_s in zip("ab", (one, other), times_s, strict=True)
    ]
    yield f"Per image ({one:,} through the first layer): A {figures[0]}; B {figures[1]}."


def signed(value: float) -> str:
    """A difference in three digits: -1234 → −1.23k."""
    return f"{'−' if value < 0 else '+'}{count(abs(value))}" if abs(value) >= LEAST_DIFFERENCE else "0"


def reasons(row: Mapping[Any, Any]) -> list[tuple[str, float]]:
    """Return slots and the cycles that B spends on them more than A, the largest difference first."""
    changes = [(name, row[f"{name}_b"] - row[f"{name}_a"]) for name in SLOT_NAMES]
    return sorted((one for one in changes if abs(one[1]) >= LEAST_DIFFERENCE), key=lambda one: -abs(one[1]))


def _ratio(one: float, other: float) -> str:
    return times(one / other if other else None)


def _layers(comparison: Comparison) -> TextTable:
    why = "because (cycles, B less A)"
    title = "Layers, per image" if comparison.per_image else "Layers"
    table = TextTable(title, [""], ["cycles A", "cycles B", "A/B", "energy A", "energy B", why], left=[why])
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
    if OTHER_WORK in set(comparison.layers["layer"]):
        rows[OTHER_WORK] = comparison.totals(OTHER_WORK)
    return rows | {"total": comparison.totals()} if len(rows) > 1 else rows


def _totals(comparison: Comparison) -> TextTable:
    columns = ("cycles A", "cycles B", "A/B", "speedup A", "speedup B", "energy A", "energy B", "A/B")
    title = "Totals by pass, per image" if comparison.per_image else "Totals by pass"
    table = TextTable(title, [""], columns)
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


def _at_equal_area(ratios: Mapping[str, Mapping[str, float | None]]) -> TextTable:
    names = ("speedup_at_equal_area", "energy_ratio_at_equal_area")
    columns = ("speedup A, =area", "speedup B, =area", "saved A, =area", "saved B, =area")
    table = TextTable("Beside the best dense machines of equal area", [""], columns)
    for name, part in ratios.items():
        cells = [times(part[f"{ratio}_{side}"]) for ratio in names for side in "ab"]
        table.add_row(name, *cells, style="bold" if name == "total" else "")
    return table


def _slots(comparison: Comparison) -> TextTable:
    every = comparison.totals()
    used = [name for name in SLOT_NAMES if max(every[f"{name}_a"], every[f"{name}_b"]) >= LEAST_DIFFERENCE]
    table = TextTable("Where the cycles went, B less A", [""], [*used, "sum"])
    for name, sums in _passes(comparison).items():
        changes = [sums[f"{slot}_b"] - sums[f"{slot}_a"] for slot in used]
        style = "bold" if name == "total" else ""
        table.add_row(name, *map(signed, changes), signed(sums["cycles_b"] - sums["cycles_a"]), style=style)
    return table
