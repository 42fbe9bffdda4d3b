"""What a record says, as Markdown; `python -m accelsim.trace.reference docs/tracing.md` refreshes the page's table.

The page holds it between the lines `<!-- record -->` and `<!-- end -->`.
"""

from __future__ import annotations

import sys
from dataclasses import fields

from accelsim.pages import refresh_files
from accelsim.trace.record import MASKS, Facts


def record_markdown() -> str:
    """Every field of a record and every mask: name and meaning."""
    means = {part.name: part.metadata["means"] for part in fields(Facts)}
    means |= {name: mask.means for name, mask in MASKS.items()}
    return "\n".join(["| | |", "|---|---|", *(f"| {name} | {text} |" for name, text in means.items())])


if __name__ == "__main__":
    refresh_files(sys.argv[1:], lambda _: record_markdown())
