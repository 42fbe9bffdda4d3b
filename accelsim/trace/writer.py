"""Writes a trace, a record at a time, so that whatever kills the run leaves the records written so far."""

from __future__ import annotations

import contextlib
import io
import os
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from accelsim.errors import TraceError
from accelsim.trace.entry import Entry, encode
from accelsim.trace.format import (
    FORMAT_VERSION,
    FormatError,
    accelsim_version,
    check_plain,
    chunk,
    preamble,
    trailer,
)
from accelsim.trace.record import OpTrace


class TraceWriter:
    """Writes a trace file; a context manager.

    Each record goes to the file whole, by one unbuffered write. Leaving the `with` block, also by an exception, adds
    the index; a run killed before leaves a file that reads up to its last complete record.

    Args:
        path: the file, replaced if it exists.
        meta: what the trace is about (model, data, command, ...): plain str, int (64 bits), float, bool, None, bytes,
            list, tuple and dict only.

    Attributes:
        path: the file.
        meta: may be changed until `close`; the last values are those that a reader of a complete file sees.

    Raises:
        TraceError: the file cannot be written, or `meta` holds something else than plain values.
    """

    path: Path
    meta: dict[str, Any]

    def __init__(self, path: str | os.PathLike[str], meta: Mapping[str, Any] | None = None) -> None:
        self.path = Path(path)
        self.meta = dict(meta or {})
        self._checked_meta()
        self._index: list[tuple[int, str, int, int]] = []
        try:
            # Unbuffered: a kill loses no complete record, and a forked DataLoader worker inherits no bytes to flush.
            self._file = self.path.open("wb", buffering=0)
        except OSError as error:
            raise TraceError(f"{self.path}: cannot be written: {error.strerror}") from None
        self._position = 0
        header = {"format": FORMAT_VERSION, "accelsim": accelsim_version(), "meta": self.meta}
        self._append(preamble() + chunk(header))

    def write(self, op: OpTrace) -> None:
        """Add a record.

        Raises:
            TraceError: the writer is closed, the disk is full, or this is not an `OpTrace` that the format can hold.
        """
        if self._file.closed:
            raise TraceError(f"{self.path}: the trace is closed, write before leaving the with block")
        if not isinstance(op, OpTrace):
            raise TraceError(f"{self.path}: cannot write a {type(op).__name__}, expected an OpTrace")
        entry, body = encode(op, len(self._index))
        header = entry.to_plain()
        try:
            Entry.from_plain(header)  # what would not be read is not written
        except FormatError as error:
            raise TraceError(f"{self.path}: {op.name}: {error}") from None
        start = self._position
        self._append(chunk(header) + chunk(body))
        self._index.append((start, entry.name, entry.step, entry.order))

    def close(self) -> None:
        """Write the index and the final metadata; without effect on a closed writer.

        Raises:
            TraceError: the disk is full, or `meta` holds something else than plain values; the records can be read
                all the same.
        """
        if self._file.closed:
            return
        try:
            self._checked_meta()
            footer = {"meta": self.meta, "index": self._index}
            self._append(chunk(footer) + trailer(self._position))
        finally:
            self._file.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    def _checked_meta(self) -> None:
        if type(self.meta) is not dict or not all(type(key) is str for key in self.meta):
            raise TraceError(f"{self.path}: meta must be a dict with str keys")
        try:
            check_plain(self.meta, "meta")
        except FormatError as error:
            raise TraceError(f"{self.path}: {error}") from None

    def _append(self, data: bytes) -> None:
        try:
            rest = memoryview(data)
            while rest:  # a regular file takes all at once, up to 2 GiB
                rest = rest[self._file.write(rest) :]
        except OSError as error:
            # What was written of this record would hide every later one behind a damaged place.
            with contextlib.suppress(OSError):  # a device cannot be truncated
                self._file.truncate(self._position)
                self._file.seek(self._position, io.SEEK_SET)
            raise TraceError(f"{self.path}: cannot be written: {error.strerror}") from None
        self._position += len(data)
