"""Lines of a small CSV file that a person wrote, with their numbers."""

from __future__ import annotations

import csv
from collections.abc import Iterator
from pathlib import Path

from accelsim.errors import AccelsimError

_MAX_BYTES = 1 << 22


def csv_lines(path: Path) -> Iterator[tuple[int, list[str]]]:
    """Yield number (from 1) and stripped cells of every line but blank ones and comments (#); empty last cells are cut.

    Raises:
        AccelsimError: the file cannot be read, is larger than 4 MiB, or is not UTF-8 text; names file and line.
    """
    try:
        with path.open("rb") as file:
            data = file.read(_MAX_BYTES + 1)
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
        raise AccelsimError(f"{path}: cannot be read: {reason}") from None
    if len(data) > _MAX_BYTES:
        raise AccelsimError(f"{path}: is larger than {_MAX_BYTES >> 20} MiB, so it is no file of this kind")
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        bad = data.count(b"\n", 0, error.start) + 1
        raise AccelsimError(f"{path}:{bad}: byte {data[error.start]:#04x} is not UTF-8 text") from None
    for number, line in enumerate(text.splitlines(), start=1):
        if not line.strip() or line.lstrip().startswith("#"):
            continue
        try:
            cells = [cell.strip() for cell in next(csv.reader([line], strict=True))]
        except csv.Error as error:
            raise AccelsimError(f"{path}:{number}: {error}") from None
        while cells and not cells[-1]:
            cells.pop()
        if cells:
            yield number, cells
