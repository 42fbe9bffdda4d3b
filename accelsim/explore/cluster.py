"""Many machines: the workers of a Dask scheduler."""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from types import TracebackType
from typing import Any, Self
from uuid import uuid4

from accelsim.errors import AccelsimError, SpaceError
from accelsim.explore.task import Row, Task, run_task
from accelsim.explore.trace_file import TraceFile, TraceNotHereError, find_here, store_block
from accelsim.explore.workers import DIED
from accelsim.trace.format import accelsim_version

_BLOCK_BYTES = 16 << 20  # sent at a time
_MOST_SENDINGS = 100  # of a trace for the sake of one task: beyond, it never arrives


@dataclass(frozen=True)
class _NotHere:
    """A worker's answer: the trace is not on its machine."""

    worker: str
    address: str
    cache: str


class Cluster:
    """The workers of a Dask scheduler; they may come and go.

    A trace is read under its own path where a worker finds the same content there; else it is sent to that worker,
    once, and kept in its local directory under its hash until it ends. What a worker was at when it died runs again
    elsewhere.

    Args:
        address: the scheduler's, such as tcp://10.0.0.1:8786.
        timeout_seconds: how long to wait for it.

    Attributes:
        sent: how often a trace was sent to a worker, by the worker's id and the trace's hash.

    Raises:
        SpaceError: Dask is not installed, or no scheduler answers.
    """

    def __init__(self, address: str, timeout_seconds: float = 20) -> None:
        try:
            from dask.distributed import Client
        except ImportError:
            raise SpaceError("a cluster needs dask.distributed: pip install 'accelsim[cluster]'") from None
        try:
            self._client = Client(address, timeout=timeout_seconds, set_as_default=False)
        except (OSError, ValueError) as error:
            raise SpaceError(f"no scheduler answers at {address}: {str(error) or type(error).__name__}") from None
        self._address = address
        self.sent: Counter[tuple[str, str]] = Counter()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._client.close(timeout=2)

    @property
    def slots(self) -> int:
        """Threads of all workers that are there now, at least 1."""
        threads: dict[str, int] = self._client.nthreads()
        return max(1, sum(threads.values()))

    def run(self, tasks: Iterable[Task]) -> Iterator[list[Row]]:
        """See `Workers.run`.

        Raises:
            SpaceError: the scheduler is gone, it or a worker has no accelsim or another one; a trace does not arrive.
        """
        from dask.distributed import as_completed

        waiting = deque(tasks)
        running: dict[str, tuple[Task, int]] = {}
        finished = as_completed(loop=self._client.loop)

        def submit(task: Task, sendings: int = 0) -> None:
            future = self._client.submit(_run_on_worker, task, key=f"accelsim-{uuid4()}", pure=False)
            running[str(future.key)] = task, sendings
            finished.add(future)

        while waiting or running:
            while waiting and len(running) < 4 * self.slots + 16:  # enough for workers that join
                submit(waiting.popleft())
            future = next(finished)
            task, sendings = running.pop(str(future.key))
            answer = self._answer(future, task)
            if isinstance(answer, _NotHere):
                if sendings == _MOST_SENDINGS:
                    raise SpaceError(f"{task.trace.path}: does not arrive at {answer.address}")
                self._send(task.trace, answer)
                submit(task, sendings + 1)
            elif answer is not None:
                yield answer
            elif len(task.points) == 1:
                yield task.failed(DIED)
            else:
                waiting.extend(task.singly())

    def _answer(self, future: Any, task: Task) -> list[Row] | _NotHere | None:
        """Return what a task came to; None if several workers in turn died of it."""
        from concurrent.futures import CancelledError

        from dask.distributed import KilledWorker

        try:
            answer: list[Row] | _NotHere = future.result()
            return answer
        except KilledWorker:
            return None
        except AccelsimError:
            raise
        except (CancelledError, OSError) as error:
            raise SpaceError(
                f"the scheduler at {self._address} is gone ({type(error).__name__}); start the sweep again to go on"
            ) from None
        except Exception as error:
            why = " ".join(str(error).split()).partition(". ")[0]
            raise SpaceError(
                f"the cluster cannot run a sweep's tasks ({type(error).__name__}: {why}); scheduler and workers need"
                f" the accelsim that is here, version {accelsim_version()}"
            ) from None

    def _send(self, trace: TraceFile, to: _NotHere) -> None:
        """Send a trace, unless it is there by now; a worker that dies meanwhile does not need it any more."""
        if self.sent[to.worker, trace.sha256]:
            return
        self.sent[to.worker, trace.sha256] += 1
        try:
            with open(trace.path, "rb") as file:
                start = 0
                while block := file.read(_BLOCK_BYTES):
                    keep = partial(store_block, Path(to.cache), trace, start, block)
                    self._client.run(keep, workers=[to.address], on_error="ignore")
                    start += len(block)
        except FileNotFoundError:
            raise SpaceError(f"{trace.path}: was removed while the sweep ran") from None


def _run_on_worker(task: Task) -> list[Row] | _NotHere:
    from dask.distributed import get_worker

    worker = get_worker()
    cache = Path(worker.local_directory) / "accelsim-traces"
    try:
        return run_task(task, partial(find_here, cache=cache))
    except TraceNotHereError:
        return _NotHere(worker.id, worker.address, str(cache))
