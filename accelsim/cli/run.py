"""`accelsim run`: replay a trace on a machine."""

from __future__ import annotations

import json
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from accelsim.cli.options import AsJson, HardwareFile, Layers, PassName, Steps
from accelsim.cli.progress import progress
from accelsim.errors import AccelsimError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from accelsim.fleet import PassDetail
    from accelsim.results import PassResult, Result
    from accelsim.sampling import Sampling
    from accelsim.trace import TraceChain, TraceReader


def run(
    hw: HardwareFile,
    trace: Annotated[
        list[Path],
        typer.Option(
            help="A trace, as `accelsim train` or a Tracer writes it. Repeatable: a run's ranks or parts are summed,"
            " other traces are simulated one by one."
        ),
    ],
    out: Annotated[
        Path | None, typer.Option(help="Folder for layers.csv, training.csv, summary.json and the figure.")
    ] = None,
    layer: Layers = None,
    step: Steps = None,
    pass_: Annotated[list[PassName] | None, typer.Option("--pass", help="Only this pass. Repeatable.")] = None,
    vector_work: Annotated[
        bool,
        typer.Option(
            "--vector-work/--no-vector-work",
            help="Count the work between the products, too: normalisation, activation functions, optimiser, ...",
        ),
    ] = True,
    equal_area: Annotated[
        bool,
        typer.Option("--equal-area/--no-equal-area", help="Compare with the best dense machine of the same area, too."),
    ] = True,
    run_steps: Annotated[
        int | None, typer.Option(help="Optimiser steps of the whole training, where the trace does not say it.")
    ] = None,
    sample: Annotated[
        str | None,
        typer.Option(
            help="Simulate a random share of the tiles (0.05), or as many as --error takes (auto).",
            metavar="SHARE|auto",
        ),
    ] = None,
    error: Annotated[
        str | None, typer.Option(help="With --sample auto: how sure the total of cycles is to be, 1% by default.")
    ] = None,
    seed: Annotated[int | None, typer.Option(help="With --sample: of the draw, 0 by default.")] = None,
    mapping: Annotated[
        Path | None,
        typer.Option(
            help="How some layers are cut for the buffers, instead of a search: a CSV file with the columns layer, pass"
            " and mapping, such as the layers.csv of another run."
        ),
    ] = None,
    timeline: Annotated[
        Path | None, typer.Option(help="A timeline of all loads, work, stores and waits, for ui.perfetto.dev (JSON).")
    ] = None,
    timeline_limit: Annotated[
        int, typer.Option(min=1, help="Slices a track and pass before the timeline draws neighbours as one.")
    ] = 200,
    action_counts: Annotated[
        Path | None, typer.Option(help="What the machine did, in Accelergy's terms (YAML).")
    ] = None,
    workers: Annotated[int | None, typer.Option(min=1, help="Operations side by side; default: all cores.")] = None,
    as_json: AsJson = False,
) -> None:
    """Replay a trace on a machine: cycles, energy and speedup by layer and pass, and of the whole training.

    Speedup is against the same machine without skipping, and against the best dense machine of the same area.
    """
    from accelsim.cli.machine import read_machine
    from accelsim.lowering import PASSES
    from accelsim.memory.mappings import read_mappings
    from accelsim.pipeline import simulate
    from accelsim.show.action_counts import ActionCounts
    from accelsim.show.console import literal
    from accelsim.show.timeline import Timeline
    from accelsim.trace import open_traces

    sampling = _sampling(sample, error, seed)
    if sampling is not None and (timeline or action_counts):
        raise AccelsimError(f"--{'timeline' if timeline else 'action-counts'} needs every tile: leave --sample away")
    machine = read_machine(hw)
    mappings = None if mapping is None else read_mappings(mapping)
    reader = open_traces(trace).select(layers=layer or None, steps=step or None)
    one_only = {"--timeline": timeline, "--action-counts": action_counts, "--run-steps": run_steps}
    runs = _runs(reader, [option for option, value in one_only.items() if value is not None])
    chosen = {name.value for name in pass_ or []}
    results = []
    with ExitStack() as files, progress() as shown:
        watching: list[Timeline | ActionCounts] = []
        if timeline is not None:
            watching.append(files.enter_context(Timeline(timeline, machine, timeline_limit)))
        if action_counts is not None:
            watching.append(files.enter_context(ActionCounts(action_counts, machine)))

        def on_pass(_machine: int, ran: PassResult, detail: PassDetail) -> None:
            for watcher in watching:
                watcher.add(ran, detail)

        bar = shown.add_task(literal(machine.name), total=len(reader))
        for one in runs:
            result = simulate(
                machine,
                one,
                passes=[name for name in PASSES if not chosen or name in chosen],
                vector_work=vector_work,
                equal_area=equal_area,
                run_steps=run_steps,
                sample=sampling,
                mappings=mappings,
                workers=workers,
                on_operation=lambda: shown.advance(bar),
                on_pass=on_pass if watching else None,
            )
            results.append(result)
    written = [path for path in (timeline, action_counts) if path is not None]
    if out is not None:
        for number, result in enumerate(results):
            written += _save(result, out if len(runs) == 1 else out / f"{number}-{Path(result.trace['path']).stem}")
    _print(results, written, as_json)


