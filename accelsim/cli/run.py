"""`accelsim run`: replay a trace on a machine."""

from __future__ import annotations

import json
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer


class PassName(StrEnum):
    """Passes of training."""

    forward = "forward"
    input_grad = "input_grad"
    weight_grad = "weight_grad"


def run(
    hw: Annotated[Path, typer.Option(help="The machine, a YAML file; hw_configs/ has some.")],
    trace: Annotated[
        list[Path],
        typer.Option(help="A trace, as `accelsim train` or a Tracer writes it. Repeatable: a run's ranks or parts."),
    ],
    out: Annotated[Path | None, typer.Option(help="Folder for layers.csv and summary.json.")] = None,
    layer: Annotated[list[str] | None, typer.Option(help="Only this layer, or 'layer1.*'. Repeatable.")] = None,
    step: Annotated[list[int] | None, typer.Option(help="Only this step. Repeatable.")] = None,
    pass_: Annotated[list[PassName] | None, typer.Option("--pass", help="Only this pass. Repeatable.")] = None,
    vector_work: Annotated[
        bool, typer.Option("--vector-work", help="Add an estimate of batch norm, ReLU and optimiser.")
    ] = False,
    workers: Annotated[int | None, typer.Option(min=1, help="Operations side by side; default: all cores.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON instead of tables.")] = False,
) -> None:
    """Replay a trace on a machine: cycles, energy and speedup by layer and pass.

    Speedup is against the same machine without skipping.
    """
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    from accelsim.hardware.load import load_hardware
    from accelsim.lowering import PASSES
    from accelsim.pipeline import simulate
    from accelsim.show.console import output_console
    from accelsim.show.tables import result_tables
    from accelsim.trace import open_traces

    machine = load_hardware(hw)
    reader = open_traces(trace).select(layers=layer or None, steps=step or None)
    chosen = {name.value for name in pass_ or []}
    stderr = Console(stderr=True)
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=stderr, transient=True, disable=not stderr.is_terminal) as progress:
        bar = progress.add_task(machine.name, total=len(reader))
        result = simulate(
            machine,
            reader,
            passes=[name for name in PASSES if not chosen or name in chosen],
            vector_work=vector_work,
            workers=workers,
            on_operation=lambda: progress.advance(bar),
        )
    if out is not None:
        result.save(out)
    if as_json:
        layers = json.loads(result.layers.to_json(orient="records"))
        typer.echo(json.dumps({"summary": result.summary, "layers": layers}, indent=2))
    else:
        console = output_console()
        console.print(result_tables(result))
        if out is not None:
            console.print(f"Written: {out / 'layers.csv'}, {out / 'summary.json'}", soft_wrap=True)
