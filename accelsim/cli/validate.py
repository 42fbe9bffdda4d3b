"""`accelsim validate`: the machines beside independent implementations of them."""

from __future__ import annotations

from fnmatch import fnmatchcase
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from accelsim.cli.options import Layers

if TYPE_CHECKING:
    from collections.abc import Callable

    from accelsim.show.text_table import TextTable
    from accelsim.validate.rtl import Outcome
    from accelsim.validate.scalesim import Comparison, Run


validate_app = typer.Typer(
    name="validate", help="Compare machines with independent implementations.", no_args_is_help=True
)


@validate_app.callback()
def _commands() -> None:
    """Compare machines with independent implementations."""


@validate_app.command()
def scalesim(
    rows: Annotated[int, typer.Option(min=1, max=4096, help="PEs in a column of the array.")] = 32,
    cols: Annotated[int, typer.Option(min=1, max=4096, help="PEs in a row of the array.")] = 32,
    layer: Layers = None,
    table: Annotated[
        Path | None, typer.Option(help="Results of SCALE-Sim, as benchmarks/scalesim_peer.py keeps them.")
    ] = None,
    measure: Annotated[
        bool | None,
        typer.Option(
            "--measure/--no-measure",
            help="Run the installed SCALE-Sim where the table knows nothing; minutes for all layers."
            " Default: if one can be imported.",
        ),
    ] = None,
) -> None:
    """Systolic arrays: CIFAR ResNet-18's 21 layers, 3 passes and 3 dataflows beside SCALE-Sim.

    Prints accelsim's cycles, the closed forms and, where known, what SCALE-Sim prints. Installs nothing. Exit code 1 if
    any number differs.
    """
    from rich.console import Console

    from accelsim.errors import AccelsimError
    from accelsim.show.console import output_console
    from accelsim.synth.networks import resnet18_cifar
    from accelsim.validate.scalesim import DATAFLOWS, compare, is_installed

    every = resnet18_cifar()
    layers = [one for one in every if not layer or any(fnmatchcase(one.name, pattern) for pattern in layer)]
    if not layers:
        raise AccelsimError(
            f"no layer of CIFAR ResNet-18 is called {', '.join(layer or ())}; expected one of"
            f" {', '.join(one.name for one in every)}"
        )
    lookup = _source(table, is_installed() if measure is None else measure)
    console = output_console()
    compared: list[Comparison] = []
    with Console(stderr=True).status("") as status:

        def known(run: Run) -> int | None:
            status.update(f"{run.dataflow}, m={run.m}, n={run.n}, k={run.k}")
            return lookup(run)

        for dataflow in DATAFLOWS:
            found = list(compare(rows, cols, dataflow, layers, known))
            console.print(_table(f"{dataflow}, {rows}x{cols} PEs, batch 1", found))
            console.print()
            compared += found
    console.print(_verdict(compared), soft_wrap=True)
    if not all(one.equals_closed_form and (one.printed is None or one.equals_scalesim) for one in compared):
        raise typer.Exit(1)


def _source(table: Path | None, measure: bool) -> Callable[[Run], int | None]:
    """Where SCALE-Sim's numbers come from: the table first, then SCALE-Sim itself; every distinct run once."""
    from accelsim.validate import scalesim as peer

    kept = {} if table is None else peer.read_table(table)

    @cache
    def lookup(run: Run) -> int | None:
        return kept[run] if run in kept else peer.measure(run) if measure else None

    return lookup


def _table(title: str, rows: list[Comparison]) -> TextTable:
    from accelsim.show.text_table import TextTable

    columns = ("m", "n", "k", "GEMMs", "accelsim", "closed form", "SCALE-Sim", "")
    table = TextTable(title, ["layer", "pass"], columns, ruled=True)
    for row in rows:
        largest = max(row.runs, key=lambda run: run.m * run.n * run.k)
        table.add_row(
            row.layer,
            row.which,
            *map(str, (largest.m, largest.n, largest.k, len(row.runs), row.ours, row.closed)),
            "" if row.printed is None else str(row.printed),
            "" if row.equals_closed_form and (row.printed is None or row.equals_scalesim) else "differs",
        )
    return table


def _verdict(rows: list[Comparison]) -> str:
    """Say what agreed and which convention the numbers follow."""
    known = [row for row in rows if row.printed is not None]
    closed, equal = sum(row.equals_closed_form for row in rows), sum(row.equals_scalesim for row in known)
    lines = [
        "m, n, k: the layer's GEMM, of input_grad's largest stride phase. accelsim and the closed forms count every"
        " fold whole; SCALE-Sim prints the number of its last cycle, one less a GEMM.",
        f"{closed} of {len(rows)} layer passes equal the closed forms.",
    ]
    if known:
        lines.append(f"{equal} of {len(known)} layer passes equal SCALE-Sim's own output, plus one a GEMM.")
    if len(known) < len(rows):
        lines.append(
            f"SCALE-Sim's output is not known for {len(rows) - len(known)}: give a --table, or install scalesim==3.0.0"
            " beside NumPy below 2.4 and --measure."
        )
    return "\n".join(lines)