def _runs(reader: TraceReader | TraceChain, one_only: list[str]) -> Sequence[TraceReader | TraceChain]:
    """Return what is simulated by itself: all traces together if they may be of one run, else each.

    Raises:
        AccelsimError: the traces are of several runs, but options were given that are about one.
    """
    from accelsim.printable import printable
    from accelsim.trace import TraceChain

    if not isinstance(reader, TraceChain) or not reader.unlike:
        return [reader]
    if one_only:
        raise AccelsimError(f"{one_only[0]} is about one run, but {reader.unlike}")
    typer.echo(f"{printable(reader.unlike)}: each is simulated by itself.", err=True)
    return [one for one in reader.readers if len(one)]


def _print(results: list[Result], written: list[Path], as_json: bool) -> None:
    from accelsim.show.console import literal, output_console
    from accelsim.show.tables import result_tables
    from accelsim.show.training import training_table

    if as_json:
        made = [_jsonable(result) for result in results]
        typer.echo(json.dumps(made[0] if len(made) == 1 else {"runs": made}, indent=2))
        return
    console = output_console()
    for result in results:
        if len(results) > 1:
            console.print("", literal(result.trace["path"]), sep="\n", style="bold", soft_wrap=True)
        for part in (result_tables(result), "", *training_table(result)):
            console.print(part)
    if written:
        console.print(literal(f"Written: {', '.join(map(str, written))}"), soft_wrap=True)


def _jsonable(result: Result) -> dict[str, Any]:
    layers, steps = (json.loads(table.to_json(orient="records")) for table in (result.layers, result.steps))
    return {"summary": result.summary, "layers": layers, "steps": steps}


def _sampling(sample: str | None, error: str | None, seed: int | None) -> Sampling | None:
    """Read the options about sampling.

    Raises:
        AccelsimError: one that needs another one, or no number.
    """
    from accelsim.sampling.plan import DEFAULT_ERROR, Sampling

    for name, given, needs in (("--error", error, sample == "auto"), ("--seed", seed, sample is not None)):
        if given is not None and not needs:
            raise AccelsimError(
                f"{name} {given} has nothing to say without --sample{' auto' if name == '--error' else ''}"
            )
    if sample is None:
        return None
    share: float | Literal["auto"] = "auto" if sample == "auto" else _share("--sample", sample)
    return Sampling(share, DEFAULT_ERROR if error is None else _share("--error", error), seed or 0)


def _share(option: str, text: str) -> float:
    """Read 0.05 or 5%."""

    try:
        return float(text[:-1]) / 100 if text.endswith("%") else float(text)
    except ValueError:
        raise AccelsimError(f"{option} is {text!r}, expected a share such as 0.05 or 5%") from None


def _save(result: Result, out: Path) -> list[Path]:
    """Write the tables, and the figure if there is a course to see and something to draw it with."""
    from accelsim.show.figures.files import can_draw
    from accelsim.show.speedup_figure import Panel, draw_speedup

    result.save(out)
    written = [out / name for name in ("layers.csv", "training.csv", "summary.json")]
    if result.layers["step"].nunique() < 2:
        return written
    if not can_draw():
        typer.echo("No figure of the speedup over training: pip install 'accelsim[plot]'.", err=True)
        return written
    whole = result.training["total"] or {}
    ratios = whole.get("speedup"), whole.get("speedup_at_equal_area")
    panel = Panel(result.hardware.name, result.steps, *ratios)
    return [*written, *draw_speedup([panel], out / "speedup_over_training")]
