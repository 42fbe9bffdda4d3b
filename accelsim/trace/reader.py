"""Reads a trace, a record at a time; nothing a file holds is ever imported or run."""

from __future__ import annotations

import copy
import os
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from difflib import get_close_matches
from fnmatch import fnmatchcase
from functools import cached_property
from pathlib import Path
from typing import Any, BinaryIO, NoReturn

from accelsim.errors import TraceError
from accelsim.trace.entry import Entry, decode
from accelsim.trace.format import (
    FORMAT_VERSION,
    TRAILER_BYTES,
    CutError,
    accelsim_version,
    read_chunk,
    read_preamble,
    read_prelude,
    read_trailer,
)
from accelsim.trace.plain import FormatError
from accelsim.trace.record import OpTrace

_BYTES_FRAMING = 32  # what a pickle of bytes adds to them, at most


@dataclass(frozen=True, slots=True)
class _Row:
    """Where a record starts, and what decides whether and when it is read."""

    number: int
    offset: int
    name: str
    step: int
    order: int

    def __str__(self) -> str:
        return f"record {self.number} ({self.name!r:.80}, step {self.step})"


class TraceReader:
    """The operations of a trace file, sorted by step and forward order; iterate as often as needed.

    Only the index stays in memory, and one operation at a time while iterating. No file is held open between
    iterations, so a reader may be pickled and used in other processes.

    Attributes:
        path: the file.
        meta: metadata; the initial one if the writer was killed.
        complete: False if the writer was killed: the records are those it had completed.
        records_in_file: number of records, also of a selection of them.
        all_layers: whether no layer was left out by `select`.
        format_version, accelsim_version: of the writer.

    Raises:
        TraceError: no readable trace; names file and cause. Damage inside a record is found when it is read.
    """

    path: Path
    meta: dict[str, Any]
    complete: bool
    records_in_file: int
    all_layers: bool
    format_version: int
    accelsim_version: str

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self.path = Path(path)
        self.all_layers = True
        with _opened(self.path) as file:
            size = os.fstat(file.fileno()).st_size
            self.meta = self._read_header(file, size)
            try:
                footer_offset = read_trailer(file, size)
                self.complete = footer_offset is not None
                if footer_offset is None:
                    self._rows = self._rebuilt_index(file, size)
                else:
                    self._rows = self._read_footer(file, size, footer_offset)
                self.records_in_file = len(self._rows)
            except OSError as error:
                raise TraceError(f"{path}: cannot be read: {error.strerror}") from None

    def __len__(self) -> int:
        """Return the number of records."""
        return len(self._rows)

    def __iter__(self) -> Iterator[OpTrace]:
        """Read one operation after another.

        Raises:
            TraceError: a record is damaged; names file and record.
        """
        with _opened(self.path) as file:
            size = os.fstat(file.fileno()).st_size
            for row in self._rows:
                yield self._read(file, size, row)

    @cached_property
    def entries(self) -> tuple[Entry, ...]:
        """What the records are about, in the order of iteration; no mask is read.

        Raises:
            TraceError: a record's header is damaged; names file and record.
        """
        return tuple(self.headers())

    def headers(self) -> Iterator[Entry]:
        """Read the entries one after another, and keep none.

        Raises:
            TraceError: a record's header is damaged; names file and record.
        """
        with _opened(self.path) as file:
            size = os.fstat(file.fileno()).st_size
            for row in self._rows:
                try:
                    entry = _read_entry(file, size, row)
                except (FormatError, OSError) as error:
                    self._refuse(str(row), error)
                yield entry

    @property
    def layers(self) -> tuple[str, ...]:
        """Names of the layers, in the order of their first record."""
        return tuple(dict.fromkeys(row.name for row in self._rows))

    @property
    def steps(self) -> tuple[int, ...]:
        """The recorded steps, ascending."""
        return tuple(dict.fromkeys(row.step for row in self._rows))

    def select(self, layers: Iterable[str] | None = None, steps: Iterable[int] | None = None) -> TraceReader:
        """Return a view of some records; no other record is read.

        Args:
            layers: names or shell patterns ("layer1.*"); None means all.
            steps: None means all.

        Raises:
            TraceError: a layer or step is not in the trace; names the nearest that is.
        """
        rows = self._rows
        if layers is not None:
            names = self.layers
            chosen: set[str] = set()
            for pattern in [layers] if isinstance(layers, str) else layers:
                matching = {name for name in names if name == pattern or fnmatchcase(name, pattern)}
                if not matching:
                    raise TraceError(f"{self.path}: no layer {pattern!r}{_nearest(pattern, names)}")
                chosen |= matching
            rows = [row for row in rows if row.name in chosen]
        if steps is not None:
            wanted = set(steps)
            for step in wanted.difference(self.steps):
                raise TraceError(f"{self.path}: no step {step}{_nearest(str(step), [str(s) for s in self.steps])}")
            rows = [row for row in rows if row.step in wanted]
        view = copy.copy(self)
        view._rows = rows
        view.all_layers = self.all_layers and (layers is None or chosen == set(names))
        return view

    def at(self, places: Iterable[int]) -> TraceReader:
        """Return a view of the records at some places, counted from 0 in the order of iteration."""
        view = copy.copy(self)
        view._rows = [self._rows[place] for place in sorted(places)]
        view.all_layers = False
        return view

    def __getstate__(self) -> dict[str, Any]:
        """Return what a copy needs: it reads the entries again, which are many and may be of other records."""
        return {name: value for name, value in self.__dict__.items() if name != "entries"}

    def __repr__(self) -> str:
        return f"TraceReader({str(self.path)!r}, {len(self)} records{'' if self.complete else ', incomplete'})"

    def _read_header(self, file: BinaryIO, size: int) -> dict[str, Any]:
        part = ""
        try:
            self.format_version, self.accelsim_version = read_preamble(file)
            if self.format_version > FORMAT_VERSION:
                raise FormatError(
                    f"it has trace format {self.format_version}, and accelsim {accelsim_version()} reads up to"
                    f" {FORMAT_VERSION}; install accelsim {self.accelsim_version} or newer"
                )
            part = "header"
            match read_chunk(file, size):
                case {"format": self.format_version, "accelsim": self.accelsim_version, "meta": dict(meta)}:
                    return meta
                case _:
                    raise FormatError("it does not match the file's first bytes")
        except (FormatError, OSError) as error:
            self._refuse(part, error)

    def _read_footer(self, file: BinaryIO, size: int, offset: int) -> list[_Row]:
        try:
            file.seek(offset)
            footer = read_chunk(file, size)
            if file.tell() != size - TRAILER_BYTES:
                raise FormatError("it does not end where the file does")
            meta, rows = _parsed_footer(footer, offset)
        except (FormatError, OverflowError, ValueError) as error:
            self._refuse("index", error)
        self.meta = meta
        return rows

    def _rebuilt_index(self, file: BinaryIO, size: int) -> list[_Row]:
        """Find the records of a file without its end by skipping from one to the next."""
        file.seek(0)
        read_preamble(file)
        read_chunk(file, size)
        rows: list[_Row] = []
        while (offset := file.tell()) < size:
            try:
                header = read_chunk(file, size)
                if isinstance(header, dict) and "index" in header:
                    _parsed_footer(header, offset)
                    if size - file.tell() >= TRAILER_BYTES:
                        raise FormatError("the file's end after the index is damaged")
                    self.meta = header["meta"]
                    break
                entry = Entry.from_plain(header)
                length, _ = read_prelude(file, size)
                file.seek(length, os.SEEK_CUR)
            except CutError:
                break
            except FormatError as error:
                self._refuse(f"record {len(rows)}", error)
            rows.append(_Row(len(rows), offset, entry.name, entry.step, entry.order))
        return _sorted(rows)

    def _read(self, file: BinaryIO, size: int, row: _Row) -> OpTrace:
        try:
            entry = _read_entry(file, size, row)
            stored_bytes = sum(mask.stored_bytes for mask in entry.masks.values())
            body = read_chunk(file, size, stored_bytes + _BYTES_FRAMING)
            if not isinstance(body, bytes):
                raise FormatError("its masks are not bytes")
            return decode(entry, body)
        except (FormatError, TraceError, OSError) as error:
            self._refuse(str(row), error)

    def _refuse(self, part: str, error: Exception) -> NoReturn:
        cause = (error.strerror if isinstance(error, OSError) else None) or str(error)
        raise TraceError(f"{self.path}: {part}{': ' if part else ''}{cause}") from None


