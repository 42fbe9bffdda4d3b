"""`accelsim search`: the best machines of a space."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from accelsim.cli.options import Scheduler, SkipInvalid, SpaceFile, WorkerCount
from accelsim.cli.progress import counting
from accelsim.cli.sweep import find_workers, read_space


class ObjectiveName(StrEnum):
    """What designs are compared in."""

    cycles = "cycles"
    energy_pj = "energy_pj"
    area_mm2 = "area_mm2"
    speedup_at_equal_area = "speedup_at_equal_area"
    energy_ratio_at_equal_area = "energy_ratio_at_equal_area"


class MethodName(StrEnum):
    """How a search proposes designs."""

    model = "model"
    nsga2 = "nsga2"
    tpe = "tpe"


def search(
    space: SpaceFile,
    out: Annotated[Path, typer.Option(help="Folder for search.parquet, front.csv and the finished points.")],
    objective: Annotated[
        list[ObjectiveName] | None,
        typer.Option(help="What designs are compared in; may be repeated. Default: cycles, energy_pj, area_mm2."),
    ] = None,
    budget: Annotated[
        int | None, typer.Option(min=1, help="Designs to simulate at most; default: a fifth of the grid, at most 500.")
    ] = None,
    method: Annotated[
        MethodName | None,
        typer.Option(help="Default: a model of the costs (up to 20,000 designs), beyond Optuna's NSGA-II."),
    ] = None,
    seed: Annotated[int, typer.Option(min=0, help="Of the search.")] = 0,
    workers: WorkerCount = None,
    scheduler: Scheduler = None,
    skip_invalid: SkipInvalid = False,
) -> None:
    """Find the designs of a space that no other beats, in cycles, energy and area or else, without simulating all.

    Stopped and started again with the same options, it goes on where it was.
    """
    from accelsim.explore.search import OBJECTIVES
    from accelsim.explore.search import search as run_search
    from accelsim.show.console import literal, output_console
    from accelsim.show.text_table import TextTable

    designs = read_space(space, skip_invalid)
    with counting(space.name) as show:
        found = run_search(
            designs,
            out,
            objectives=[one.value for one in objective] if objective else OBJECTIVES,
            budget=budget,
            method=None if method is None else method.value,
            seed=seed,
            workers=find_workers(workers, scheduler),
            on_progress=show,
        )
    found.save_front(out / "front.csv")
    first, *others = (literal(str(name)).replace(".", ".\n") for name in found.front.columns)
    table = TextTable(f"Pareto front: {len(found.front)} designs", [first], others, ruled=True)
    for row in found.front.itertuples(index=False):
        table.add_row(*(f"{value:.4g}" if isinstance(value, float) else literal(str(value)) for value in row))
    output_console().print(table)
    end = "nothing is left to hope for" if found.settled else "the budget is spent"
    failed = f", {found.failed} failed" if found.failed else ""
    typer.echo(
        f"{found.simulated:,} of {found.size:,} designs simulated by {found.method}{failed}; {end}: {found.path}"
    )
