"""What stands in a report: facts, headline numbers and tables, as plain data for the template."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

import pandas as pd
import yaml

from accelsim.results.other_work import NOT_ASKED, parts_of_total
from accelsim.results.quantities import count, joules, share, times
from accelsim.results.result import SLOT_COLUMNS
from accelsim.results.saved import SavedResult
from accelsim.show.figures.source import Source, swept_keys
from accelsim.show.figures.style import short_name
from accelsim.show.tables import no_energy
from accelsim.trace.unlowered import read_unlowered, shares

MOST_ROWS = 2000
_SWEPT_MEASURES = (
    *("cycles", "dense_cycles", "speedup", "energy_pj", "dense_energy_pj", "dram_bytes", "area_mm2"),
    *("speedup_at_equal_area", "energy_ratio_at_equal_area", "equal_area_machine"),
)
_AT_EQUAL_AREA = {
    "speedup_at_equal_area": "speedup at equal area",
    "energy_ratio_at_equal_area": "energy saved at equal area",
}


@dataclass(frozen=True)
class Cell:
    """A table's cell: what is shown, and what it is sorted by."""

    text: str
    value: float | str

    @property
    def is_number(self) -> bool:
        """Whether it stands on the right."""
        return not isinstance(self.value, str)


@dataclass(frozen=True)
class Table:
    """A table of the report.

    Attributes:
        note: a sentence below, or nothing.
    """

    title: str
    columns: Sequence[str]
    rows: Sequence[Sequence[Cell]]
    note: str = ""


@dataclass(frozen=True)
class Content:
    """A report without its figures.

    Attributes:
        facts: name → value, where the numbers come from.
        headline: value → what it is.
        configuration: the machine or machines as text; nothing where a table does not say.
    """

    title: str
    facts: dict[str, str]
    headline: dict[str, str]
    tables: list[Table]
    configuration: str = ""
    notes: list[str] = field(default_factory=list)


def content_of(source: Source) -> Content:
    """Return what a report on a result or sweep says."""
    return _of_result(source, source.result) if source.result is not None else _of_sweep(source)


def _number(text: str, value: float) -> Cell:
    return Cell(text, float(value))


def _times(value: float | None) -> Cell:
    return _number(times(value), -1.0 if value is None else value)


def _joules(value: float | None) -> Cell:
    return _number(joules(value), -1.0 if value is None or math.isnan(value) else value)


def _of_result(source: Source, result: SavedResult) -> Content:
    summary, total = result.summary, result.summary["total"]
    hardware, training = summary["hardware"], result.training
    facts = {"machine": hardware["name"], **_trace_facts(result), "accelsim": summary["accelsim_version"]}
    facts["recorded steps"] = ", ".join(map(str, summary["steps"]))
    headline = {
        times(total["speedup"]): "speedup of the recorded steps over the same machine without skipping",
        count(total["cycles"]): f"cycles, {total['seconds'] * 1e3:.3g} ms at {hardware['clock_mhz']:g} MHz",
    }
    if total["energy_ratio"] is not None:
        headline[times(total["energy_ratio"]) + "  "] = "as much energy without skipping"
    if (at_equal_area := total.get("speedup_at_equal_area")) is not None:
        rival = summary["equal_area"]
        meaning = (
            f"speedup over the best dense machine of the same area, {rival['rows']}x{rival['cols']}"
            f" ({rival['area_mm2']:.4g} of {rival['own_area_mm2']:.4g} mm2)"
        )
        headline[times(at_equal_area) + "   "] = meaning
    if training["total"] is not None:
        headline[times(training["total"]["speedup"]) + " "] = (
            f"speedup of the whole training, {training['steps']} steps"
        )
    other_work = summary.get("other_work") or {"basis": NOT_ASKED, "by_kind": {}}
    tables = [_totals("Totals by pass", parts_of_total(summary) | {"total": total})]
    if other_work["by_kind"]:
        tables.append(_other_work(other_work, total["cycles"]))
    if len(summary["by_step"]) > 1:
        by_step = {f"step {step}": part for step, part in summary["by_step"].items()}
        tables.append(_totals("Totals by step", by_step))
    if training["total"] is not None:
        tables.append(_training(training))
    tables += [*_unlowered(result), _layers(result.layers), _slots(summary)]
    notes = [*training["notes"], *filter(None, [no_energy(summary)])]
    notes.append(f"Other work (normalisation, activation functions, optimiser, ...): {other_work['basis']}.")
    if "sampling" in summary:
        sampling = summary["sampling"]
        notes.append(f"Estimates: {sampling['simulated_tiles']:,} of {sampling['tiles']:,} tiles were simulated.")
    if left_out := [note.name for note in read_unlowered(result.trace["meta"]) if note.trains]:
        notes.append(f"Not recorded, and so not counted: {', '.join(left_out)}; see the table.")
    if not result.trace["complete"]:
        notes.append("The recording was cut off; its complete records were replayed.")
    text = yaml.safe_dump(hardware, sort_keys=False, width=88)
    return Content(f"{source.name}: {hardware['name']}", facts, headline, tables, text, notes)


