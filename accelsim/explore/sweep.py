"""A sweep: every design of a space on every trace, one Parquet file in the end."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from accelsim.explore.designs import choose
from accelsim.explore.evaluation import Evaluation
from accelsim.explore.processes import Processes
from accelsim.explore.space import Space, check_space
from accelsim.explore.workers import Workers

if TYPE_CHECKING:
    import pandas as pd

FILE = "sweep.parquet"


@dataclass(frozen=True)
class Swept:
    """A finished sweep.

    Attributes:
        table: one row per design, trace and pass, see `tabulate`; also in `path`.
        points: designs times traces.
        computed: points that were simulated now; the others were on disk.
        failed: points that ended in an error.
        impossible: combinations that were left out because they are no machine.
    """

    table: pd.DataFrame
    path: Path
    points: int
    computed: int
    failed: int
    impossible: int


def sweep(
    space: Space,
    folder: str | os.PathLike[str],
    workers: Workers | None = None,
    on_progress: Callable[[int, int], None] = lambda done, total: None,
) -> Swept:
    """Simulate all designs of a space on its traces.

    Every finished point is in the folder at once. Stopped, however hard, and started again, a sweep simulates only what
    is missing, and its file is the same to the byte; so does a larger space in the same folder.

    Args:
        folder: gets `sweep.parquet`, and the finished points under `parts`.
        workers: `Processes(n)` or `Cluster(address)`; by default one process per core. With processes, a script calls
            this under `if __name__ == "__main__":`, as Python's spawned processes ask for.
        on_progress: called with the finished and all points, at the start and whenever some have been finished.

    Raises:
        SpaceError: `space` is no Space but a path, say; combinations that are no machine, a space without designs, a
            folder that cannot be used; pyarrow is not installed.
        HardwareError, TraceError: an energy table or a trace that cannot be used.
    """
    check_space(space)
    chosen = choose(space)
    directory = Path(folder)
    evaluation = Evaluation(space, directory)
    designs = chosen.designs
    points, missing = len(designs) * len(space.traces), evaluation.missing(designs)
    done = points - missing

    def advance(count: int) -> None:
        nonlocal done
        done += count
        on_progress(done, points)

    advance(0)
    if missing:
        with workers or Processes() as ready:
            evaluation.run(designs, ready, advance)
    table = evaluation.write(designs, directory / FILE)
    failed = int(table["error"].notna().sum())
    return Swept(table, directory / FILE, points, missing, failed, chosen.impossible)
