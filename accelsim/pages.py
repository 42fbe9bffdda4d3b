"""Parts of the documentation that are written from the code: between `<!-- NAME -->` and `<!-- end -->` on a page."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

from accelsim.files import write_whole

_BLOCK = re.compile(r"<!-- ([^>\n]+) -->\n.*?<!-- end -->", re.DOTALL)


def refreshed(page: str, part: Callable[[str], str]) -> str:
    """Return a page's text with each of its parts written anew, by name."""
    return _BLOCK.sub(lambda block: f"<!-- {block[1]} -->\n{part(block[1])}\n<!-- end -->", page)


def refresh_files(names: list[str], part: Callable[[str], str]) -> None:
    """Write the parts of pages anew."""
    for path in map(Path, names):
        write_whole(path, refreshed(path.read_text(encoding="utf-8"), part))