def _unlowered(result: SavedResult) -> list[Table]:
    notes = read_unlowered(result.trace["meta"])
    if not notes:
        return []
    total, whole = result.summary["total"]["macs"], result.trace.get("replayed_whole", False)
    parts = shares(notes, total) if whole else ["only a part was replayed"] * len(notes)
    rows = [
        [
            Cell(note.name, note.name),
            _number(f"{note.count:,}", note.count),
            _number("unknown" if note.macs is None else count(note.macs), -1 if note.macs is None else note.macs),
            Cell(part, part),
            Cell(note.reason, note.reason),
        ]
        for note, part in zip(notes, parts, strict=True)
    ]
    columns = ["operation", "times", "MACs", "share of all MACs", "why"]
    note = "They ran, but the trace does not have them: no cycle, energy or speedup of this page counts them."
    return [Table("Not recorded", columns, rows, note)]


def _trace_facts(result: SavedResult) -> dict[str, str]:
    trace = result.trace
    facts = {"trace": ", ".join(_listed(trace["path"])) or "operations in memory"}
    if trace.get("sha256"):
        facts["trace, SHA-256"] = ", ".join(_listed(trace["sha256"]))
    wanted = ("model", "framework", "data", "network", "batch", "pattern", "zero_as", "command")
    for name in wanted:
        if (value := trace["meta"].get(name)) is not None:
            facts[name] = (
                ", ".join(f"{key} {one}" for key, one in value.items()) if isinstance(value, dict) else str(value)
            )
    return facts


def _listed(value: Any) -> list[str]:
    return [] if value is None else [value] if isinstance(value, str) else list(map(str, value))


def _totals(title: str, rows: dict[str, dict[str, Any]]) -> Table:
    columns = ["", "MACs", "effectual", "cycles", "without skipping", "speedup", "DRAM bytes", "energy", "energy saved"]
    compared = any(part.get("speedup_at_equal_area") is not None for part in rows.values())
    beside = _AT_EQUAL_AREA if compared else {}
    columns += beside.values()
    return Table(
        title,
        columns,
        [
            [
                Cell(name, name),
                _number(count(part["macs"]), part["macs"]),
                _number(share(part["effectual_macs"], part["macs"]), part["effectual_macs"] / (part["macs"] or 1)),
                _number(f"{part['cycles']:,}", part["cycles"]),
                _number(f"{part['dense_cycles']:,}", part["dense_cycles"]),
                _times(part["speedup"]),
                _number(count(part["dram_bytes"]), part["dram_bytes"]),
                _joules(part["energy_pj"]),
                _times(part["energy_ratio"]),
                *(_times(part[ratio]) for ratio in beside),
            ]
            for name, part in rows.items()
        ],
    )


def _other_work(done: dict[str, Any], cycles: float) -> Table:
    columns = ["", "operations", "cycles", "share of all cycles", "DRAM bytes", "energy"]
    rows = [
        [
            Cell(name, name),
            _number(count(part["ops"]), part["ops"]),
            _number(f"{part['cycles']:,}", part["cycles"]),
            _number(share(part["cycles"], cycles), part["cycles"] / (cycles or 1)),
            _number(count(part["dram_bytes"]), part["dram_bytes"]),
            _joules(part["energy_pj"]),
        ]
        for name, part in (done["by_kind"] | {"total": done["total"]}).items()
    ]
    note = f"Between the products, on {done['lanes']} fp32 lanes. The baseline does the same."
    return Table("Other work", columns, rows, note)


def _training(training: dict[str, Any]) -> Table:
    rows = training["by_pass"] | {"total": training["total"]}
    columns = ["", "cycles", "without skipping", "speedup", "seconds", "energy", "energy saved"]
    beside = _AT_EQUAL_AREA if training["total"].get("speedup_at_equal_area") is not None else {}
    columns += beside.values()
    cells = [
        [
            Cell(name, name),
            _number(count(sums["cycles"]), sums["cycles"]),
            _number(count(sums["dense_cycles"]), sums["dense_cycles"]),
            _times(sums["speedup"]),
            _number(f"{sums['seconds']:.3g}", sums["seconds"]),
            _joules(sums["energy_pj"]),
            _times(sums["energy_ratio"]),
            *(_times(sums[ratio]) for ratio in beside),
        ]
        for name, sums in rows.items()
    ]
    updates = training["mask_updates"]["count"]
    between = "the work between the products and " if training.get("other_work") else ""
    note = f"From the recorded steps: {training['rule']}. The total has {between}{updates} mask updates."
    return Table(f"Whole training, {training['steps']} steps", columns, cells, note)