def open_trace(path: str | os.PathLike[str]) -> TraceReader:
    """Open a trace file; see `TraceReader`.

    Raises:
        TraceError: no readable trace; names file and cause.
    """
    return TraceReader(path)


def _opened(path: Path) -> BinaryIO:
    try:
        return path.open("rb")
    except FileNotFoundError:
        raise TraceError(f"{path}: there is no such file") from None
    except IsADirectoryError:
        raise TraceError(f"{path}: it is a directory, expected a trace file") from None
    except (OSError, ValueError) as error:
        raise TraceError(f"{path}: cannot be read: {error}") from None


def _read_entry(file: BinaryIO, size: int, row: _Row) -> Entry:
    file.seek(row.offset)
    entry = Entry.from_plain(read_chunk(file, size))
    if (entry.name, entry.step, entry.order) != (row.name, row.step, row.order):
        raise FormatError("it is not the record that the index promises")
    return entry


def _parsed_footer(footer: object, end: int) -> tuple[dict[str, Any], list[_Row]]:
    match footer:
        case {"meta": dict(meta), "index": list(index), **rest} if not rest:
            rows = []
            for number, fields in enumerate(index):
                match fields:
                    case (int(offset), str(name), int(step), int(order)) if 0 <= offset < end:
                        rows.append(_Row(number, offset, name, step, order))
                    case _:
                        raise FormatError(f"its entry {number} is no place of a record")
            return meta, _sorted(rows)
    raise FormatError("it is no index")


def _sorted(rows: list[_Row]) -> list[_Row]:
    return sorted(rows, key=lambda row: (row.step, row.order, row.number))


def _nearest(wanted: str, names: Iterable[str]) -> str:
    known = list(names)
    close = get_close_matches(wanted, known, 1)
    if close:
        return f", did you mean {close[0]!r}?"
    return f", it has {', '.join(known[:6])}{', ...' if len(known) > 6 else ''}" if known else ", it is empty"
