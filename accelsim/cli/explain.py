"""`accelsim explain`: how one layer's cycles come about."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from accelsim.cli.options import HardwareFile, PassName
from accelsim.errors import AccelsimError

if TYPE_CHECKING:
    from accelsim.trace import OpTrace


def explain(
    hw: HardwareFile,
    trace: Annotated[Path, typer.Option(help="The trace, as `accelsim train` or a Tracer writes it.")],
    layer: Annotated[str, typer.Option(help="The layer's name; `accelsim inspect` lists them.")],
    pass_: Annotated[PassName | None, typer.Option("--pass", help="Only this pass; default: all that ran.")] = None,
    step: Annotated[int | None, typer.Option(help="Training step; default: the last one recorded.")] = None,
    call: Annotated[int, typer.Option(min=0, help="Which of the layer's calls in that step.")] = 0,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON instead of text.")] = False,
) -> None:
    """Show how one layer's cycles come about: shapes, tiles, windows, the slowest tile, slots and memory."""
    from accelsim.cli.machine import read_machine
    from accelsim.explain import explain as explain_operation
    from accelsim.lowering import PASSES, passes_of
    from accelsim.show.console import output_console
    from accelsim.show.explanation import explanation_text

    machine = read_machine(hw)
    op = _operation(trace, layer, step, call)
    ran = passes_of(op)
    if pass_ is not None and pass_.value not in ran:
        raise AccelsimError(
            f"{trace}: {op.name}, step {op.step}, call {op.call} did not run {pass_.value}, it ran {', '.join(ran)}"
        )
    explanation = explain_operation(machine, op, [name for name in PASSES if pass_ in (None, name)])
    if as_json:
        typer.echo(json.dumps(asdict(explanation), indent=2))
        return
    output_console().print(explanation_text(explanation))


def _operation(trace: Path, layer: str, step: int | None, call: int) -> OpTrace:
    """Read one operation.

    Raises:
        TraceError: the trace cannot be read, or has no such layer or step.
        AccelsimError: the layer's name is a pattern, or the layer has no such call in this step.
    """
    from accelsim.trace import open_trace

    reader = open_trace(trace)
    view = reader.select(layers=[layer])
    if layer not in view.layers:
        raise AccelsimError(
            f"{trace}: {layer!r} stands for {len(view.layers)} layers, name one, e.g. {view.layers[0]!r}"
        )
    view = view.select(steps=[view.steps[-1] if step is None else step])
    calls = []
    for op in view:
        if op.name == layer and op.call == call:
            return op
        calls.append(str(op.call))
    raise AccelsimError(f"{trace}: {layer}, step {view.steps[0]} has no call {call}, it has {', '.join(calls)}")
