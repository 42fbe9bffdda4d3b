"""Records of a training, a trace file a step."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from accelsim.errors import AccelsimError
from accelsim.trace.record import OpTrace
from accelsim.trace.writer import TraceWriter


class StepFiles:
    """Where a meter's records go: a file for each step, of which gradients that come late leave two open.

    A file that cannot be written must not stop the training, so it is told by `failure`.

    Args:
        folder: of the files.
        meta: the recording's metadata.
    """

    def __init__(self, folder: Path, meta: dict[str, Any]) -> None:
        self.path, self.meta = folder, meta
        self.failure: str | None = None
        self._writers: dict[int, TraceWriter] = {}

    def write(self, op: OpTrace) -> None:
        """Add a record to its step's file."""
        if self.failure is not None:
            return
        try:
            if op.step not in self._writers:
                self._writers[op.step] = TraceWriter(self.path / f"{op.step}.pkl")
            self._writers[op.step].write(op)
        except AccelsimError as error:
            self.failure = str(error)

    def finish_step(self, step: int) -> Path | None:
        """Close a step's file and return it, None if there is none."""
        writer = self._writers.pop(step, None)
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
        self._writers.clear()
