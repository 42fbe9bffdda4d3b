"""Every trace reads as it was written; every file that is not one gets a sentence."""

from __future__ import annotations

import gzip
import pickle
import re
import subprocess
import sys
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from accelsim.errors import TraceError
from accelsim.trace import OpTrace, TraceWriter, open_trace
from accelsim.trace import format as trace_format
from accelsim.trace import plain as trace_plain
from accelsim.trace import reader as trace_reader
from accelsim.trace.format import chunk, preamble, trailer
from tests.trace.operations import content, ops, small_op, write_trace

REPOSITORY = Path(__file__).parents[2]
FIRST = small_op("a", step=0, seed=1, needs_input_grad=False)
SECOND = small_op("b", step=0, seed=2, recomputed=True, dtype="float32")
META = {"model": "tiny", "steps": [0, 1]}


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    path = tmp_path_factory.mktemp("small") / "run.pkl"
    write_trace(path, [FIRST, SECOND], META)
    return path.read_bytes()


def _read(path: Path, data: bytes) -> tuple[object, ...]:
    path.write_bytes(data)
    trace = open_trace(path)
    return trace.meta, [content(op) for op in trace], trace.complete


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(ops(), max_size=4))
def test_round_trip_in_forward_order(tmp_path: Path, written: list[OpTrace]) -> None:
    path = tmp_path / "run.pkl"
    write_trace(path, written)
    trace = open_trace(path)
    assert len(trace) == len(written)
    assert trace.complete
    keys = [(op.step, number if op.order is None else op.order, number) for number, op in enumerate(written)]
    expected = [written[number] for *_, number in sorted(keys)]
    assert [content(op) for op in trace] == [content(op) for op in expected]
    assert [content(op) for op in trace] == [content(op) for op in expected]  # again
    assert [(entry.name, entry.macs) for entry in trace.entries] == [(op.name, op.macs) for op in expected]


def test_every_cut_reads_up_to_the_last_complete_record(tmp_path: Path, small: bytes) -> None:
    expected = [content(FIRST), content(SECOND)]
    counts = []
    for length in range(len(small)):
        try:
            meta, read, complete = _read(tmp_path / "cut.pkl", small[:length])
        except TraceError:
            counts.append(-1)
            continue
        assert not complete
        assert meta == META
        assert read == expected[: len(read)]
        counts.append(len(read))
    assert counts == sorted(counts)
    assert set(counts) == {-1, 0, 1, 2}


@pytest.mark.parametrize("flip", [0x01, 0x80, 0xFF])
def test_every_damaged_byte_is_found(tmp_path: Path, small: bytes, flip: int) -> None:
    expected = ({**META}, [content(FIRST), content(SECOND)], True)
    undetected = 0
    for position in range(len(small)):
        damaged = bytearray(small)
        damaged[position] ^= flip
        try:
            assert _read(tmp_path / "damaged.pkl", bytes(damaged)) == expected
            undetected += 1  # a byte that says nothing, such as the first pickle's protocol
        except TraceError as error:
            message = str(error)
            assert message.startswith(str(tmp_path))
            assert "\n" not in message
    assert undetected <= 2


def test_damage_in_a_record_names_it(tmp_path: Path, small: bytes) -> None:
    at = small.index(np.packbits(SECOND.input, bitorder="little").tobytes())
    damaged = bytearray(small)
    damaged[at] ^= 4
    path = tmp_path / "run.pkl"
    path.write_bytes(damaged)
    trace = iter(open_trace(path))
    assert content(next(trace)) == content(FIRST)
    with pytest.raises(TraceError, match=r"run.pkl: record 1 \('b', step 0\): it is damaged"):
        next(trace)
    assert len(open_trace(path).entries) == 2


def test_bytes_after_the_end(tmp_path: Path, small: bytes) -> None:
    with pytest.raises(TraceError, match="the file's end after the index is damaged"):
        _read(tmp_path / "run.pkl", small + b"more" * 50)


@pytest.mark.parametrize(
    ("data", "cause"),
    [
        (b"", "the file is empty"),
        (b"step,loss\n1,2\n" * 50, "not an accelsim trace; expected a file written by"),
        (b"hi", "not an accelsim trace"),
        (gzip.compress(b"x", mtime=0), "compressed with gzip, not an accelsim trace; decompress it first"),
        (pickle.dumps({"weights": [1.0]}), "some other pickle, not an accelsim trace"),
        (preamble() + chunk([]), "header: it does not match"),
        (preamble() + chunk({"format": 1, "accelsim": "9", "meta": {}}), "header: it does not match"),
    ],
)
def test_foreign_files(tmp_path: Path, data: bytes, cause: str) -> None:
    with pytest.raises(TraceError, match=cause):
        _read(tmp_path / "foreign.pkl", data)


