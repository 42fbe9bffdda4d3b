"""What meter and worker say to each other: pickles, each after its length, over the worker's standard streams.

Both ends are this package, started by the same user; a pickle of theirs is as safe as their code.
"""

from __future__ import annotations

import pickle
import struct
from dataclasses import dataclass
from typing import Any

from accelsim.hardware.model import Hardware
from accelsim.results.row import PassResult

_LENGTH = struct.Struct("<Q")


@dataclass(frozen=True)
class Start:
    """The first message to a worker: on what to simulate, and the folder of the traces, which the worker removes."""

    hardware: Hardware
    folder: str


@dataclass(frozen=True)
class Step:
    """A recorded step to simulate: a trace file, removed once it is read."""

    step: int
    path: str


@dataclass(frozen=True)
class Simulated:
    """The worker's answer: a row a pass."""

    step: int
    rows: tuple[PassResult, ...]


@dataclass(frozen=True)
class Failed:
    """The worker's answer where it cannot go on: one sentence."""

    sentence: str


def pack(message: object) -> bytes:
    """Return a message as it goes through a pipe."""
    data = pickle.dumps(message)
    return _LENGTH.pack(len(data)) + data


class Inbox:
    """Puts messages together from the pieces in which a pipe delivers them."""

    def __init__(self) -> None:
        self._bytes = bytearray()

    def take(self, piece: bytes) -> list[Any]:
        """Return the messages that a piece completes."""
        self._bytes += piece
        found = []
        while len(self._bytes) >= _LENGTH.size:
            end = _LENGTH.size + _LENGTH.unpack_from(self._bytes)[0]
            if len(self._bytes) < end:
                break
            found.append(pickle.loads(bytes(self._bytes[_LENGTH.size : end])))
            del self._bytes[:end]
        return found
