"""A trace survives what happens to the run that writes it."""

from __future__ import annotations

import errno
import os
import pickle
import signal
import stat
import subprocess
import sys
import threading
import tracemalloc
from collections.abc import Callable
from pathlib import Path
from types import FrameType
from typing import Any

import numpy as np
import pytest

from accelsim.errors import TraceError
from accelsim.trace import OpTrace, TraceWriter, open_trace
from accelsim.trace import writer as writer_module
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


class Interrupt(KeyboardInterrupt):
    """As a signal's handler raises it."""


def raising_at(number: int, where: str) -> tuple[Callable[..., Any], Callable[[], int]]:
    """Return a trace function that raises once, at the instruction of a file with that number, and how many it saw."""
    count = 0

    def trace(frame: FrameType, event: str, _: object) -> Any:
        nonlocal count
        if frame.f_code.co_filename != where:
            return None
        frame.f_trace_opcodes = True
        if event == "opcode":
            count += 1
            if count == number:
                raise Interrupt
        return trace

    return trace, lambda: count


def record(path: Path, written: list[str], go_on: bool) -> None:
    """Write two records, and count those that `write` returned from; with `go_on`, also after an interruption."""
    with TraceWriter(path, {"model": "tiny"}) as writer:
        for name in "ab":
            try:
                writer.write(small_op(name))
            except Interrupt:
                if not go_on:
                    raise
            else:
                written.append(name)


@pytest.mark.parametrize("go_on", [False, True])
def test_interrupted_at_any_instruction_it_reads_up_to_the_last_complete_record(tmp_path: Path, go_on: bool) -> None:
    path, number, interrupted = tmp_path / "run.pkl", 0, 0
    write_trace(path, [small_op("before")], {"model": "before"})
    before = path.read_bytes()
    contents = {name: content(small_op(name)) for name in "ab"}
    while True:
        number += 1
        written: list[str] = []
        path.write_bytes(before)
        trace, seen = raising_at(number, writer_module.__file__)
        sys.settrace(trace)
        try:
            record(path, written, go_on)
        except Interrupt:
            interrupted += 1
        finally:
            sys.settrace(None)
        if seen() < number:
            break
        found = list(open_trace(path))
        names = [op.name for op in found]
        if open_trace(path).meta == {"model": "before"}:
            assert (names, written) == (["before"], [])
            continue
        # Of a record that was interrupted, all is there or nothing.
        assert [name for name in names if name in written] == written
        assert len(names) <= len(written) + 1
        assert all(content(op) == contents[op.name] for op in found)
        if go_on:
            assert names == sorted(names)
    assert number > 250
    assert interrupted > 60
    assert not list(tmp_path.glob(".*"))


def test_interrupted_at_any_write_of_a_part(tmp_path: Path) -> None:
    """A file takes a record in pieces, and a signal comes between any two of them."""

    class Slow:
        """A file that takes 50 bytes at a time, and is interrupted once."""

        def __init__(self, file: Any, at: int) -> None:
            self.file, self.left = file, at

        def write(self, data: memoryview) -> int:
            self.left -= 1
            if self.left == 0:
                raise Interrupt
            return int(self.file.write(data[:50]))

        def __getattr__(self, name: str) -> Any:
            return getattr(self.file, name)

    path, at, left = tmp_path / "run.pkl", 0, 0
    while left <= 0:
        at += 1
        written: list[str] = []

        def run(at: int, written: list[str]) -> int:
            with TraceWriter(path) as writer:
                slow = Slow(writer._file, at)
                writer._file = slow  # type: ignore[assignment]
                for name in "abc":
                    writer.write(small_op(name))
                    written.append(name)
            return slow.left

        try:
            left = run(at, written)
        except Interrupt:
            left = 0
        assert [op.name for op in open_trace(path)] == written
    assert written == ["a", "b", "c"]
    assert at > 10


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="pipes with names")
def test_a_pipe_gets_the_same_trace(tmp_path: Path) -> None:
    pipe, copy = tmp_path / "pipe", tmp_path / "copy.pkl"
    os.mkfifo(pipe)
    reader = threading.Thread(target=lambda: copy.write_bytes(pipe.read_bytes()), daemon=True)
    reader.start()
    write_trace(pipe, [small_op("a"), small_op("b")])
    reader.join(10)
    assert stat.S_ISFIFO(pipe.lstat().st_mode)
    trace = open_trace(copy)
    assert (trace.complete, [op.name for op in trace]) == (True, ["a", "b"])


def test_a_symbolic_link_stays(tmp_path: Path) -> None:
    (tmp_path / "link.pkl").symlink_to("run.pkl")
    write_trace(tmp_path / "link.pkl", [small_op("a")])
    assert (tmp_path / "link.pkl").is_symlink()
    assert len(open_trace(tmp_path / "run.pkl")) == 1


@pytest.mark.parametrize(
    ("meta", "cause"),
    [
        ({"a": {b"k": 1}}, r"meta\['a'\] has a key that is a bytes"),
        ({"a": {(1, 2): 1}}, r"meta\['a'\] has a key that is a tuple"),
        ({"a": "\ud800"}, r"meta\['a'\] holds half of a surrogate pair"),
        ({"a": 10**5000}, r"meta\['a'\] is an integer of more than 64 bits"),
        ({"small": 1, "many": [0] * 1_600_000}, r"meta\['many'\]: meta has more than 15\d{5} values"),
        (
            {"small": 1, "large": "x" * (1 << 26)},
            r"take more than 67108864 bytes, most .* meta\['large'\]",
        ),
    ],
)
def test_metadata_that_a_reader_would_refuse(tmp_path: Path, meta: dict[str, Any], cause: str) -> None:
    """It is refused at the start; at the end the file is complete all the same, with the metadata of its start."""
    path = tmp_path / "run.pkl"
    with pytest.raises(TraceError, match=cause):
        TraceWriter(path, meta)
    assert not path.exists()
    writer = TraceWriter(path, {"model": "tiny", "list": [1]})
    writer.write(small_op())
    writer.meta["list"].append(2)
    writer.meta |= meta
    with pytest.raises(TraceError, match=cause):
        writer.close()
    trace = open_trace(path)
    assert (trace.complete, len(trace), trace.meta) == (True, 1, {"model": "tiny", "list": [1]})


def test_a_full_file_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(writer_module, "MAX_RECORDS", 2)
    with TraceWriter(tmp_path / "run.pkl") as writer:
        writer.write(small_op())
        writer.write(small_op())
        with pytest.raises(TraceError, match="has 2 records, go on in another file"):
            writer.write(small_op())
    assert len(open_trace(tmp_path / "run.pkl")) == 2


def test_a_name_that_is_no_text(tmp_path: Path) -> None:
    with TraceWriter(tmp_path / "run.pkl") as writer:
        op = small_op()
        op.name = "conv\ud800"
        with pytest.raises(TraceError, match=r"it\['name'\] holds half of a surrogate pair"):
            writer.write(op)
