"""Writes a trace, one record at a time, so that whatever stops the run leaves the records written so far."""

from __future__ import annotations

import copy
import errno
import io
import os
import stat
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, NamedTuple, Self

from accelsim.errors import TraceError
from accelsim.files import open_special, write_whole
from accelsim.trace.entry import Entry, encode
from accelsim.trace.format import (
    FORMAT_VERSION,
    MAX_META_VALUES,
    MAX_RECORDS,
    accelsim_version,
    chunk,
    preamble,
    trailer,
)
from accelsim.trace.plain import MAX_VALUE_BYTES, FormatError, check_plain
from accelsim.trace.record import OpTrace


class _Written(NamedTuple):
    """A record's place in the file, from `start` to `end` in bytes, and what the index says of it."""

    start: int
    end: int
    name: str
    step: int
    order: int


class TraceWriter:
    """Writes a trace file; a context manager.

    Each record goes to the file whole, by one unbuffered write. Leaving the `with` block, also by an exception, adds
    the index; a run killed before leaves a file that reads up to its last complete record. An exception raised by a
    signal may interrupt the writer itself, at any instruction: the file then reads up to its last complete record, too,
    and the writer goes on after it.

    Args:
        path: the file, replaced if it exists. A device or pipe is written to.
        meta: what the trace is about (model, data, command, ...): plain str, int (64 bits), float, bool, None, bytes,
            list, tuple and dict only, with keys that are str or int, within the bounds of `accelsim.trace.plain`.

    Attributes:
        path: the file.
        meta: may be changed until `close`; the last values are those that a reader of a complete file sees.

    Raises:
        TraceError: the file cannot be written, or `meta` holds what a reader would refuse; names the key.
    """

    path: Path
    meta: dict[str, Any]

    def __init__(self, path: str | os.PathLike[str], meta: Mapping[str, Any] | None = None) -> None:
        self.path = Path(path)
        self.meta = dict(meta or {})
        version = {"format": FORMAT_VERSION, "accelsim": accelsim_version()}
        header = preamble() + self._chunk_with(self.meta, version)
        self._first_meta = copy.deepcopy(self.meta)
        # Records whose write has begun. Each is here before its first byte is in the file, so that the file's size,
        # not a count of our own that a signal may come before, says which of them are complete: see `_settle`.
        self._records: list[_Written] = []
        self._header_bytes = len(header)
        self._names: dict[str, str] = {}
        # Unbuffered: a kill loses no complete record, and a forked DataLoader worker inherits no bytes to flush.
        try:
            special = open_special(self.path)
            if special is None:
                write_whole(self.path, header, TraceError, to_disk=False)  # there is never a file without its header
            self._file = special or io.FileIO(self.path, "r+b")
        except (OSError, ValueError) as error:
            raise self._unwritable(error) from None
        self._seekable = stat.S_ISREG(os.fstat(self._file.fileno()).st_mode) and special is None
        self._cut = False  # a pipe or device got a part of a chunk, which cannot be taken back
        if special is not None:
            self._append(header)

    def write(self, op: OpTrace) -> None:
        """Add a record.

        Raises:
            TraceError: the writer is closed, the disk is full, the file has as many records as a file may have, or this
                is not an `OpTrace` that the format can hold.
        """
        if self._file.closed:
            raise TraceError(f"{self.path}: the trace is closed, write before leaving the with block")
        if not isinstance(op, OpTrace):
            raise TraceError(f"{self.path}: cannot write a {type(op).__name__}, expected an OpTrace")
        self._settle()
        if len(self._records) == MAX_RECORDS:
            raise TraceError(f"{self.path}: has {MAX_RECORDS} records, go on in another file")
        entry, body = encode(op, len(self._records))
        header = entry.to_plain()
        try:  # what would not be read is not written
            Entry.from_plain(header)
            check_plain(header, "it")
        except FormatError as error:
            raise TraceError(f"{self.path}: {op.name}: {error}") from None
        data = chunk(header) + chunk(body)
        name = self._names.setdefault(entry.name, entry.name)  # one text in memory and in the file's index
        start, self._cut = self._end, True
        self._records.append(_Written(start, start + len(data), name, entry.step, entry.order))
        self._append(data)

    def close(self) -> None:
        """Write the index and the final metadata; without effect on a closed writer.

        Raises:
            TraceError: the disk is full, the records can be read all the same; or `meta` holds what a reader would
                refuse, then the file is complete with the metadata of its start.
        """
        if self._file.closed:
            return
        try:
            if self._cut and not self._seekable:
                return  # its reader sees a trace that was cut off
            self._settle()
            index = [(record.start, record.name, record.step, record.order) for record in self._records]
            refused = None
            try:
                footer = self._chunk_with(self.meta, {"index": index})
            except TraceError as error:
                refused = error
                footer = self._chunk_with(self._first_meta, {"index": index})
            self._append(footer + trailer(self._end))
            if refused is not None:
                raise refused
        finally:
            self._file.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    def _chunk_with(self, meta: dict[str, Any], rest: dict[str, Any]) -> bytes:
        """Return a chunk of metadata and more."""
        if type(meta) is not dict or not all(type(key) is str for key in meta):
            raise TraceError(f"{self.path}: meta must be a dict with str keys")
        try:
            check_plain(meta, "meta", MAX_META_VALUES)
        except FormatError as error:
            raise TraceError(f"{self.path}: {error}") from None
        try:
            return chunk({**rest, "meta": meta})
        except FormatError:
            largest = max(meta, key=lambda key: len(repr(meta[key])), default="")
            raise TraceError(
                f"{self.path}: meta and index take more than {MAX_VALUE_BYTES} bytes, most of them"
                f" meta[{largest!r:.40}]"
            ) from None

    @property
    def _end(self) -> int:
        """Where the last record ends, in bytes."""
        return self._records[-1].end if self._records else self._header_bytes

    def _settle(self) -> None:
        """Forget a record that is not whole in the file, and what there is of it: it would hide every later one.

        Raises:
            TraceError: it cannot be removed.
        """
        if not self._seekable:
            if self._cut:
                raise self._unwritable(OSError(errno.EIO, "an earlier record was cut off"))
            return
        try:
            size = os.fstat(self._file.fileno()).st_size
            while self._records and self._records[-1].end > size:
                self._records.pop()
            if size > self._end:
                self._file.truncate(self._end)
            self._file.seek(self._end)
        except OSError as error:
            raise self._unwritable(error) from None

    def _append(self, data: bytes) -> None:
        self._cut = True
        try:
            rest = memoryview(data)
            while rest:  # a regular file takes all at once, up to 2 GiB
                rest = rest[self._file.write(rest) :]
            self._cut = False
        except OSError as error:
            if self._seekable:
                self._settle()
            raise self._unwritable(error) from None

    def _unwritable(self, error: OSError | ValueError) -> TraceError:
        why = (error.strerror if isinstance(error, OSError) else None) or str(error)
        return TraceError(f"{self.path}: cannot be written: {why}")
