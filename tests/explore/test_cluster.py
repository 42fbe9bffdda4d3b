"""A sweep on a real Dask scheduler and workers, each a process of its own on loopback."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest

from accelsim.errors import AccelsimError, SpaceError
from accelsim.explore import Cluster, load_space, sweep
from accelsim.explore.designs import choose
from accelsim.explore.evaluation import Evaluation
from accelsim.explore.trace_file import TraceFile, TraceNotHereError, find_here, store_block

from .conftest import write_trace
from .test_sweep import Here

pytest.importorskip("distributed")
SpaceFile = Callable[..., Path]


@contextmanager
def started(*command: object, folder: Path) -> Iterator[subprocess.Popen[bytes]]:
    with (
        (folder / "log").open("ab") as log,
        subprocess.Popen(
            [sys.executable, "-m", "dask", *map(str, command)],
            stdout=log,
            stderr=log,
            env=os.environ | {"PYTHONPATH": str(Path(__file__).parents[2]), "DASK_LOGGING__DISTRIBUTED": "warning"},
        ) as process,
    ):
        try:
            yield process
        finally:
            process.kill()


@contextmanager
def dask(folder: Path, workers: int) -> Iterator[tuple[str, list[subprocess.Popen[bytes]]]]:
    """Start a scheduler and workers; yields its address and the workers' processes."""
    found = folder / "scheduler.json"
    with ExitStack() as stack:
        options = ("--scheduler-file", found, "--no-dashboard")
        stack.enter_context(started("scheduler", "--host", "127.0.0.1", "--port", 0, *options, folder=folder))
        options = (
            "--scheduler-file",
            found,
            "--no-nanny",
            "--nthreads",
            1,
            "--local-directory",
            folder,
            "--no-dashboard",
        )
        deadline = time.monotonic() + 60
        while not found.exists():
            assert time.monotonic() < deadline, (folder / "log").read_text()
            time.sleep(0.05)
        processes = [stack.enter_context(started("worker", *options, folder=folder)) for _ in range(workers)]
        yield json.loads(found.read_text())["address"], processes


def test_a_worker_that_is_killed_loses_nothing(space_file: SpaceFile, tmp_path: Path) -> None:
    path = space_file("{array.rows: {from: 2, to: 31, step: 1}, skipping.sync: [row, array]}")
    write_trace(tmp_path / "a.pkl", layers=6, image=16)
    space = load_space(path)
    with dask(tmp_path, 2) as (address, workers):
        finished: list[int] = []

        def on_progress(done: int, total: int) -> None:
            if done and finished == [0]:
                workers[0].send_signal(signal.SIGKILL)
            finished.append(done)

        with Cluster(address) as cluster:
            cluster._client.wait_for_workers(2, timeout=60)
            swept = sweep(space, tmp_path / "out", cluster, on_progress)
        assert workers[0].wait(10) == -signal.SIGKILL
        assert workers[1].poll() is None
    assert finished[-1] == swept.points == swept.computed == 60
    assert swept.failed == 0
    assert not swept.table.duplicated(["design", "trace", "pass"]).any()
    alone = sweep(space, tmp_path / "alone", Here())
    assert swept.path.read_bytes() == alone.path.read_bytes()


@pytest.mark.skipif(not hasattr(os, "memfd_create"), reason="a file that only this process sees needs Linux")
def test_a_trace_that_workers_cannot_read_is_sent_to_each_once(space_file: SpaceFile, tmp_path: Path) -> None:
    space = load_space(space_file("{array.rows: {from: 2, to: 21, step: 1}}"))
    content = (tmp_path / "a.pkl").read_bytes()
    memory = os.memfd_create("trace")
    os.write(memory, content)
    with dask(tmp_path, 2) as (address, _), Cluster(address) as cluster:
        cluster._client.wait_for_workers(2, timeout=60)
        evaluation = Evaluation(space, tmp_path / "out")
        trace = evaluation.traces["a.pkl"]
        only_here = TraceFile(f"/proc/self/fd/{memory}", trace.sha256, trace.size_bytes)
        evaluation.traces["a.pkl"] = only_here
        designs = choose(space).designs
        evaluation.run(designs, cluster, lambda count: None)
        assert evaluation.missing(designs) == 0
        assert list(cluster.sent.values()) == [1, 1]
        table = evaluation.write(designs, tmp_path / "sent.parquet")
    assert table["error"].isna().all()
    os.close(memory)
    assert (tmp_path / "sent.parquet").read_bytes() == sweep(space, tmp_path / "here", Here()).path.read_bytes()


def test_no_scheduler() -> None:
    with pytest.raises(SpaceError, match=r"no scheduler answers at tcp://127.0.0.1:1"):
        Cluster("tcp://127.0.0.1:1", timeout_seconds=1)


def test_a_trace_is_known_by_its_content(tmp_path: Path) -> None:
    path, cache = write_trace(tmp_path / "a.pkl"), tmp_path / "cache"
    trace = TraceFile.read(path)
    assert find_here(trace) == path
    content = path.read_bytes()
    path.write_bytes(content[:-1] + b"x")
    with pytest.raises(TraceNotHereError):
        find_here(trace, cache)
    store_block(cache, trace, 0, content[:100])
    with pytest.raises(TraceNotHereError):
        find_here(trace, cache)
    store_block(cache, trace, 100, content[100:])
    assert find_here(trace, cache).read_bytes() == content
    other = TraceFile.read(write_trace(tmp_path / "b.pkl", seed=1))
    with pytest.raises(AccelsimError, match="changed while it was sent"):
        store_block(cache, other, 0, b"x" * other.size_bytes)
