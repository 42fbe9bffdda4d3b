"""A result as tables for the terminal."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from rich.console import Group, RenderableType

from accelsim.array import pe_of
from accelsim.hardware.model import Hardware
from accelsim.hardware.skipping import MOST_BUILT_DEPTH
from accelsim.lowering.gemm import PASSES
from accelsim.results.equal_area import best_dense_machine
from accelsim.results.other_work import parts_of_total
from accelsim.results.quantities import count, joules, share, times
from accelsim.results.result import ENERGY_COLUMNS, SLOT_COLUMNS, Result
from accelsim.results.sampled import half_widths
from accelsim.show.console import literal
from accelsim.show.text_table import TextTable
from accelsim.trace.unlowered import read_unlowered, shares


def no_energy(summary: dict[str, Any]) -> str | None:
    """Say why a result has no energy, if it has none."""
    if summary["total"]["energy_pj"] is not None:
        return None
    return (
        "No energy: the machine is idealised, a bound that nobody could build (skipping.fifo_depth is above"
        f" {MOST_BUILT_DEPTH:,})."
    )


def result_tables(result: Result) -> RenderableType:
    """Everything `accelsim run` prints: layers, totals, branches, where the slots and the energy went."""
    summary = result.summary
    by_pass = _totals("Totals by pass", parts_of_total(summary), summary["total"])
    parts: list[RenderableType] = [_layers(result), by_pass]
    if summary["other_work"]["by_kind"]:
        parts.append(_other_work(summary))
    if len(summary["by_step"]) > 1:
        by_step = {f"step {step}": totals for step, totals in summary["by_step"].items()}
        parts.append(_totals("Totals by step", by_step, None))
    if len(summary["by_branch"]) > 1:
        parts.append(_totals("Totals by branch", summary["by_branch"], None))
    parts.append(_slots(summary))
    if ports := _unlimited_ports(result.hardware):
        parts.append(_port_rates(result, ports))
    if no_energy(summary) is None:
        parts.append(_energy(summary))
    if "sampling" in summary:
        parts.append(_intervals(summary))
    spaced = [line for part in parts for line in (part, "")]
    return Group(*spaced, *_notes(result))


def _layers(result: Result) -> TextTable:
    """A row per layer and pass, calls and steps added up."""
    table = TextTable("Layers", [""], ["MACs", "eff.", "cycles", "speedup", "most lost to", "energy"])
    previous, halves = None, half_widths(result.layers, result.spreads)
    for (layer, name), part in result.layers.groupby(["layer", "pass"], sort=False):
        total = part.sum(numeric_only=True, min_count=1)
        slots = {slot.removeprefix("slots_"): total[slot] for slot in SLOT_COLUMNS}
        every = sum(slots.values())
        idle = {slot: lost for slot, lost in slots.items() if slot != "effectual"}
        worst = max(idle, key=lambda slot: idle[slot])
        if layer != previous:
            table.add_row(literal(str(layer)), style="bold")
        table.add_row(
            f"  {name}",
            count(total["macs"]),
            share(total["effectual_macs"], total["macs"]),
            count(total["cycles"]) + _half(halves.get((str(layer), str(name)), 0.0), total["cycles"]),
            times(total["dense_cycles"] / total["cycles"] if total["cycles"] else None),
            f"{worst} {share(idle[worst], every)}" if idle[worst] else "nothing",
            joules(total["energy_pj"]),
        )
        previous = layer
    return table


def _half(half_width: float, value: float) -> str:
    """Half an interval, beside its value."""
    return f" ±{100 * half_width / value:.2g}%" if half_width and value else ""


def _intervals(summary: dict[str, Any]) -> TextTable:
    """Totals with their 95 % intervals."""
    sampling, rows = summary["sampling"], summary["by_pass"] | {"total": summary["total"]}
    compared = "speedup_at_equal_area" in sampling["total"]
    columns = ["cycles", "", "speedup", *(["speedup, =area"] if compared else []), "energy", ""]
    table = TextTable("95 % intervals of the totals", [""], columns)
    for name, part in rows.items():
        bounds = sampling["total"] if name == "total" else sampling["by_pass"][name]
        (cycles, of_cycles), (energy, of_energy) = (
            (shown(part[quantity]), _around(bounds[quantity], part[quantity]))
            for quantity, shown in (("cycles", count), ("energy_pj", joules))
        )
        ratios = [_from_to(bounds["speedup"])]
        ratios += [_from_to(bounds["speedup_at_equal_area"])] if compared else []
        style = "bold" if name == "total" else ""
        table.add_row(name, cycles, of_cycles, *ratios, energy, of_energy, style=style)
    return table


def _around(bounds: Sequence[float | None], value: float) -> str:
    low, high = bounds
    return "" if low is None or high is None else _half((high - low) / 2, value).strip()


def _from_to(bounds: Sequence[float | None]) -> str:
    low, high = map(times, bounds)
    return low if low == high else f"{low} to {high}"


def _totals(title: str, rows: dict[str, Any], total: dict[str, Any] | None) -> TextTable:
    columns = ["MACs", "eff.", "cycles", "dense", "speedup", "used", "DRAM", "energy", "dense", "saved"]
    compared = any(part.get("speedup_at_equal_area") is not None for part in rows.values())
    if compared:
        columns += ["speedup, =area", "saved, =area"]
    table = TextTable(title, [""], columns)
    shown = dict(rows) if total is None or len(rows) < 2 else {**rows, "total": total}
    for name, part in shown.items():
        table.add_row(
            name,
            count(part["macs"]),
            share(part["effectual_macs"], part["macs"]),
            count(part["cycles"]),
            count(part["dense_cycles"]),
            times(part["speedup"]),
            share(part["utilization"], 1),
            f"{count(part['dram_bytes'])}B",
            joules(part["energy_pj"]),
            joules(part["dense_energy_pj"]),
            times(part["energy_ratio"]),
            *([times(part["speedup_at_equal_area"]), times(part["energy_ratio_at_equal_area"])] if compared else []),
            style="bold" if name == "total" else "",
        )
    return table


def _other_work(summary: dict[str, Any]) -> TextTable:
    done = summary["other_work"]
    table = TextTable(
        f"Other work ({done['lanes']} fp32 lanes)", [""], ["ops", "cycles", "DRAM", "energy", "of cycles"]
    )
    shown = dict(done["by_kind"]) if len(done["by_kind"]) < 2 else {**done["by_kind"], "total": done["total"]}
    for name, part in shown.items():
        table.add_row(
            name,
            count(part["ops"]),
            count(part["cycles"]),
            f"{count(part['dram_bytes'])}B",
            joules(part["energy_pj"]),
            share(part["cycles"], summary["total"]["cycles"]),
            style="bold" if name == "total" else "",
        )
    return table


def _shares(title: str, columns: tuple[str, ...], prefix: str, suffix: str, summary: dict[str, Any]) -> TextTable:
    """How a quantity splits, in per cent, by pass."""
    rows: dict[str, Any] = {name: summary["by_pass"][name] for name in PASSES if name in summary["by_pass"]}
    if len(rows) > 1:
        rows["total"] = summary["total"]
    used = [column for column in columns if summary["total"][column]]
    names = [column.removeprefix(prefix).removesuffix(suffix).replace("_", " ") for column in used]
    table = TextTable(title, [""], names)
    for name, part in rows.items():
        every = sum(part[column] for column in columns)
        table.add_row(name, *(share(part[column], every) for column in used), style="bold" if name == "total" else "")
    return table


def _slots(summary: dict[str, Any]) -> TextTable:
    return _shares("Where the slots went (PEs × lanes × cycles)", SLOT_COLUMNS, "slots_", "", summary)


def _unlimited_ports(hw: Hardware) -> dict[str, tuple[str, int]]:
    """Return the ports that read as many words as are asked for: column of `layers` → operand, words of a window."""
    ports, positions = pe_of(hw).ports, pe_of(hw).port_positions
    if hw.array.interconnect == "systolic":  # which has the ports that it needs, whatever the file says
        return {}
    found = {}
    if ports.a_words is None:
        found["weight_words_per_cycle"] = "operand A", hw.array.rows * positions
    if ports.b_words is None:
        found["input_words_per_cycle"] = "operand B", hw.array.cols * positions
    return found


def _port_rates(result: Result, ports: dict[str, tuple[str, int]]) -> TextTable:
    """What rates unlimited ports were asked for: on average, and in the layer that asked for most."""
    columns = [title for operand, _ in ports.values() for title in (operand, "in a layer")]
    table = TextTable("Words per cycle that unlimited ports were asked for", [""], columns)
    summary, layers = result.summary, result.layers
    rows: dict[str, Any] = {name: summary["by_pass"][name] for name in PASSES if name in summary["by_pass"]}
    if len(rows) > 1:
        rows["total"] = summary["total"]
    for name, part in rows.items():
        own = layers if name == "total" else layers[layers["pass"] == name]
        cells = [cell for rate in ports for cell in (f"{part[rate]:.3g}", f"up to {own[rate].max():.3g}")]
        table.add_row(name, *cells, style="bold" if name == "total" else "")
    return table


def _energy(summary: dict[str, Any]) -> TextTable:
    columns = (*ENERGY_COLUMNS, "energy_other_work_pj")
    return _shares(f"Energy ({literal(summary['hardware']['energy'])})", columns, "energy_", "_pj", summary)


def compared_with(summary: dict[str, Any]) -> Iterator[str]:
    """Say how the total compares with the machine's own dense self, and with the best dense machine of its area."""
    total, rival = summary["total"], best_dense_machine(summary)
    energy = _less_energy(total, "energy_ratio")
    yield f"Beside the same machine without skipping and compression: speedup {times(total['speedup'])}{energy}."
    if rival is None:
        why = (summary.get("equal_area") or {"why_none": "not known"})["why_none"]
        yield f"No dense machine of the same area: {why}."
        return
    energy = _less_energy(total, "energy_ratio_at_equal_area")
    yield (
        f"Beside the best dense machine of the same area: speedup {times(total['speedup_at_equal_area'])}{energy}. That"
        f" is {rival}; it compresses, gates zeros and drops what a dense machine can."
    )


