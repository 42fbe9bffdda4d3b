"""A sweep equals simulating its designs one by one, and survives what may happen to it."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import fields, replace
from pathlib import Path
from types import TracebackType
from typing import Self

import pandas as pd
import pytest

from accelsim import AccelsimError, Hardware, open_trace, simulate
from accelsim.array import Slots
from accelsim.explore import Processes, load_space, sweep
from accelsim.explore.designs import choose
from accelsim.explore.evaluation import Evaluation
from accelsim.explore.task import Row, Task, run_task
from accelsim.explore.trace_file import find_here

from .conftest import MACHINE, write_trace

SpaceFile = Callable[..., Path]
GRID = "{array.rows: [2, 4], skipping.sync: [row, array], memory.dram.bytes_per_cycle: [4, 16]}"


class Here:
    """Workers that are this process."""

    slots = 1

    def __init__(self, stop_after: int | None = None) -> None:
        self.tasks = 0
        self._stop_after = stop_after

    def run(self, tasks: Iterable[Task]) -> Iterator[list[Row]]:
        for task in tasks:
            if self.tasks == self._stop_after:
                raise KeyboardInterrupt
            self.tasks += 1
            yield run_task(task, find_here)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        pass


@pytest.mark.reference
def test_equals_simulate(space_file: SpaceFile, tmp_path: Path) -> None:
    write_trace(tmp_path / "b.pkl", seed=1, layers=1)
    space = load_space(space_file(GRID, traces="[b.pkl, a.pkl]"))
    swept = sweep(space, tmp_path / "out", Here())
    table = pd.read_parquet(swept.path)
    pd.testing.assert_frame_equal(table, swept.table)
    assert (swept.points, swept.computed, swept.failed, swept.impossible) == (16, 16, 0, 0)
    assert len(table) == 8 * (2 + 3 + 2)  # the first layer has no input gradient; and other work
    for design in choose(space).designs:
        for trace in ("a.pkl", "b.pkl"):
            summary = simulate(design.hardware, tmp_path / trace, workers=1).summary
            alone = summary["by_pass"]
            rows = table[(table["design"] == design.number) & (table["trace"] == trace)].set_index("pass")
            assert list(rows.index) == [*alone, "other work"]
            for name in ("cycles", "dense_cycles", "dram_bytes", "energy_pj", "dense_energy_pj"):
                assert rows[name].sum() == pytest.approx(summary["total"][name])
            for which, totals in alone.items():
                row = rows.loc[which]
                assert {key: row[key] for key in design.values} == design.values
                names = ["macs", "effectual_macs", "cycles", "array_cycles", "dense_cycles", "dram_bytes", "energy_pj"]
                for name in [*names, "dense_energy_pj", *(f"slots_{part.name}" for part in fields(Slots))]:
                    assert row[name] == totals[name], name
                assert row["speedup"] == totals["dense_cycles"] / totals["cycles"]
    assert list(table["trace"].unique()) == ["b.pkl", "a.pkl"]
    assert list(table.columns[:6]) == [
        "design",
        "array.rows",
        "skipping.sync",
        "memory.dram.bytes_per_cycle",
        "trace",
        "pass",
    ]
    assert {"array.cols", "skipping.tensors", "name", "clock_mhz", "trace_sha256", "accelsim_version"} <= set(table)
    assert set(table["skipping.tensors"]) == {"weight, activation, gradient"}


def test_some_steps_are_replayed_alone(space_file: SpaceFile, tmp_path: Path) -> None:
    write_trace(tmp_path / "a.pkl", steps=3)
    trace = open_trace(tmp_path / "a.pkl")
    for given, steps, said in (("last", [2], "2"), ("[0, 2]", [0, 2], "0, 2"), ("null", [0, 1, 2], None)):
        space = load_space(space_file("{array.rows: [2]}", f"steps: {given}\n"))
        table = sweep(space, tmp_path / "out", Here()).table
        [design] = choose(space).designs
        total = simulate(design.hardware, trace.select(steps=steps), workers=1).summary["total"]
        assert table["cycles"].sum() == total["cycles"]
        assert set(table["steps"].dropna()) == ({said} if said else set())
    with pytest.raises(AccelsimError, match="no step 3"):
        sweep(load_space(space_file("{array.rows: [2]}", "steps: [3]\n")), tmp_path / "out", Here())


def test_processes_give_the_same_file(space_file: SpaceFile, tmp_path: Path) -> None:
    space = load_space(space_file(GRID))
    here = sweep(space, tmp_path / "here", Here())
    calls: list[tuple[int, int]] = []
    apart = sweep(space, tmp_path / "apart", Processes(2), lambda *call: calls.append(call))
    assert here.path.read_bytes() == apart.path.read_bytes()
    assert calls[0] == (0, 8)
    assert calls[-1] == (8, 8)


def test_stopped_and_started_again_it_computes_what_is_missing(space_file: SpaceFile, tmp_path: Path) -> None:
    space = load_space(space_file(GRID))
    whole = sweep(space, tmp_path / "whole", Here())
    with pytest.raises(KeyboardInterrupt):
        sweep(space, tmp_path / "out", Here(stop_after=3))
    assert not (tmp_path / "out" / "sweep.parquet").exists()
    again = sweep(space, tmp_path / "out", Here())
    assert again.computed < 8
    assert again.path.read_bytes() == whole.path.read_bytes()
    nothing = Here()
    assert sweep(space, tmp_path / "out", nothing).computed == nothing.tasks == 0


def test_a_larger_space_uses_what_is_there_and_a_changed_trace_does_not(space_file: SpaceFile, tmp_path: Path) -> None:
    sweep(load_space(space_file("{array.rows: [2, 4]}")), tmp_path / "out", Here())
    larger = load_space(space_file("{array.rows: [2, 3, 4], array.cols: [2, 4]}"))
    assert sweep(larger, tmp_path / "out", Here()).computed == 4
    write_trace(tmp_path / "a.pkl", seed=5)
    assert sweep(larger, tmp_path / "out", Here()).computed == 6


def test_a_trace_given_under_two_names_is_simulated_once(space_file: SpaceFile, tmp_path: Path) -> None:
    path = space_file("{array.rows: [2, 4]}", traces="[a.pkl, twin.pkl]")
    (tmp_path / "twin.pkl").write_bytes((tmp_path / "a.pkl").read_bytes())
    swept = sweep(load_space(path), tmp_path / "out", Here())
    assert (swept.points, swept.computed) == (4, 2)
    assert list(swept.table["trace"].unique()) == ["a.pkl", "twin.pkl"]


@pytest.mark.usefixtures("wide_arrays_fail")
def test_a_design_that_fails_is_a_row_with_its_error(space_file: SpaceFile, tmp_path: Path) -> None:
    path = space_file("{array.rows: [8], array.cols: [4, 4096]}")
    swept = sweep(load_space(path), tmp_path / "out", Here())
    good, bad = (swept.table[swept.table["array.cols"] == cols] for cols in (4, 4096))
    assert list(good["pass"]) == ["forward", "input_grad", "weight_grad", "other work"]
    assert good["error"].isna().all()
    assert len(bad) == swept.failed == 1
    assert bad["error"].item() == "an array of 4096 columns"
    assert bad[["pass", "cycles", "energy_pj"]].isna().all(axis=None)
    assert bad["trace"].item() == "a.pkl"


class Deadly:
    """Kills the process that works on it."""

    def __reduce__(self) -> tuple[object, tuple[int]]:
        return os._exit, (9,)


def test_a_point_whose_process_dies_is_a_row_and_the_others_are_done(space_file: SpaceFile, tmp_path: Path) -> None:
    space = load_space(space_file("{array.rows: [2, 3, 4]}"))

    with Processes(2) as workers:
        tasks = Evaluation(space, tmp_path / "out").tasks(choose(space).designs, workers.slots)
        tasks[1] = replace(tasks[1], points=(replace(tasks[1].points[0], hardware=Deadly()),))  # type: ignore[arg-type]
        rows = [row for done in workers.run(tasks) for row in done]
    assert len({row["point"] for row in rows}) == 3
    failed = [row for row in rows if row["error"]]
    assert len(failed) == 1
    assert "died" in failed[0]["error"]


def test_a_part_that_is_damaged_is_named(space_file: SpaceFile, tmp_path: Path) -> None:
    space = load_space(space_file("{array.rows: [2]}"))
    sweep(space, tmp_path / "out", Here())
    (part,) = (tmp_path / "out" / "parts").iterdir()
    part.write_bytes(b"PAR1")
    with pytest.raises(AccelsimError, match=r"is no part of a sweep .* delete it"):
        sweep(space, tmp_path / "out", Here())


def _children(pid: int) -> list[int]:
    """Return a process's children, as Linux tells them; none elsewhere."""
    told = Path(f"/proc/{pid}/task/{pid}/children")
    return [int(child) for child in told.read_text().split()] if told.exists() else []


