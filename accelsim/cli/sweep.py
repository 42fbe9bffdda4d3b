"""`accelsim sweep`: many machines on many traces."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from accelsim.cli.options import Scheduler, SkipInvalid, SpaceFile, WorkerCount
from accelsim.cli.progress import counting
from accelsim.errors import AccelsimError

if TYPE_CHECKING:
    from accelsim.explore import Space
    from accelsim.explore.workers import Workers


def sweep(
    space: SpaceFile,
    out: Annotated[Path, typer.Option(help="Folder for sweep.parquet and the finished points.")],
    workers: WorkerCount = None,
    scheduler: Scheduler = None,
    skip_invalid: SkipInvalid = False,
) -> None:
    """Simulate every design of a space on every trace: a Parquet file, a row a design, trace and pass.

    Stopped and started again, it goes on where it was.
    """
    from accelsim.explore.sweep import sweep as run_sweep
    from accelsim.printable import printable_lines

    designs = read_space(space, skip_invalid)
    with counting(space.name) as show:
        swept = run_sweep(designs, out, find_workers(workers, scheduler), show)
    left_out = f", {swept.impossible:,} impossible combinations left out" if swept.impossible else ""
    found = swept.points - swept.computed
    typer.echo(
        f"{swept.points:,} points ({found:,} were there already), {swept.failed:,} failed{left_out}: {swept.path}"
    )
    if swept.failed:
        example = swept.table["error"].dropna().iloc[0]
        typer.echo(f"The column error says why; for one: {printable_lines(example)}", err=True)


def read_space(path: Path, skip_invalid: bool) -> Space:
    """Read the space file, as the command line changes it."""
    from accelsim.cli.machine import tell_changed_defaults
    from accelsim.explore import load_space

    space = load_space(path)
    tell_changed_defaults(space.hw_file, space.base_hw, space.axes)
    return replace(space, on_invalid="skip") if skip_invalid else space


def find_workers(count: int | None, scheduler: str | None) -> Workers:
    """Return processes or a cluster.

    Raises:
        AccelsimError: both are asked for, or no scheduler answers.
    """
    from accelsim.explore import Cluster, Processes

    if scheduler is None:
        return Processes(count)
    if count is not None:
        raise AccelsimError("--workers are processes here, --scheduler has workers of its own: give one of them")
    return Cluster(scheduler)
