"""A piece of a sweep that one process works off: some designs on one trace."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any

from accelsim.array import Slots
from accelsim.energy.account import EnergyBreakdown
from accelsim.errors import AccelsimError, SpaceError
from accelsim.explore.trace_file import TraceFile
from accelsim.hardware.model import Hardware
from accelsim.results.other_work import OTHER_WORK, parts_of_total
from accelsim.results.row import speedup
from accelsim.trace import open_trace
from accelsim.trace.format import accelsim_version

COUNTS = (
    *("macs", "effectual_macs", "cycles", "array_cycles", "dense_cycles"),
    *(f"slots_{part.name}" for part in fields(Slots)),
    *("dram_bytes", "dense_dram_bytes"),
)
RATIOS = ("speedup", "speedup_at_equal_area", "energy_ratio_at_equal_area")
EQUAL_AREA = ("equal_area_machine", "equal_area_cycles", *RATIOS[1:])
"""Of the best dense machine of the design's area; empty where there is none."""
ENERGIES = (
    *("energy_pj", "dense_energy_pj", "equal_area_energy_pj"),
    *(f"energy_{part.name}" for part in fields(EnergyBreakdown) if part.name != "vector_pj"),
)
Row = dict[str, Any]


@dataclass(frozen=True)
class Point:
    """One design on one trace.

    Attributes:
        key: what the result depends on, hashed; two points with the same key have the same result.
    """

    key: str
    hardware: Hardware


@dataclass(frozen=True)
class Task:
    """Points that share a trace, simulated together.

    Attributes:
        version: accelsim's, as the one who asks has it.
    """

    trace: TraceFile
    points: tuple[Point, ...]
    version: str

    @property
    def name(self) -> str:
        """A name that says all that the result depends on."""
        return hashlib.sha256("".join(point.key for point in self.points).encode()).hexdigest()[:24]

    def singly(self) -> list[Task]:
        """Return a task for each point."""
        return [replace(self, points=(point,)) for point in self.points]

    def failed(self, why: str) -> list[Row]:
        """Return the rows of a task that came to nothing."""
        return [_error_row(point, why) for point in self.points]


def point_key(hw: Hardware, trace: TraceFile) -> str:
    """Hash what a point's result depends on: the machine but for its name, its energy table, the trace and its
    steps, accelsim."""
    parts: list[Any] = [hw.model_dump(mode="json", exclude={"name"}), trace.sha256, accelsim_version()]
    if trace.steps is not None:
        parts.append(trace.steps)
    if hw.energy.endswith((".yaml", ".yml")):
        parts.append(hashlib.sha256(Path(hw.energy).read_bytes()).hexdigest())
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()[:32]


def run_task(task: Task, find: Callable[[TraceFile], Path]) -> list[Row]:
    """Simulate a task's points: one row per point and pass, or one with an error.

    Args:
        find: says where the trace's content is on this machine.

    Raises:
        SpaceError: this process has another accelsim than the one who asks.
    """
    if task.version != accelsim_version():
        raise SpaceError(
            f"a worker has accelsim {accelsim_version()}, the sweep was started by {task.version}: install the same"
        )
    path = find(task.trace)
    try:
        return list(_simulate(task.points, path, task.trace.steps))
    except Exception as error:  # of one design, whatever it is: the others do not pay for it
        if len(task.points) == 1:
            return task.failed(_said(error))
    rows: list[Row] = []
    for alone in task.singly():
        rows += run_task(alone, find)
    return rows


def _simulate(points: Sequence[Point], path: Path, steps: Sequence[int] | None) -> Iterator[Row]:
    from accelsim.pipeline import simulate_many

    results = simulate_many([point.hardware for point in points], open_trace(path).select(steps=steps), workers=1)
    for point, result in zip(points, results, strict=True):
        for name, totals in result.summary["by_pass"].items():
            row = {"point": point.key, "pass": name, "error": None}
            row |= {column: totals[column] for column in (*COUNTS, *ENERGIES)}
            row |= {"equal_area_machine": result.summary["equal_area"]["machine"]}
            row |= {column: totals[column] for column in EQUAL_AREA[1:]}
            yield row | {"speedup": speedup(totals["dense_cycles"], totals["cycles"])}
        if result.other_work.counted:
            done = parts_of_total(result.summary)[OTHER_WORK]
            yield _other_work_row(point, done | {"equal_area_machine": result.summary["equal_area"]["machine"]})


def _other_work_row(point: Point, done: dict[str, Any]) -> Row:
    """The work between the products, the same in the baseline but for leakage; it is not divided by component."""
    counts = dict.fromkeys(COUNTS, 0) | {"cycles": done["cycles"], "dense_cycles": done["cycles"]}
    counts |= {"dram_bytes": done["dram_bytes"], "dense_dram_bytes": done["dram_bytes"]}
    energies = dict.fromkeys(ENERGIES) | {name: done[name] for name in ENERGIES[:3]}
    compared = {name: done[name] for name in EQUAL_AREA}
    return {"point": point.key, "pass": OTHER_WORK, "error": None} | counts | energies | compared | {"speedup": 1.0}


def _error_row(point: Point, why: str) -> Row:
    return {"point": point.key, "pass": None, "error": why} | dict.fromkeys(
        (*COUNTS, *ENERGIES, *EQUAL_AREA, "speedup")
    )


def _said(error: Exception) -> str:
    return str(error) if isinstance(error, AccelsimError) else f"{type(error).__name__}: {error}"


def points_of(rows: Iterable[Row]) -> set[str]:
    """Return the keys of the points that rows are of."""
    return {row["point"] for row in rows}