def _works(pid: int) -> bool:
    """Return whether a process is there and not only waits for someone to take note of its end."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] not in "ZX"
    except OSError:
        return False


def command(*arguments: object) -> list[str]:
    return [sys.executable, "-m", "accelsim", *map(str, arguments)]


def test_killed_and_started_again_it_ends_with_the_same_file(space_file: SpaceFile, tmp_path: Path) -> None:
    path = space_file("{array.rows: {from: 2, to: 31, step: 1}, skipping.sync: [row, array]}")
    every_key = Hardware.model_validate(MACHINE).model_dump_json()  # so that nothing is said of what is left open
    (tmp_path / "hw.yaml").write_text(every_key)
    write_trace(tmp_path / "a.pkl", layers=6, image=16)
    sweep_it = command("sweep", path, "--workers", 2, "--out")
    parts = tmp_path / "killed" / "parts"
    with subprocess.Popen([*sweep_it, tmp_path / "killed"], start_new_session=True) as process:
        deadline = time.monotonic() + 120
        while len(list(parts.glob("*.parquet"))) < 2:
            assert process.poll() is None
            assert time.monotonic() < deadline
            time.sleep(0.01)
        children = _children(process.pid)
        os.kill(process.pid, signal.SIGKILL)
    there = sum(pd.read_parquet(part)["point"].nunique() for part in parts.glob("*.parquet"))
    assert 0 < there < 60
    assert not (tmp_path / "killed" / "sweep.parquet").exists()
    again = subprocess.run([*sweep_it, tmp_path / "killed"], capture_output=True, text=True, check=True)
    assert f"60 points ({there} were there already), 0 failed" in again.stdout
    assert again.stderr == ""
    whole = sweep(load_space(path), tmp_path / "whole", Here())
    assert (tmp_path / "killed" / "sweep.parquet").read_bytes() == whole.path.read_bytes()
    assert not any(map(_works, children))  # nobody works on for a parent that is gone


def test_the_command_refuses_in_a_sentence_and_runs_nothing(space_file: SpaceFile, tmp_path: Path) -> None:
    path = space_file("{skipping.scan_width: [4, 16], skipping.fifo_depth: [8]}")
    refused = subprocess.run(
        command("sweep", path, "--out", tmp_path / "out"), capture_output=True, text=True, check=False
    )
    assert refused.returncode == 2
    assert "1 combinations of the space are no machine" in refused.stderr
    assert "Traceback" not in refused.stderr
    assert not (tmp_path / "out").exists()
    skipped = subprocess.run(
        command("sweep", path, "--out", tmp_path / "out", "--skip-invalid"), capture_output=True, text=True, check=True
    )
    assert "1 points (0 were there already), 0 failed, 1 impossible combinations left out" in skipped.stdout
