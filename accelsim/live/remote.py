"""The training's side of the worker: never waits for it, and outlives it."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

import accelsim
from accelsim.files import make_temporary_folder, remove_temporary_folder
from accelsim.hardware.model import Hardware
from accelsim.live.messages import Failed, Inbox, Simulated, Start, Step, pack
from accelsim.signals import held

# Importing the worker's modules takes seconds. -P: no module of the working folder is taken for one of ours.
_PROGRAM = """
from accelsim.signals import ending_with_parent
with ending_with_parent():
    from accelsim.live.worker import main
main()
"""
_COMMAND = ("-P", "-c", _PROGRAM)


class Remote:
    """A worker process.

    It is a program of its own, not a fork or a `multiprocessing` child, which would import the training script again.

    Args:
        hw: the machine.
        command: what to run, arguments of the Python interpreter.

    Attributes:
        folder: where traces for it go; it removes them.
        waiting: steps sent that it has not answered.
        failure: one sentence if it is gone, or cannot go on.
    """

    def __init__(self, hw: Hardware, command: Sequence[str] = _COMMAND) -> None:
        self.folder = make_temporary_folder("accelsim-live-")
        self.waiting = 0
        self.failure: str | None = None
        self._inbox = Inbox()
        self._errors = tempfile.TemporaryFile()  # noqa: SIM115 (open as long as the worker)
        package = str(Path(accelsim.__file__).parents[1])
        path = os.pathsep.join(filter(None, (package, os.environ.get("PYTHONPATH"))))
        with held():
            self._process = subprocess.Popen(
                [sys.executable, *command],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=self._errors,
                bufsize=0,
                env=os.environ | {"PYTHONPATH": path},
            )
        self._send(Start(hw, str(self.folder)))

    def send(self, step: int, path: Path) -> None:
        """Have a recorded step simulated."""
        self._send(Step(step, str(path)))
        self.waiting += 1

    def received(self, wait: bool = False) -> list[Simulated]:
        """Return the answers that are there, or with `wait` at least one, unless the worker fails."""
        found: list[Simulated] = []
        assert self._process.stdout is not None
        pipe = self._process.stdout.fileno()
        while self.failure is None and not (wait and found):
            os.set_blocking(pipe, wait)
            try:
                piece = os.read(pipe, 1 << 16)
            except BlockingIOError:
                break
            if not piece:
                self._gone()
                break
            for message in self._inbox.take(piece):
                self.waiting -= 1
                if isinstance(message, Failed):
                    self.failure = message.sentence
                else:
                    found.append(message)
        return found

    def close(self) -> None:
        """End the worker, whatever it is at."""
        for stream in (self._process.stdin, self._process.stdout):
            if stream is not None:
                stream.close()
        self._process.kill()
        self._process.wait()
        self._errors.close()
        remove_temporary_folder(self.folder)

    def _send(self, message: object) -> None:
        assert self._process.stdin is not None
        try:
            self._process.stdin.write(pack(message))  # far less than a pipe holds: it does not wait
        except OSError:
            self._gone()

    def _gone(self) -> None:
        """Say what the worker said last."""
        self._process.wait()
        self._errors.seek(0)
        lines = self._errors.read().decode(errors="replace").strip().splitlines()
        last = f": {lines[-1]}" if lines else ""
        self.failure = f"the process that simulates ended with code {self._process.returncode}{last}"
