"""Processes of this machine."""

from __future__ import annotations

import multiprocessing
import os
import signal
import threading
from collections import deque
from collections.abc import Iterable, Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from types import TracebackType
from typing import Self

from accelsim.explore.task import Row, Task, run_task
from accelsim.explore.trace_file import find_here
from accelsim.explore.workers import DIED
from accelsim.signals import held

_LOOK_SECONDS = 0.2  # at most this long a signal waits


class Processes:
    """One process per core, or as many as are asked for; each is started afresh, so no state of this one gets there.

    A process that dies takes its point with it, not the sweep: what ran when it died runs again, point by point, and
    the point whose process dies once more is given up.

    Attributes:
        slots: processes.
    """

    def __init__(self, count: int | None = None) -> None:
        self.slots = count or os.cpu_count() or 1
        self._pool = self._start()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            if error is None:
                self._pool.shutdown(wait=True, cancel_futures=True)
            else:
                self._kill()
        except BaseException:
            self._kill()
            raise

    def run(self, tasks: Iterable[Task]) -> Iterator[list[Row]]:
        """See `Workers.run`.

        Raises:
            TraceNotHereError: a trace was changed or removed meanwhile.
        """
        waiting = deque(tasks)
        running: dict[Future[list[Row]], Task] = {}
        while waiting or running:
            while waiting and len(running) < self.slots:
                task = waiting.popleft()
                running[self._submit(task)] = task
            finished = _first_finished(running)
            suspects: list[Task] = []
            for future in finished:
                task = running.pop(future)
                try:
                    rows = future.result()
                except BrokenProcessPool:
                    suspects.append(task)
                else:
                    yield rows
            if suspects:
                suspects += running.values()
                running.clear()
                self._renew()
                for alone in (alone for task in suspects for alone in task.singly()):
                    yield self._run_alone(alone)

    def _run_alone(self, task: Task) -> list[Row]:
        future = self._submit(task)
        _first_finished([future])
        try:
            return future.result()
        except BrokenProcessPool:
            self._renew()
            return task.failed(DIED)

    def _submit(self, task: Task) -> Future[list[Row]]:
        with held():  # this starts processes
            try:
                return self._pool.submit(run_task, task, find_here)
            except BrokenProcessPool:
                self._renew()
                return self._pool.submit(run_task, task, find_here)

    def _kill(self) -> None:
        for process in tuple((self._pool._processes or {}).values()):  # before Python 3.14 a pool has no kill_workers
            process.kill()
        self._pool.shutdown(wait=True, cancel_futures=True)

    def _renew(self) -> None:
        self._pool.shutdown(wait=False, cancel_futures=True)
        self._pool = self._start()

    def _start(self) -> ProcessPoolExecutor:
        return ProcessPoolExecutor(self.slots, multiprocessing.get_context("spawn"), _begin)


def _first_finished(futures: Iterable[Future[list[Row]]]) -> set[Future[list[Row]]]:
    """Wait until one of some futures is done, and return those that are."""
    futures = list(futures)
    while True:
        with held():  # an exception inside `wait` may leave locks locked, on which the pool's end waits
            finished, _ = wait(futures, _LOOK_SECONDS, FIRST_COMPLETED)
        if finished:
            return finished


def _begin() -> None:
    """End with the parent, also when it was killed and could say nothing; Ctrl-C is for the parent."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    parent = multiprocessing.parent_process()
    assert parent is not None

    def follow() -> None:
        parent.join()
        os._exit(1)

    threading.Thread(target=follow, daemon=True).start()
