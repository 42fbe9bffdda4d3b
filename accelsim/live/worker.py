"""The process that simulates recorded steps while the training goes on: `python -m accelsim.live.worker`."""

from __future__ import annotations

import os
import shutil
import signal
import sys
from pathlib import Path

from accelsim.errors import AccelsimError
from accelsim.live.messages import Failed, Inbox, Simulated, Start, Step, pack
from accelsim.pipeline import simulate
from accelsim.results import PassResult

_NICE = 5  # the training goes first


def main() -> None:
    """Answer each step on standard input with its rows on standard output, until the input ends."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the training, which then closes our input
    os.nice(_NICE)
    answers = os.dup(1)
    os.dup2(2, 1)  # whatever prints does not print into the answers
    inbox, start = Inbox(), None
    try:
        while piece := os.read(0, 1 << 16):
            for message in inbox.take(piece):
                if isinstance(message, Start):
                    start = message
                elif start is not None:
                    _send(answers, _answer(start, message))
    except BrokenPipeError:  # the training is gone
        pass
    finally:
        if start is not None:
            shutil.rmtree(start.folder, ignore_errors=True)


def _answer(start: Start, message: Step) -> Simulated | Failed:
    rows: list[PassResult] = []
    try:
        simulate(start.hardware, message.path, workers=1, on_pass=lambda _, row, __: rows.append(row))
    except AccelsimError as error:
        return Failed(str(error))
    finally:
        Path(message.path).unlink(missing_ok=True)
    return Simulated(message.step, tuple(rows))


def _send(pipe: int, message: object) -> None:
    rest = memoryview(pack(message))
    while rest:
        rest = rest[os.write(pipe, rest) :]


if __name__ == "__main__":
    main()
    sys.exit(0)
