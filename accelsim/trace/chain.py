"""Several trace files read as one: the ranks of a distributed run, or the parts of a resumed one."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Sequence
from fnmatch import fnmatchcase
from functools import cached_property
from itertools import repeat
from pathlib import Path
from typing import Any

from accelsim.errors import TraceError
from accelsim.trace.kinship import what_differs
from accelsim.trace.other_work import OtherWork
from accelsim.trace.reader import TraceReader, open_trace
from accelsim.trace.record import OpTrace
from accelsim.trace.training_run import TrainingRun
from accelsim.trace.unlowered import join_unlowered


class TraceChain:
    """The operations of several traces, one file after another.

    Nothing is merged: two ranks' records of the same layer, step and call are two operations, each of its rank's share
    of the batch, so that sums over them are those of the whole batch.

    Args:
        readers: one or more, each of another file.
        files: readers of the same files without a selection, if `readers` are views.

    Attributes:
        paths: the files.
        meta: the first file's metadata, with the operations that all of them left out (`unlowered`), the work between
            the products that all of them did (`other_work`), and what all of them together say of the run (`training`,
            see `TrainingRun.joined`).
        all_layers: whether no layer was left out by a selection.
        complete: whether all files are.
        records_in_file: number of records in all files, also of a selection of them.

    Raises:
        TraceError: no file, or one given twice.
    """

    def __init__(self, readers: Sequence[TraceReader], files: Sequence[TraceReader] | None = None) -> None:
        if not readers:
            raise TraceError("no trace was given, expected one file or more")
        self.readers = tuple(readers)
        self._whole_files = tuple(files or readers)
        self.paths = tuple(reader.path for reader in readers)
        seen: set[Path] = set()
        for path in self.paths:
            if (real := path.resolve()) in seen:
                raise TraceError(f"{path} is given twice, expected each trace once")
            seen.add(real)
        unlowered = join_unlowered(reader.meta for reader in readers)
        self.meta: dict[str, Any] = {**readers[0].meta, "unlowered": unlowered}
        self.meta.pop("training", None)
        runs = [TrainingRun.from_meta(reader.meta) for reader in self.readers]
        known = [run for run in runs if run is not None]
        if len(known) == len(runs) and (joined := TrainingRun.joined(known)) is not None:
            self.meta["training"] = joined.plain()
        self.meta.pop("other_work", None)
        works = [work for reader in self.readers if (work := OtherWork.from_meta(reader.meta)) is not None]
        if len(works) == len(self.readers):
            self.meta["other_work"] = OtherWork.joined(works).plain()
        self.all_layers = all(reader.all_layers for reader in self.readers)
        self.complete = all(reader.complete for reader in readers)
        self.records_in_file = sum(reader.records_in_file for reader in readers)

    @cached_property
    def unlike(self) -> str | None:
        """Why the files are not of one run, a sentence; None if they may be its ranks or parts.

        Raises:
            TraceError: a record's header is damaged.
        """
        first, *others = self._whole_files
        for other in others:
            if different := what_differs(first, other):
                return f"{first.path} and {other.path} are not of one run, they differ in {'; '.join(different)}"
        return None

    def __len__(self) -> int:
        """Return the number of records."""
        return sum(map(len, self.readers))

    def __iter__(self) -> Iterator[OpTrace]:
        """Read one operation after another.

        Raises:
            TraceError: a record is damaged; names file and record.
        """
        for reader in self.readers:
            yield from reader

    @property
    def files(self) -> Iterator[int]:
        """Each record's file, by its position in `paths`."""
        for position, reader in enumerate(self.readers):
            yield from repeat(position, len(reader))

    @property
    def steps(self) -> tuple[int, ...]:
        """The recorded steps of all files, ascending."""
        return tuple(sorted({step for reader in self.readers for step in reader.steps}))

    def select(self, layers: Iterable[str] | None = None, steps: Iterable[int] | None = None) -> TraceChain:
        """Return a view of some records, see `TraceReader.select`; each name and step must be in one file at least.

        Raises:
            TraceError: a layer or step is in no file.
        """
        patterns, wanted = None if layers is None else list(layers), None if steps is None else set(steps)
        missing_layers = [
            pattern for pattern in patterns or () if not any(_has(reader, pattern) for reader in self.readers)
        ]
        missing_steps = (wanted or set()).difference(*(reader.steps for reader in self.readers))
        if missing_layers or missing_steps:
            # It raises, and says what the first file has instead.
            self.readers[0].select(missing_layers or None, missing_steps or None)
        return TraceChain(
            [
                reader.select(
                    None if patterns is None else [pattern for pattern in patterns if _has(reader, pattern)],
                    None if wanted is None else wanted.intersection(reader.steps),
                )
                for reader in self.readers
            ],
            self._whole_files,
        )


def open_traces(paths: Sequence[str | os.PathLike[str]]) -> TraceReader | TraceChain:
    """Open one trace, or several as one.

    Raises:
        TraceError: no file, one given twice, or no readable trace; names file and cause.
    """
    return open_trace(paths[0]) if len(paths) == 1 else TraceChain([open_trace(path) for path in paths])


def _has(reader: TraceReader, pattern: str) -> bool:
    return any(name == pattern or fnmatchcase(name, pattern) for name in reader.layers)