def _layers(layers: pd.DataFrame) -> Table:
    columns = ["layer", "pass", "MACs", "effectual", "cycles", "speedup", "most lost to", "share lost", "energy"]
    rows = []
    for (layer, which), part in layers.groupby(["layer", "pass"], sort=False):
        total = part.sum(numeric_only=True, min_count=1)
        slots = {name: float(total[name]) for name in SLOT_COLUMNS if name in total.index}
        every, lost = sum(slots.values()), {name: slots[name] for name in slots if name != "slots_effectual"}
        worst = max(lost, key=lambda name: lost[name])
        faster = float(total["dense_cycles"] / total["cycles"]) if total["cycles"] else None
        rows.append(
            [
                Cell(str(layer), str(layer)),
                Cell(str(which), str(which)),
                _number(count(total["macs"]), total["macs"]),
                _number(share(total["effectual_macs"], total["macs"]), total["effectual_macs"] / (total["macs"] or 1)),
                _number(f"{int(total['cycles']):,}", total["cycles"]),
                _times(faster),
                Cell(worst.removeprefix("slots_"), worst),
                _number(share(lost[worst], every), lost[worst] / (every or 1)),
                _joules(float(total["energy_pj"])),
            ]
        )
    return Table("Layers", columns, rows, "Steps and calls are added up.")


def _slots(summary: dict[str, Any]) -> Table:
    used = [name for name in SLOT_COLUMNS if summary["total"].get(name)]
    rows = []
    for name, part in (summary["by_pass"] | {"total": summary["total"]}).items():
        slots = {slot: part.get(slot) or 0 for slot in used}
        every = sum(slots.values())
        shares = [_number(share(spent, every), spent / (every or 1)) for spent in slots.values()]
        rows.append([Cell(name, name), *shares])
    return Table("Where the slots went", ["", *(name.removeprefix("slots_") for name in used)], rows)


def _of_sweep(source: Source) -> Content:
    table = source.table
    keys = swept_keys(table)
    varied = [key for key in keys if table[key].astype(str).nunique() > 1]
    measures = [name for name in _SWEPT_MEASURES if name in table.columns]
    facts = {"file": str(source.path), "machines": str(table["machine"].nunique())}
    facts["traces"] = ", ".join(map(str, table["trace"].unique()))
    for column, name in (("trace_sha256", "traces, SHA-256"), ("accelsim_version", "accelsim")):
        if column in table.columns:
            facts[name] = ", ".join(map(str, table[column].dropna().unique()))
    measured = source.whole.groupby(["machine", "trace"], sort=False)[["cycles", "dense_cycles", "energy_pj"]]
    sums = measured.sum(min_count=1)
    faster = sums["dense_cycles"] / sums["cycles"]
    headline = {
        count(sums["cycles"].min()): f"fewest cycles: {_label(sums['cycles'].idxmin())}",
        times(float(faster.max())): f"highest speedup: {_label(faster.idxmax())}",
    }
    if sums["energy_pj"].notna().any():
        headline[joules(float(sums["energy_pj"].min()))] = f"least energy: {_label(sums['energy_pj'].idxmin())}"
    first = [] if varied and "machine" not in varied and _named_by_keys(table, varied) else ["machine"]
    columns = [*first, *varied, "trace", "pass", *measures]
    shown = table.head(MOST_ROWS)
    rows = [[_cell(name, value) for name, value in zip(columns, row, strict=True)] for row in _values(shown[columns])]
    note = f"The first {MOST_ROWS:,} of {len(table):,} rows." if len(table) > MOST_ROWS else ""
    fixed = {key: str(table[key].iloc[0]) for key in keys if key not in varied}
    text = yaml.safe_dump(fixed, sort_keys=False, width=88) if fixed else ""
    return Content(source.name, facts, headline, [Table("Designs", columns, rows, note)], text)


def _named_by_keys(table: pd.DataFrame, varied: list[str]) -> bool:
    return len(table[varied].astype(str).drop_duplicates()) == table["machine"].nunique()


def _label(key: Any) -> str:
    return f"{key[0]} on {short_name(str(key[1]))}"


def _values(table: pd.DataFrame) -> Iterable[tuple[Any, ...]]:
    return table.itertuples(index=False, name=None)


def _cell(name: str, value: Any) -> Cell:
    if not isinstance(value, int | float) or isinstance(value, bool):
        return Cell(str(value), str(value))
    if name == "speedup" or name.endswith("_at_equal_area"):
        return _times(None if math.isnan(value) else float(value))
    if name.endswith("_pj"):
        return _joules(value)
    if math.isnan(value):
        return _number("–", -1.0)
    return _number(f"{value:,}" if isinstance(value, int) else f"{value:g}", value)