def _less_energy(total: dict[str, Any], name: str) -> str:
    if total[name] is None:
        return ""
    low, high = total.get(f"{name}_low"), total.get(f"{name}_high")
    return f", {times(total[name])} less energy" + ("" if low is None else f" ({times(low)} to {times(high)})")


def _notes(result: Result) -> Iterator[str]:
    """What a reader has to know about the numbers above."""
    total = result.summary["total"]
    if "sampling" in result.summary:
        sampling = result.summary["sampling"]
        yield (
            f"Estimates: {count(sampling['simulated_tiles'])} of {count(sampling['tiles'])} tiles simulated, drawn with"
            f" seed {sampling['seed']}; ± is half of a 95 % interval. MACs, bytes and the dense baseline are exact."
        )
    yield "eff.: MACs with two non-zero operands. used: lane-cycles that multiplied, zeros included."
    yield (
        f"{literal(result.hardware.name)} at {result.hardware.clock_mhz:g} MHz: {total['seconds'] * 1e3:.3g} ms for"
        f" {len(result.summary['steps'])} recorded step(s)."
    )
    if ports := _unlimited_ports(result.hardware):
        windows = " and ".join(f"{words:,} words of {operand}" for operand, words in ports.values())
        yield (
            "Unlimited ports cannot be built. Their rates are averages over the cycles in which the array runs; the"
            f" default width, window, is {windows} per cycle (docs/timing.md)."
        )
    yield from compared_with(result.summary)
    if why := no_energy(result.summary):
        yield why
    elif total.get("energy_ratio_low") is not None:
        yield "In brackets: 90 % of draws of the prices of energy within the ranges they are known to (docs/energy.md)."
    if result.other_work.counted:
        yield (
            f"Other work, {result.other_work.basis}. It does not overlap with the products, and the baseline does the"
            " same; --no-vector-work leaves it out."
        )
    else:
        yield f"Other work (normalisation, activation functions, optimiser, ...): {result.other_work.basis}."
    if notes := [note for note in read_unlowered(result.trace["meta"]) if note.trains]:
        known = shares(notes, total["macs"]) if result.trace["replayed_whole"] else [""] * len(notes)
        named = (
            f"{note.name} ({part} of MACs)" if part else note.name for note, part in zip(notes, known, strict=True)
        )
        yield f"The trace leaves out: {literal(', '.join(named))}; see `accelsim inspect`."
    if not result.trace["complete"]:
        yield "The recording was cut off; its complete records were replayed."
