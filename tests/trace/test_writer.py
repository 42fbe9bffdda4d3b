"""A trace survives what happens to the run that writes it."""

from __future__ import annotations

import errno
import os
import pickle
import signal
import subprocess
import sys
import tracemalloc
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from accelsim.errors import TraceError
from accelsim.trace import OpTrace, TraceWriter, open_trace
from tests.trace.operations import content, small_op, write_trace

REPOSITORY = Path(__file__).parents[2]


def test_the_file_is_a_stream_of_pickles_of_plain_values(tmp_path: Path) -> None:
    write_trace(tmp_path / "run.pkl", [small_op("a"), small_op("b")], {"model": "tiny"})
    values = []
    with (tmp_path / "run.pkl").open("rb") as file:
        while file.peek(1):
            values.append(pickle.load(file))
    assert values[0][:2] == ("accelsim trace", 1)
    assert [value["name"] for value in values if isinstance(value, dict) and "name" in value] == ["a", "b"]


def test_metadata_is_final_at_close(tmp_path: Path) -> None:
    with TraceWriter(tmp_path / "run.pkl", meta={"model": "tiny", "loss": None}) as writer:
        writer.write(small_op())
        writer.meta["loss"] = 3.5
        assert open_trace(tmp_path / "run.pkl").meta == {"model": "tiny", "loss": None}
    assert open_trace(tmp_path / "run.pkl").meta == {"model": "tiny", "loss": 3.5}


def test_a_killed_run_leaves_its_complete_records(tmp_path: Path) -> None:
    program = """
import os, signal, sys
from accelsim.trace import TraceWriter
from tests.trace.operations import small_op
writer = TraceWriter(sys.argv[1], meta={"model": "tiny"})
for step in range(5):
    writer.write(small_op(step=step, seed=step))
os.kill(os.getpid(), signal.SIGKILL)
"""
    path = tmp_path / "run.pkl"
    done = subprocess.run([sys.executable, "-c", program, str(path)], cwd=REPOSITORY, check=False)
    assert done.returncode == -signal.SIGKILL
    trace = open_trace(path)
    assert not trace.complete
    assert trace.meta == {"model": "tiny"}
    assert [content(op) for op in trace] == [content(small_op(step=step, seed=step)) for step in range(5)]


def test_an_exception_leaves_a_complete_file(tmp_path: Path) -> None:
    def run() -> None:
        with TraceWriter(tmp_path / "run.pkl") as writer:
            writer.write(small_op())
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run()
    trace = open_trace(tmp_path / "run.pkl")
    assert (trace.complete, len(trace)) == (True, 1)


def test_metadata_that_is_not_plain(tmp_path: Path) -> None:
    path = tmp_path / "run.pkl"
    with pytest.raises(TraceError, match=r"run.pkl: meta\['lr'\] is a numpy.float64"):
        TraceWriter(path, meta={"lr": np.float64(0.1)})
    assert not path.exists()
    with pytest.raises(TraceError, match="str keys"):
        TraceWriter(path, meta={1: 2})  # type: ignore[dict-item]
    writer = TraceWriter(path)
    writer.write(small_op())
    writer.meta["loss"] = np.float32(1)
    with pytest.raises(TraceError, match=r"meta\['loss'\] is a numpy.float32"):
        writer.close()
    assert len(open_trace(path)) == 1


def test_wrong_use(tmp_path: Path) -> None:
    with TraceWriter(tmp_path / "run.pkl") as writer, pytest.raises(TraceError, match="expected an OpTrace"):
        writer.write("conv1")  # type: ignore[arg-type]
    writer.close()
    with pytest.raises(TraceError, match="is closed"):
        writer.write(small_op())
    with pytest.raises(TraceError, match="cannot be written: No such file or directory"):
        TraceWriter(tmp_path / "missing" / "run.pkl")
    with pytest.raises(TraceError, match="cannot be written: Is a directory"):
        TraceWriter(tmp_path)


def test_a_full_disk_costs_only_the_record_that_met_it(tmp_path: Path) -> None:
    path = tmp_path / "run.pkl"
    writer = TraceWriter(path)
    writer.write(small_op("before"))

    class Full:
        """A file that takes half a record."""

        def __init__(self, file: Any) -> None:
            self.file, self.room = file, 5000

        def write(self, data: memoryview) -> int:
            if not self.room:
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
            room, self.room = self.room, 0
            return int(self.file.write(data[:room]))

        def __getattr__(self, name: str) -> Any:
            return getattr(self.file, name)

    file = writer._file
    draw = np.random.default_rng(0)
    writer._file = Full(file)  # type: ignore[assignment]
    with pytest.raises(TraceError, match=r"run.pkl: cannot be written: No space left on device"):
        writer.write(OpTrace(name="lost", step=0, weight=np.ones((1, 1)), input=draw.random((1 << 16, 1)) < 0.5))
    assert [op.name for op in open_trace(path)] == ["before"]
    writer._file = file
    writer.write(small_op("after"))
    writer.close()
    assert [op.name for op in open_trace(path)] == ["before", "after"]
    assert open_trace(path).complete


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="a device of Linux")
def test_a_device_that_takes_nothing() -> None:
    with pytest.raises(TraceError, match="/dev/full: cannot be written: No space left"):
        TraceWriter("/dev/full")


def test_what_would_not_be_read_is_not_written(tmp_path: Path) -> None:
    with TraceWriter(tmp_path / "run.pkl") as writer:
        for field, value in [("step", 1 << 63), ("step", -1), ("name", None), ("kind", "conv3d")]:
            op = small_op()
            setattr(op, field, value)
            with pytest.raises(TraceError, match=f"{field} has an impossible value"):
                writer.write(op)
        writer.write(small_op(step=np.int64(3), stride=np.array([1, 1]), groups=np.int32(1)))
    assert [op.step for op in open_trace(tmp_path / "run.pkl")] == [3]


def test_memory_stays_at_one_record(tmp_path: Path) -> None:
    draw = np.random.default_rng(0)
    mask = draw.random((64, 32, 32, 32)) < 0.5
    op = OpTrace(name="conv", step=0, weight=np.ones((32, 32, 1, 1)), input=mask, grad_output=~mask)
    packed_bytes = 2 * mask.size // 8
    path = tmp_path / "run.pkl"

    def peak(work: Any) -> int:
        tracemalloc.start()
        work()
        highest = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        return highest

    def read() -> None:
        for _ in open_trace(path):
            pass

    assert peak(lambda: write_trace(path, [op] * 12)) < 5 * packed_bytes
    assert path.stat().st_size > 10 * packed_bytes
    assert peak(read) < 5 * packed_bytes
