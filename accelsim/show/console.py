"""Where commands print to."""

from __future__ import annotations

import os
import sys
from pathlib import Path

from rich.console import Console
from rich.markup import escape

from accelsim.printable import printable

_NO_END = 10_000  # columns, where no terminal tells: a file or pipe holds lines of any length


def output_console() -> Console:
    """Standard output: as wide as the terminal or COLUMNS says; where neither does, no line is folded."""
    console = Console(highlight=False)
    if not console.is_terminal and "COLUMNS" not in os.environ:
        console.width = _NO_END
    return console


def literal(text: str) -> str:
    """Return a text of somebody else's as rich prints it letter by letter: it can neither style nor steer."""
    return escape(printable(text))


def say_written(sentence: str, *written: Path) -> None:
    """Print what was written: to standard error where standard output is the file, which holds nothing else."""
    print(sentence, file=sys.stderr if any(map(_is_standard_output, written)) else sys.stdout)


def _is_standard_output(path: Path) -> bool:
    try:
        return os.path.samestat(path.stat(), os.fstat(sys.stdout.fileno()))
    except (OSError, ValueError):  # no such file; standard output is no file, as under a notebook or a test
        return False
