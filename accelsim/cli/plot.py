"""`accelsim plot`: figures of results and sweeps."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

KINDS = "ratios, granularity, training, slots, energy, roofline, pareto, layers"


def plot(
    kind: Annotated[str, typer.Argument(help=f"What to show: {KINDS}.")],
    results: Annotated[
        list[Path],
        typer.Argument(
            help="Folders of accelsim run --out, or tables of a sweep (Parquet or CSV).", metavar="RESULT..."
        ),
    ],
    out: Annotated[Path, typer.Option(help="The figure: .svg, .pdf or .png; its numbers go beside it as .csv.")],
) -> None:
    """Draw a figure of results, and write its numbers as CSV beside it.\f

    Raises:
        AccelsimError: an unknown kind, a result that cannot be read or does not have what the kind shows.
    """
    from accelsim.show.console import say_written
    from accelsim.show.figures.registry import find_kind, plot
    from accelsim.show.figures.source import read_source

    written = plot(find_kind(kind), [read_source(path) for path in results], out)
    say_written(f"Written: {', '.join(map(str, written))}", *written)
