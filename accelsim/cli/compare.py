"""`accelsim compare`: two results side by side."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer

from accelsim.cli.options import AsJson


def compare(
    first: Annotated[Path, typer.Argument(help="Folder of accelsim run --out: A.", metavar="A")],
    second: Annotated[Path, typer.Argument(help="Another one: B.", metavar="B")],
    unlike: Annotated[
        bool,
        typer.Option(
            "--unlike", help="Compare results of different traces with the same layers; other batch sizes per image."
        ),
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Show what got faster from A to B, by layer and pass, and where the cycles went.\f

    Raises:
        AccelsimError: a folder cannot be read, or the two are not of the same operations.
    """
    from accelsim.results.comparison import compare
    from accelsim.results.row import known
    from accelsim.results.saved import load_result
    from accelsim.show.comparison import comparison_tables
    from accelsim.show.console import output_console

    comparison = compare(load_result(first), load_result(second), unlike=unlike)
    if as_json:
        layers = json.loads(comparison.layers.to_json(orient="records"))
        found = {
            "differs": comparison.differs,
            "images": comparison.images,
            "per_image": comparison.per_image,
            "total": {name: known(value) for name, value in comparison.totals().items()},
            "at_equal_area": comparison.at_equal_area(),
            "layers": layers,
            "notes": comparison.notes,
        }
        typer.echo(json.dumps(found, indent=2))
        return
    console = output_console()
    for part in comparison_tables(comparison):
        console.print(part)
