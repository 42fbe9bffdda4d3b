"""The process that simulates recorded steps while the training goes on; `live.remote` starts it."""

from __future__ import annotations

import os
import select
import shutil
import signal
import threading
from pathlib import Path
from queue import SimpleQueue

from accelsim.errors import AccelsimError
from accelsim.live.messages import Failed, Inbox, Simulated, Start, Step, pack
from accelsim.pipeline import simulate
from accelsim.results import PassResult

_NICE = 5  # the training goes first
_LOOK_SECONDS = 1.0


def main() -> None:
    """Answer each step on standard input with its rows on standard output.

    Ends with the training, whatever this process is at then: when its input ends, or it has another parent.
    """
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the training
    os.nice(_NICE)
    answers = os.dup(1)
    os.dup2(2, 1)  # whatever prints does not print into the answers
    messages: SimpleQueue[Start | Step] = SimpleQueue()
    threading.Thread(target=_listen, args=(messages, os.getppid()), daemon=True).start()
    start = messages.get()
    assert isinstance(start, Start)
    while True:
        step = messages.get()
        assert isinstance(step, Step)
        _send(answers, _answer(start, step))


def _listen(messages: SimpleQueue[Start | Step], training: int) -> None:
    """Pass messages on until the training is gone; then remove its traces and end the process."""
    inbox, folder = Inbox(), None
    while os.getppid() == training:
        # A child of the training that outlives it may hold our input open, hence the look at the parent.
        if not select.select([0], [], [], _LOOK_SECONDS)[0]:
            continue
        piece = os.read(0, 1 << 16)
        if not piece:
            break
        for message in inbox.take(piece):
            if isinstance(message, Start):
                folder = message.folder
            messages.put(message)
    if folder is not None:
        shutil.rmtree(folder, ignore_errors=True)
    os._exit(0)


def _answer(start: Start, message: Step) -> Simulated | Failed:
    rows: list[PassResult] = []
    try:
        simulate(start.hardware, message.path, equal_area=False, workers=1, on_pass=lambda _, row, __: rows.append(row))
    except AccelsimError as error:
        return Failed(str(error))
    finally:
        Path(message.path).unlink(missing_ok=True)
    return Simulated(message.step, tuple(rows))


def _send(pipe: int, message: object) -> None:
    rest = memoryview(pack(message))
    while rest:
        rest = rest[os.write(pipe, rest) :]
