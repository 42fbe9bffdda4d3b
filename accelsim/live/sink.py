"""Records of a training, a trace file a step."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from accelsim.errors import AccelsimError
from accelsim.trace.record import OpTrace
from accelsim.trace.writer import TraceWriter


class StepFiles:
    """Where a meter's records go: the running step's file.

    A file that cannot be written must not stop the training, so it is told by `failure`.

    Args:
        folder: of the files.
        meta: the recording's metadata.
    """

    def __init__(self, folder: Path, meta: dict[str, Any]) -> None:
        self.path, self.meta = folder, meta
        self.failure: str | None = None
        self._writer: TraceWriter | None = None

    def write(self, op: OpTrace) -> None:
        """Add a record to its step's file."""
        if self.failure is not None:
            return
        try:
            if self._writer is None:
                self._writer = TraceWriter(self.path / f"{op.step}.pkl")
            self._writer.write(op)
        except AccelsimError as error:
            self.failure = str(error)

    def finish_step(self) -> Path | None:
        """Close the step's file and return it, None if there is none."""
        writer, self._writer = self._writer, None
        if writer is None or self.failure is not None:
            return None
        try:
            writer.close()
        except AccelsimError as error:
            self.failure = str(error)
            return None
        return writer.path

    def close(self) -> None:
        """Leave an unfinished step's file alone: the folder goes with the worker."""
        self._writer = None
