"""What a sweep has finished so far: small Parquet files, each written whole or not at all."""

from __future__ import annotations

import hashlib
import io
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from accelsim.errors import SpaceError
from accelsim.explore.task import COUNTS, ENERGIES, RATIOS, Row
from accelsim.files import write_whole

if TYPE_CHECKING:
    import pyarrow as pa


def arrow() -> Any:
    """Return pyarrow.

    Raises:
        SpaceError: it is not installed.
    """
    try:
        import pyarrow as pa
        import pyarrow.parquet
    except ImportError:
        raise SpaceError("a sweep needs pyarrow to write Parquet: pip install 'accelsim[explore]'") from None
    return pa


class Parts:
    """The finished points of a folder, by key; a point's rows do not depend on the sweep that asked for it.

    Args:
        folder: of the sweep; its `parts` are read, and made if there are none.

    Raises:
        SpaceError: the folder cannot be used, or a part cannot be read.
    """

    def __init__(self, folder: Path) -> None:
        self._arrow, self._folder = arrow(), folder / "parts"
        self._rows: dict[str, list[Row]] = {}
        try:
            self._folder.mkdir(parents=True, exist_ok=True)
            for path in sorted(self._folder.glob("*.parquet")):
                self._read(path)
        except OSError as error:
            raise SpaceError(f"{self._folder}: cannot be used: {error.strerror or error}") from None

    def __contains__(self, key: str) -> bool:
        return key in self._rows

    def __getitem__(self, key: str) -> list[Row]:
        return self._rows[key]

    def __len__(self) -> int:
        return len(self._rows)

    def add(self, rows: Iterable[Row]) -> None:
        """Put finished points on disk; when this returns, no crash of the program loses them.

        Raises:
            SpaceError: the file cannot be written.
        """
        rows = list(rows)
        name = hashlib.sha256("".join(sorted({row["point"] for row in rows})).encode()).hexdigest()[:24]
        write_table(self._arrow.Table.from_pylist(rows, _schema(self._arrow)), self._folder / f"{name}.parquet")
        self._keep(rows)

    def _read(self, path: Path) -> None:
        try:
            self._keep(self._arrow.parquet.read_table(path).to_pylist())
        except (self._arrow.ArrowInvalid, KeyError) as error:
            raise SpaceError(
                f"{path}: is no part of a sweep ({error}); delete it to compute its points again"
            ) from None

    def _keep(self, rows: Iterable[Row]) -> None:
        found: dict[str, list[Row]] = {}
        for row in rows:
            found.setdefault(row["point"], []).append(row)
        self._rows |= found


def write_table(table: pa.Table, path: Path) -> None:
    """Write a Parquet file whole or not at all.

    Raises:
        SpaceError: it cannot be written.
    """
    pa = arrow()
    buffer = io.BytesIO()
    pa.parquet.write_table(table, buffer)
    write_whole(path, buffer.getvalue(), SpaceError)


def _schema(pa: Any) -> Any:
    texts = [(name, pa.string()) for name in ("point", "pass", "error", "equal_area_machine")]
    counts = [(name, pa.int64()) for name in (*COUNTS, "equal_area_cycles")]
    return pa.schema([*texts, *counts, *((name, pa.float64()) for name in (*ENERGIES, *RATIOS))])
