"""A trace file, known by its content: where it is on this machine, or that it has to be sent here."""

from __future__ import annotations

import hashlib
import os
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from accelsim.errors import AccelsimError, SpaceError


@dataclass(frozen=True)
class TraceFile:
    """A trace file's place and content, and what of it is replayed.

    Attributes:
        path: absolute, where the sweep was started.
        steps: recorded steps that are replayed; None for all.
    """

    path: str
    sha256: str
    size_bytes: int
    steps: tuple[int, ...] | None = None

    @classmethod
    def read(cls, path: Path, steps: tuple[int, ...] | None = None) -> TraceFile:
        """Read a file's content.

        Raises:
            SpaceError: it cannot be read.
        """
        try:
            return cls(str(path.resolve()), _hash_of(path), path.stat().st_size, steps)
        except OSError as error:
            raise SpaceError(f"{path}: cannot be read: {error.strerror}") from None


class TraceNotHereError(AccelsimError):
    """The trace is not on this machine, or another file stands in its place."""


def find_here(trace: TraceFile, cache: Path | None = None) -> Path:
    """Return where a trace's content is on this machine: in a cache, or at its own path.

    Raises:
        TraceNotHereError: it is at neither.
    """
    if cache is not None and (kept := cache / trace.sha256).is_file():
        return kept
    path = Path(trace.path)
    try:
        if path.stat().st_size == trace.size_bytes and _hash_of(path) == trace.sha256:
            return path
    except OSError:
        pass
    raise TraceNotHereError(f"{path}: is not there any more, or was changed while the sweep ran")


def store_block(cache: Path, trace: TraceFile, start: int, block: bytes) -> None:
    """Keep a piece of a trace's content; with the last one the file is there under its hash.

    Raises:
        SpaceError: what came is not what was sent.
    """
    cache.mkdir(parents=True, exist_ok=True)
    beside = cache / f".{trace.sha256}.part"
    with beside.open("r+b" if start else "wb") as file:
        file.seek(start)
        file.write(block)
    if start + len(block) == trace.size_bytes:
        if _hash_of(beside) != trace.sha256:
            beside.unlink()
            raise SpaceError(f"{trace.path}: changed while it was sent to a worker")
        beside.replace(cache / trace.sha256)


def _hash_of(path: Path) -> str:
    status = os.stat(path)
    return _hash_once(str(path), status.st_mtime_ns, status.st_size)


@lru_cache(maxsize=256)
def _hash_once(path: str, mtime_ns: int, size: int) -> str:
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
