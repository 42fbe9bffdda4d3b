"""Where commands print to."""

from __future__ import annotations

import os

from rich.console import Console

_WIDTH_IN_A_FILE = 120  # columns, where no terminal tells


def output_console() -> Console:
    """Standard output: as wide as the terminal or COLUMNS says, or wide enough for every table where neither does."""
    console = Console(highlight=False)
    if not console.is_terminal and "COLUMNS" not in os.environ:
        console.width = max(console.width, _WIDTH_IN_A_FILE)
    return console
