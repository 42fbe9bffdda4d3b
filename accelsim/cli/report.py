"""`accelsim report`: a result or sweep as one HTML file."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


def report(
    result: Annotated[
        Path, typer.Argument(help="Folder of accelsim run --out, or a table of a sweep (Parquet or CSV).")
    ],
    out: Annotated[Path, typer.Option(help="The HTML file; it needs no other file and no network.")],
) -> None:
    """Write a report: totals, sortable tables, figures, the configuration, and how to read them.\f

    Raises:
        AccelsimError: the result cannot be read, Jinja2 or matplotlib is missing, the file cannot be written.
    """
    from accelsim.files import write_whole
    from accelsim.show.console import say_written
    from accelsim.show.figures.source import read_source
    from accelsim.show.report import report_html

    write_whole(out, report_html(read_source(result)))
    say_written(f"Written: {out}", out)
