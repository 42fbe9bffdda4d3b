"""`accelsim inspect`: what is in a trace."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from rich.table import Table

    from accelsim.trace.summary import TraceSummary

_PASS_LETTERS = {"forward": "F", "input_grad": "I", "weight_grad": "W"}
_MASK_TITLES = {
    "weight": "weight",
    "input": "activation",
    "grad_output": "gradient",
    "output_needed": "output\nneeded",
    "input_grad_needed": "in. grad\nneeded",
    "weight_grad_needed": "w. grad\nneeded",
}
_STEPS_AT_EITHER_END = 10


def inspect(
    trace: Annotated[Path, typer.Argument(help="A trace file, as `accelsim train` or a Tracer writes it.")],
    layer: Annotated[
        list[str] | None, typer.Option(help="Only this layer; a shell pattern such as 'layer1.*' too. Repeatable.")
    ] = None,
    step: Annotated[list[int] | None, typer.Option(help="Only this step. Repeatable.")] = None,
    check: Annotated[bool, typer.Option("--check", help="Read every mask and verify its checksum.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON instead of tables.")] = False,
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
    for title, table in (
        ("Metadata", _meta_table(summary)),
        ("Steps: dense MACs (multiply-accumulates) by pass", _steps_table(summary)),
        (_layers_title(summary), _layers_table(summary)),
        ("Densities: share of elements that are non-zero, or needed", _densities_table(summary)),
        ("Not in the trace (could not be lowered)", _unlowered_table(summary)),
    ):
        if table.row_count:
            console.print()
            console.print(title, style="italic")
            console.print(table)


def _table(*columns: str, left: int = 1) -> Table:
    """Return an empty table whose first `left` columns hold text and fold, and the others numbers."""
    from rich import box
    from rich.table import Table

    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, padding=(0, 1, 0, 0))
    for position, column in enumerate(columns):
        text = position < left
        table.add_column(column, justify="left" if text else "right", overflow="fold", no_wrap=not text)
    return table


def _meta_table(summary: TraceSummary) -> Table:
    table = _table("key", "value", left=2)
    for key, value in summary.meta.items():
        table.add_row(_text(key), _text(value if isinstance(value, str) else repr(value)))
    if (run := summary.training) is not None:
        growth, updates = len(run.growth_steps), len(run.mask_updates)
        seen = f"steps {run.first_step} to {run.end_step - 1}"
        table.add_row("training", f"{seen}, {growth} that grow weights by gradient, {updates} mask updates")
    return table


def _steps_table(summary: TraceSummary) -> Table:
    table = _table("step", "records", *_PASS_LETTERS, left=0)
    steps = summary.steps
    for position, step in enumerate(steps):
        if len(steps) <= 2 * _STEPS_AT_EITHER_END or not _STEPS_AT_EITHER_END <= position < (
            len(steps) - _STEPS_AT_EITHER_END
        ):
            table.add_row(str(step.step), str(step.records), *map(_count, step.macs.values()))
        elif position == _STEPS_AT_EITHER_END:
            table.add_row("...", f"{len(steps) - 2 * _STEPS_AT_EITHER_END} more")
    if len(steps) > 1:
        table.add_section()
        table.add_row("all", str(summary.records), *map(_count, summary.macs.values()))
    return table


def _layers_title(summary: TraceSummary) -> str:
    recomputed = ", * recomputed" if any(layer.recomputed for layer in summary.layers) else ""
    return f"Layers: F forward, I input_grad, W weight_grad{recomputed}; calls a step, MACs a call"


def _layers_table(summary: TraceSummary) -> Table:
    table = _table("layer", "kind", "weight", "input", "stride", left=5)
    for column in ("passes", "calls", "MACs"):
        table.add_column(column, justify="right", no_wrap=True)
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


def _densities_table(summary: TraceSummary) -> Table:
    columns = {name: title for name, title in _MASK_TITLES.items() if any(name in x.densities for x in summary.layers)}
    table = _table("layer", *columns.values())
    for layer in summary.layers:
        shares = (layer.densities.get(name) for name in columns)
        table.add_row(_text(layer.name), *("" if share is None else f"{share:.4f}" for share in shares))
    return table


def _unlowered_table(summary: TraceSummary) -> Table:
    table = _table("operation", "reason", "count", "MACs", left=2)
    for note in summary.unlowered:
        macs = "unknown" if note.macs is None else _count(note.macs)
        table.add_row(_text(note.name), _text(note.reason), str(note.count), macs)
    return table


def _text(value: str) -> str:
    from accelsim.show.console import literal

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
