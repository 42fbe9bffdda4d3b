"""Who works off a sweep's tasks: what processes on one machine and a cluster have in common."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from types import TracebackType
from typing import Protocol, Self

from accelsim.explore.task import Row, Task

DIED = "the process that simulated it died: killed, or out of memory"


class Workers(Protocol):
    """Works off tasks, several at once; used in a `with` block.

    Attributes:
        slots: tasks that run at once.
    """

    @property
    def slots(self) -> int: ...

    def run(self, tasks: Iterable[Task]) -> Iterator[list[Row]]:
        """Yield the rows of tasks as they finish, in no order; every point once, with an error if its process died."""
        ...

    def __enter__(self) -> Self: ...

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None: ...
