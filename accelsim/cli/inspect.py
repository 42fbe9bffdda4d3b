"""`accelsim inspect`: what is in a trace."""

from __future__ import annotations

import json
from collections.abc import Collection, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from accelsim.cli.options import AsJson, Steps

if TYPE_CHECKING:
    from accelsim.show.text_table import TextTable
    from accelsim.trace.summary import TraceSummary

_PASS_LETTERS = {"forward": "F", "input_grad": "I", "weight_grad": "W"}
_STEPS_AT_EITHER_END = 10
_MOST_NOTES, _MOST_LETTERS = 200, 2000  # of metadata, for a table that people read


def inspect(
    trace: Annotated[Path, typer.Argument(help="A trace file, as `accelsim train` or a Tracer writes it.")],
    layer: Annotated[
        list[str] | None, typer.Option(help="Only this layer; a shell pattern such as 'layer1.*' too. Repeatable.")
    ] = None,
    step: Steps = None,
    check: Annotated[bool, typer.Option("--check", help="Read every mask and verify its checksum.")] = False,
    as_json: AsJson = False,
) -> None:
    """Show what a trace holds: metadata, steps, layers, densities by tensor and multiply-accumulates by pass.\f

    Raises:
        TraceError: the file cannot be read, or a layer or step is not in it.
    """
    from accelsim.trace import open_trace
    from accelsim.trace.plain import json_values
    from accelsim.trace.summary import summarize

    selection = open_trace(trace).select(layers=layer or None, steps=step or None)
    if check:
        for _ in selection:
            pass
    summary = summarize(selection)
    if as_json:
        typer.echo(json.dumps(json_values(asdict(summary)), indent=2, allow_nan=False))
    else:
        _print(summary, checked=check)


def _print(summary: TraceSummary, *, checked: bool) -> None:
    from accelsim.show.console import output_console

    console = output_console()
    recorded = summary.records_in_file
    state = "complete"
    if not summary.complete:
        where = f"after record {recorded - 1}" if recorded else "before its first record"
        state = f"incomplete: the run was cut off {where}"
    selected = "" if summary.records == recorded else f", {summary.records} of them selected"
    console.print(_text(summary.path), style="bold", soft_wrap=True)
    console.print(
        f"trace format {summary.format_version}, written by accelsim {_text(summary.accelsim_version)},"
        f" {_bytes(summary.file_bytes)}, {recorded} records{selected}"
    )
    console.print(
        state + (", all checksums match" if checked else ""), style="green" if summary.complete else "bold red"
    )
    for table in tables(summary):
        console.print()
        console.print(table)


def tables(summary: TraceSummary) -> list[TextTable]:
    """Return what a trace holds, without tables that would be empty."""
    every = [
        _meta_table(summary),
        _steps_table(summary),
        _layers_table(summary),
        _densities_table(summary),
        _other_work_table(summary),
        _unlowered_table(summary),
    ]
    return [table for table in every if table.row_count]


def _table(title: str, names: Sequence[str], values: Sequence[str], *, left: Collection[str] = ()) -> TextTable:
    from accelsim.show.text_table import TextTable

    return TextTable(title, names, values, left=left, ruled=True)


def _meta_table(summary: TraceSummary) -> TextTable:
    table = _table("Metadata", ["key"], ["value"], left=["value"])
    for key, value in list(summary.meta.items())[:_MOST_NOTES]:
        table.add_row(_text(key), _text(value if isinstance(value, str) else repr(value)))
    _say_the_rest(table, len(summary.meta))
    if (run := summary.training) is not None:
        growth, updates = len(run.growth_steps), len(run.mask_updates)
        seen = f"steps {run.first_step} to {run.end_step - 1}"
        table.add_row("training", f"{seen}, {growth} that grow weights by gradient, {updates} mask updates")
    return table


