"""Progress bars on standard error, where that is a terminal."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rich.progress import Progress


def progress(*, transient: bool = True, speaks: bool = True) -> Progress:
    """Return a bar with a count and the time left; `transient` removes it at the end, without `speaks` none is seen."""
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    console = Console(stderr=True)
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    return Progress(*columns, console=console, transient=transient, disable=not (console.is_terminal and speaks))


@contextmanager
def counting(title: str) -> Iterator[Callable[[int, int], None]]:
    """Show a bar; yields what is told how many are done, and of how many."""
    from accelsim.show.console import literal

    with progress() as shown:
        bar = shown.add_task(literal(title), total=None)
        yield lambda done, total: shown.update(bar, completed=done, total=total)