def test_a_torch_checkpoint_a_directory_and_nothing(tmp_path: Path) -> None:
    torch.save({"weight": torch.zeros(2)}, tmp_path / "model.pt")
    for name, cause in [("model.pt", "a PyTorch checkpoint"), (".", "is a directory"), ("no.pkl", "no such file")]:
        with pytest.raises(TraceError, match=cause) as refused:
            open_trace(tmp_path / name)
        assert str(refused.value).startswith(str(tmp_path / name))
    with pytest.raises(TraceError, match="null"):
        open_trace("a\0b")


def test_a_newer_format_says_which_version_reads_it(tmp_path: Path) -> None:
    newer = pickle.dumps(("accelsim trace", 2, "7.1.0"), trace_format.PROTOCOL)
    with pytest.raises(TraceError, match=r"has trace format 2, .* reads up to 1; install accelsim 7.1.0 or newer"):
        _read(tmp_path / "run.pkl", newer + b"whatever format 2 may hold")


class _Runs:
    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[Any, ...]:
        return Path.touch, (self.path,)


def _header(meta: object) -> bytes:
    return preamble() + chunk({"format": 1, "accelsim": trace_format.accelsim_version(), "meta": meta})


@pytest.mark.parametrize("place", ["first", "meta", "record", "footer"])
def test_hostile_pickles_run_nothing(tmp_path: Path, place: str) -> None:
    """The checksums are right: they guard against accidents, the unpickler against intent."""
    proof = tmp_path / "proof"
    evil = _Runs(proof)
    files = {
        "first": pickle.dumps(evil),
        "meta": _header({"a": evil}),
        "record": _header({}) + chunk(evil),
        "footer": _header({}) + chunk({"meta": {"a": evil}, "index": []}) + trailer(len(_header({}))),
    }
    pickle.loads(files["first"])
    assert proof.exists()
    proof.unlink()
    with pytest.raises(TraceError):
        _read(tmp_path / "run.pkl", files[place])
    assert not proof.exists()


@pytest.mark.parametrize(
    "index", [[(0, "a", 0, 0)], [(10**9, "a", 0, 0)], [(-1, "a", 0, 0)], [("a",)], [[0, "a", 0, 0]], {}, [(0, 1, 0, 0)]]
)
def test_an_index_that_lies(tmp_path: Path, index: object) -> None:
    start = _header({})
    with pytest.raises(TraceError):
        _read(tmp_path / "run.pkl", start + chunk({"meta": {}, "index": index}) + trailer(len(start)))


def test_an_index_that_lies_about_a_record(tmp_path: Path, small: bytes) -> None:
    (tmp_path / "small.pkl").write_bytes(small)
    entry = open_trace(tmp_path / "small.pkl").entries[0]
    start = _header({})
    for fields in [("x", 0, 0), ("a", 1, 0), ("a", 0, 1)]:
        index = [(len(start), *fields)]
        data = start + chunk(entry.to_plain()) + chunk(b"")
        with pytest.raises(TraceError, match="is not the record that the index promises"):
            _read(tmp_path / "run.pkl", data + chunk({"meta": {}, "index": index}) + trailer(len(data)))


def test_records_behind_the_index(tmp_path: Path) -> None:
    start = _header({})
    data = start + chunk({"meta": {}, "index": []}) + chunk({}) + trailer(len(start))
    with pytest.raises(TraceError, match=r"run.pkl: index: it does not end where the file does"):
        _read(tmp_path / "run.pkl", data)


def test_a_trailer_that_lies(tmp_path: Path, small: bytes) -> None:
    for offset in (0, 5, len(small), 1 << 63, (1 << 64) - 1):
        with pytest.raises(TraceError, match=r"run.pkl: index: "):
            _read(tmp_path / "run.pkl", small[: -trace_format.TRAILER_BYTES] + trailer(offset))


def test_the_index_and_metadata_are_bounded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(trace_plain, "MAX_VALUES", 1000)
    with pytest.raises(TraceError, match="has more than 1000 values"):
        _read(tmp_path / "run.pkl", _header({"a": [0] * 5000}))


def test_a_body_larger_than_its_header_says_is_not_read(tmp_path: Path, small: bytes) -> None:
    start = _header({})
    (tmp_path / "small.pkl").write_bytes(small)
    entry = open_trace(tmp_path / "small.pkl").entries[0]
    record = chunk(entry.to_plain()) + chunk(bytes(100_000))
    with pytest.raises(TraceError, match=r"record 0 \('a', step 0\): a part of it has 1000.. bytes, more than"):
        _read(tmp_path / "run.pkl", start + record)


