"""Designs on traces, each simulated once: what a sweep and a search have in common."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from accelsim.array import timing_key
from accelsim.explore.designs import Design
from accelsim.explore.parts import Parts, write_table
from accelsim.explore.space import Space
from accelsim.explore.table import tabulate
from accelsim.explore.task import Point, Row, Task, point_key, points_of
from accelsim.explore.trace_file import TraceFile
from accelsim.explore.workers import Workers
from accelsim.trace import open_trace
from accelsim.trace.format import accelsim_version

if TYPE_CHECKING:
    import pandas as pd

_MOST_TOGETHER = 8  # designs of a task: more share more work, and more is lost if it is killed
_TASKS_A_SLOT = 4  # at least, so that none idles for long in the end


class Evaluation:
    """The finished points of a folder, and how to get more of them.

    Args:
        space: whose traces are replayed.
        folder: holds the finished points.

    Raises:
        SpaceError: the folder or a trace cannot be used, or pyarrow is not installed.
        TraceError: a file is no trace, or has not the steps.
    """

    def __init__(self, space: Space, folder: Path) -> None:
        self._parts = Parts(folder)
        self._keys: dict[tuple[str, str], str] = {}
        self.folder = folder
        self.traces: dict[str, TraceFile] = {}
        for name, path in space.traces.items():
            recorded = open_trace(path).select(steps=None if space.steps == "last" else space.steps).steps
            steps = recorded[-1:] if space.steps == "last" else space.steps
            self.traces[name] = TraceFile.read(path, None if steps is None else tuple(steps))

    def run(self, designs: Sequence[Design], workers: Workers, on_points: Callable[[int], None]) -> None:
        """Simulate what is not finished yet; each finished task is on disk before the next one is looked at.

        Args:
            on_points: called with the number of points that have just been finished.
        """
        for rows in workers.run(self.tasks(designs, workers.slots)):
            self._parts.add(rows)
            on_points(len(points_of(rows)))

    def missing(self, designs: Sequence[Design]) -> int:
        """Return how many points are not finished, each counted once."""
        return len(
            {key for name in self.traces for design in designs if (key := self._key(design, name)) not in self._parts}
        )

    def rows(self, design: Design, trace: str) -> list[Row]:
        """Return a finished point's rows, a pass each, or one with an error."""
        return self._parts[self._key(design, trace)]

    def write(self, designs: Sequence[Design], path: Path) -> pd.DataFrame:
        """Write the table of finished designs, see `tabulate`, and return it."""
        table = tabulate(designs, self.traces, self.rows)
        write_table(table, path)
        frame: pd.DataFrame = table.to_pandas()
        return frame

    def tasks(self, designs: Sequence[Design], slots: int) -> list[Task]:
        """Cut what is missing into tasks; designs that share their array's cycles stay together."""
        missing: dict[str, dict[str, Design]] = {name: {} for name in self.traces}
        for name, points in missing.items():
            for design in designs:
                if (key := self._key(design, name)) not in self._parts:
                    points[key] = design
        together = sum(map(len, missing.values())) // (_TASKS_A_SLOT * slots)
        together = max(1, min(_MOST_TOGETHER, together))
        return [task for name, points in missing.items() for task in self._cut(self.traces[name], points, together)]

    @staticmethod
    def _cut(trace: TraceFile, points: dict[str, Design], together: int) -> Iterator[Task]:
        by_timing: dict[object, list[Point]] = {}
        for key, design in points.items():
            by_timing.setdefault(timing_key(design.hardware), []).append(Point(key, design.hardware))
        ordered = [point for group in by_timing.values() for point in group]
        for start in range(0, len(ordered), together):
            yield Task(trace, tuple(ordered[start : start + together]), accelsim_version())

    def _key(self, design: Design, trace: str) -> str:
        place = design.hardware.model_dump_json(), trace
        if place not in self._keys:
            self._keys[place] = point_key(design.hardware, self.traces[trace])
        return self._keys[place]