@validate_app.command()
def rtl(
    cases: Annotated[int, typer.Option(min=0, help="Random GEMMs of a few tiles, over all random arrays.")] = 1000,
    seed: Annotated[int, typer.Option(min=0, help="Other arrays, masks and values.")] = 0,
    arrays: Annotated[int, typer.Option(min=1, help="Random arrays; each is built once, some ten seconds.")] = 12,
    trace: Annotated[Path | None, typer.Option(help="Also layers of this trace, from its last recorded step.")] = None,
    layer: Layers = None,
    hw: Annotated[
        Path | None, typer.Option(help="Machine that runs the trace's layers; default: hw_configs/pe16x16.yaml.")
    ] = None,
    tiles: Annotated[int, typer.Option(min=1, help="Tiles of each of a layer's passes.")] = 10,
    most_k: Annotated[int, typer.Option(min=1, help="K positions of a layer's tile; the others are cut off.")] = 1024,
    vcd: Annotated[Path | None, typer.Option(help="Also run the example of docs/timing.md, waveform to here.")] = None,
) -> None:
    """The array in SystemVerilog (rtl/) under Verilator: outputs, cycles of every tile, slots and activity.

    Needs Verilator and a checkout of the repository. Exit code 1 if anything differs.
    """
    from accelsim.show.console import output_console
    from accelsim.validate.rtl_bench import find_rtl, find_verilator

    rtl_folder = find_rtl()
    find_verilator()
    console, found = output_console(), []
    if cases:
        table, outcomes = _random_arrays(cases, seed, arrays)
        console.print(table)
        found += outcomes
    if trace is not None:
        table, outcomes = _recorded_layers(
            trace, layer, hw or rtl_folder.parent / "hw_configs" / "pe16x16.yaml", tiles, most_k, seed
        )
        console.print(table)
        console.print(
            f"Of a pass's largest GEMM at most {tiles} tiles, K up to {most_k}, of two neighbouring row tiles, ran on"
            " the RTL; accelsim timed the same cut.",
            soft_wrap=True,
        )
        found += outcomes
    if vcd is not None:
        found += _waveform(vcd)
        console.print(f"{vcd}: waveform of the example of docs/timing.md, {found[-1].cycles} cycles", soft_wrap=True)
    agree = sum(not outcome.off for outcome in found)
    for outcome in [one for one in found if one.off][:10]:
        console.print("differs: " + "; ".join(outcome.off), soft_wrap=True, markup=False)
    console.print(
        f"{agree} of {len(found)} cases agree in outputs, cycles of every tile, slots and activity:"
        f" {sum(one.tiles for one in found):,} tiles, {sum(one.cycles for one in found):,} cycles, seed {seed}.",
        soft_wrap=True,
    )
    if agree < len(found):
        raise typer.Exit(1)


def _random_arrays(cases: int, seed: int, arrays: int) -> tuple[TextTable, list[Outcome]]:
    """Run random cases on random arrays."""
    from rich.console import Console

    from accelsim.validate.rtl import array_words, most_random_k, random_cases, random_machines, run_cases
    from accelsim.validate.rtl_bench import Parameters

    table = _rtl_table("random GEMMs", ["array"], "cases")
    found: list[Outcome] = []
    with Console(stderr=True).status("") as status:
        for index, machine in enumerate(random_machines(seed, arrays)):
            status.update(f"array {index + 1} of {arrays}: {array_words(machine)}")
            count = cases // arrays + (index < cases % arrays)
            drawn = list(random_cases(machine, index, seed, count))
            outcomes = run_cases(Parameters.of(machine, most_random_k(machine)), drawn)
            table.add_row(array_words(machine), str(len(outcomes)), *_sums(outcomes))
            found += outcomes
    return table, found


def _recorded_layers(
    trace: Path, layers: list[str] | None, hw: Path, tiles: int, most_k: int, seed: int
) -> tuple[TextTable, list[Outcome]]:
    """Run tiles of a trace's layers, each pass a case."""
    from rich.console import Console

    from accelsim.cli.machine import read_machine
    from accelsim.show.console import literal
    from accelsim.trace import open_trace
    from accelsim.validate.rtl import recorded_cases, run_cases
    from accelsim.validate.rtl_bench import Parameters

    machine = read_machine(hw)
    view = open_trace(trace)
    view = view.select(layers=layers) if layers else view
    view = view.select(steps=[view.steps[-1]])
    parameters = Parameters.of(machine, most_k)
    title = literal(f"{trace.name}, step {view.steps[0]}, on {machine.name}")
    table = _rtl_table(title, ["layer", "call", "pass"], "m, n, k", "K run")
    found: list[Outcome] = []
    with Console(stderr=True).status("") as status:
        for op in view:
            status.update(literal(op.name))
            cut = list(recorded_cases(machine, op, tiles, most_k, seed))
            outcomes = run_cases(parameters, [case for _, _, case in cut])
            for (which, whole, case), outcome in zip(cut, outcomes, strict=True):
                extents = f"{whole.m}, {whole.n}, {whole.k}"
                table.add_row(literal(op.name), str(op.call), which, extents, str(case.gemm.k), *_sums([outcome]))
            found += outcomes
    return table, found


def _waveform(vcd: Path) -> list[Outcome]:
    from accelsim.validate.rtl import run_cases, worked_example
    from accelsim.validate.rtl_bench import Parameters

    case = worked_example()
    return run_cases(Parameters.of(case.hw, case.gemm.k), [case], vcd)


def _rtl_table(title: str, names: list[str], *columns: str) -> TextTable:
    from accelsim.show.text_table import TextTable

    return TextTable(title, names, [*columns, "tiles", "cycles", "sync slots", "off"], left=["m, n, k"], ruled=True)


def _sums(outcomes: list[Outcome]) -> tuple[str, ...]:
    """Return tiles, cycles, sync slots (how much was blocked or drained), and cases that differ."""
    tiles, cycles, sync = (sum(getattr(one, name) for one in outcomes) for name in ("tiles", "cycles", "sync"))
    return str(tiles), f"{cycles:,}", f"{sync:,}", str(sum(bool(one.off) for one in outcomes))