def _several(path: Path) -> None:
    """Three layers in two steps, written in backward order."""
    with TraceWriter(path) as writer:
        for step in (4, 2):
            for order, name in reversed(list(enumerate(["stem", "layer1.conv", "layer1.fc"]))):
                writer.write(small_op(name, step=step, seed=order, order=order))


def test_select(tmp_path: Path) -> None:
    path = tmp_path / "run.pkl"
    _several(path)
    trace = open_trace(path)
    assert trace.layers == ("stem", "layer1.conv", "layer1.fc")
    assert trace.steps == (2, 4)

    def read(**chosen: Any) -> list[tuple[int, str]]:
        view = trace.select(**chosen)
        names = [(op.step, op.name) for op in view]
        assert names == [(entry.step, entry.name) for entry in view.entries]
        assert (len(view), view.records_in_file) == (len(names), 6)
        return names

    everything = [(step, name) for step in (2, 4) for name in trace.layers]
    assert len(trace.entries) == 6
    assert read() == everything
    assert read(steps=[4]) == everything[3:]
    assert read(layers=["stem"]) == [(2, "stem"), (4, "stem")]
    assert read(layers="layer1.*", steps=[2]) == everything[1:3]
    assert read(layers=["layer1.fc", "stem"], steps=(4,)) == [(4, "stem"), (4, "layer1.fc")]
    assert [(op.step, op.name) for op in trace] == everything
    for chosen, cause in [
        ({"layers": ["layer1.cnv"]}, "no layer 'layer1.cnv', did you mean 'layer1.conv'?"),
        ({"layers": ["zzz"]}, "no layer 'zzz', it has stem, layer1.conv, layer1.fc"),
        ({"steps": [3]}, "no step 3, it has 2, 4"),
    ]:
        with pytest.raises(TraceError, match=re.escape(cause)):
            trace.select(**chosen)


class _Counting:
    """A file that counts the bytes it hands out."""

    def __init__(self, file: BinaryIO, counts: list[int]) -> None:
        self.file, self.counts = file, counts

    def read(self, size: int = -1) -> bytes:
        data = self.file.read(size)
        self.counts.append(len(data))
        return data

    def __enter__(self) -> _Counting:
        return self

    def __exit__(self, *_: object) -> None:
        self.file.close()

    def __getattr__(self, name: str) -> Any:
        return getattr(self.file, name)


def test_a_selection_reads_only_its_records(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    draw = np.random.default_rng(0)
    mask = draw.random((16, 16, 16, 16)) < 0.5
    path = tmp_path / "run.pkl"
    write_trace(
        path, [OpTrace(name=f"l{i}", step=i, weight=np.ones((4, 16, 1, 1)), input=mask) for i in range(20)], {"a": 1}
    )
    record_bytes = mask.size // 8
    counts: list[int] = []
    opened = trace_reader._opened
    monkeypatch.setattr(trace_reader, "_opened", lambda path: _Counting(opened(path), counts))
    trace = open_trace(path)
    assert len(trace.entries) == 20
    assert sum(counts) < record_bytes
    counts.clear()
    assert len(list(trace.select(steps=[11]))) == 1
    assert record_bytes <= sum(counts) < 1.5 * record_bytes
    counts.clear()
    path.write_bytes(path.read_bytes()[:-10])
    assert len(open_trace(path)) == 20  # rebuilding the index skips the masks
    assert sum(counts) < 8 * record_bytes


def test_a_reader_pickles_small_and_reads_elsewhere(tmp_path: Path) -> None:
    path = tmp_path / "run.pkl"
    _several(path)
    view = open_trace(path).select(steps=[4])
    assert len(view.entries) == 3
    data = pickle.dumps(view)
    assert len(data) < 2000
    assert [content(op) for op in pickle.loads(data)] == [content(op) for op in view]


def test_a_file_replaced_while_open_is_noticed(tmp_path: Path) -> None:
    path = tmp_path / "run.pkl"
    _several(path)
    trace = open_trace(path)
    write_trace(path, [small_op("other")] * 6)
    with pytest.raises(TraceError, match="record"):
        list(trace)
    path.unlink()
    with pytest.raises(TraceError, match="no such file"):
        list(trace)


def test_reading_needs_numpy_only() -> None:
    program = """
import sys
import accelsim.trace.summary
heavy = {"torch", "numba", "pandas", "matplotlib", "pydantic", "simpy", "rich"} & sys.modules.keys()
sys.exit(", ".join(heavy) or None)
"""
    done = subprocess.run([sys.executable, "-c", program], cwd=REPOSITORY, check=False, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