def _steps_table(summary: TraceSummary) -> TextTable:
    title = "Steps: dense MACs (multiply-accumulates) by pass"
    table = _table(title, ["step"], ["records", *_PASS_LETTERS.values()])
    steps = summary.steps
    for position, step in enumerate(steps):
        if len(steps) <= 2 * _STEPS_AT_EITHER_END or not _STEPS_AT_EITHER_END <= position < (
            len(steps) - _STEPS_AT_EITHER_END
        ):
            table.add_row(str(step.step), str(step.records), *map(_count, step.macs.values()))
        elif position == _STEPS_AT_EITHER_END:
            table.add_row(f"... {len(steps) - 2 * _STEPS_AT_EITHER_END} more")
    if len(steps) > 1:
        table.end_section()
        table.add_row("all", str(summary.records), *map(_count, summary.macs.values()))
    return table


def _layers_table(summary: TraceSummary) -> TextTable:
    recomputed = ", * recomputed" if any(layer.recomputed for layer in summary.layers) else ""
    title = f"Layers: F forward, I input_grad, W weight_grad{recomputed}; calls per step, MACs per call"
    texts = ("kind", "weight", "input", "stride")
    table = _table(title, ["layer"], [*texts, "passes", "calls", "MACs"], left=texts)
    for layer in summary.layers:
        table.add_row(
            _text(layer.name),
            layer.kind + (f", {layer.groups} groups" if layer.groups > 1 else ""),
            _shape(layer.weight_shape),
            _shape(layer.input_shape),
            _shape(layer.stride),
            "".join(_PASS_LETTERS[name] for name, macs in layer.macs.items() if macs) + "*" * bool(layer.recomputed),
            str(layer.calls_per_step),
            _count(layer.macs["forward"] // layer.records),
        )
    return table


def _densities_table(summary: TraceSummary) -> TextTable:
    from accelsim.trace.record import MASKS

    columns = {name: mask.title for name, mask in MASKS.items() if any(name in x.densities for x in summary.layers)}
    table = _table("Densities: share of elements that are non-zero, or needed", ["layer"], [*columns.values()])
    for layer in summary.layers:
        shares = (layer.densities.get(name) for name in columns)
        table.add_row(_text(layer.name), *("" if share is None else f"{share:.4f}" for share in shares))
    return table


def _other_work_table(summary: TraceSummary) -> TextTable:
    table = _table("Work between the products: elements, all steps", ["kind"], ["elements"])
    for kind, elements in (summary.other_work or {}).items():
        table.add_row(kind, _count(elements))
    return table


def _unlowered_table(summary: TraceSummary) -> TextTable:
    from accelsim.trace.unlowered import shares

    columns = ("count", "MACs", "share", "reason")
    table = _table("Not in the trace (could not be lowered)", ["operation"], columns, left=["reason"])
    known = (
        shares(summary.unlowered, sum(summary.macs.values())) if summary.records == summary.records_in_file else None
    )
    for number, note in enumerate(summary.unlowered[:_MOST_NOTES]):
        macs = "unknown" if note.macs is None else _count(note.macs)
        table.add_row(_text(note.name), str(note.count), macs, known[number] if known else "", _text(note.reason))
    _say_the_rest(table, len(summary.unlowered))
    return table


def _say_the_rest(table: TextTable, rows: int) -> None:
    if rows > _MOST_NOTES:
        table.add_row(f"... and {rows - _MOST_NOTES} more, all of them with --json")


def _text(value: str) -> str:
    from accelsim.show.console import literal

    if len(value) > _MOST_LETTERS:
        return f"{literal(value[:_MOST_LETTERS])} ... ({len(value)} letters, all of them with --json)"
    return literal(value)


def _shape(shape: tuple[int, ...]) -> str:
    return "x".join(map(str, shape))


def _count(number: int) -> str:
    for unit, size in (("T", 10**12), ("G", 10**9), ("M", 10**6), ("k", 10**3)):
        if number >= size:
            return f"{number / size:.4g} {unit}"
    return str(number)


def _bytes(number: int) -> str:
    for unit, size in (("GB", 10**9), ("MB", 10**6), ("kB", 10**3)):
        if number >= size:
            return f"{number / size:.2f} {unit}"
    return f"{number} bytes"
