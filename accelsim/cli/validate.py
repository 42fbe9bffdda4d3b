"""`accelsim validate`: the machines beside independent implementations of them."""

from __future__ import annotations

from fnmatch import fnmatchcase
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from collections.abc import Callable

    from rich.table import Table

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
    layer: Annotated[list[str] | None, typer.Option(help="Only this layer, or 'layer1.*'. Repeatable.")] = None,
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


def _table(title: str, rows: list[Comparison]) -> Table:
    from rich import box
    from rich.table import Table

    table = Table(title=title, title_justify="left", box=box.SIMPLE_HEAD, pad_edge=False, padding=(0, 1, 0, 0))
    for column in ("layer", "pass"):
        table.add_column(column)
    for column in ("m", "n", "k", "GEMMs", "accelsim", "closed form", "SCALE-Sim", ""):
        table.add_column(column, justify="right", no_wrap=True)
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
