"""Several files as one: order, selection, metadata, and what is refused."""

from pathlib import Path

import numpy as np
import pytest

from accelsim.errors import TraceError
from accelsim.hardware.model import Hardware
from accelsim.pipeline import simulate
from accelsim.trace import OpTrace, TraceChain, TraceReader, TraceWriter, open_trace, open_traces


def _op(name: str, step: int, seed: int) -> OpTrace:
    rng = np.random.default_rng(seed)
    weight, inputs = rng.random((4, 3)) < 0.5, rng.random((5, 3)) < 0.5
    return OpTrace(name=name, step=step, weight=weight, input=inputs, grad_output=np.ones((5, 4)))


def _file(path: Path, names: str, steps: range, **meta: object) -> Path:
    with TraceWriter(path, meta=meta) as writer:
        for step in steps:
            for name in names:
                writer.write(_op(name, step, seed=100 * step + ord(name) + 10 * int(path.stem[-1])))
    return path


@pytest.fixture
def paths(tmp_path: Path) -> list[Path]:
    return [
        _file(tmp_path / "run.rank0.pkl", "ab", range(2), rank=0, unlowered={"x": {"count": 1}}),
        _file(tmp_path / "run.rank1.pkl", "bc", range(1, 3), rank=1, unlowered={"y": {"count": 2}}),
    ]


def test_one_file_is_a_plain_reader(paths: list[Path]) -> None:
    assert isinstance(open_traces(paths[:1]), TraceReader)


def test_files_follow_one_another(paths: list[Path]) -> None:
    chain = open_traces(paths)
    assert isinstance(chain, TraceChain)
    found = [(op.name, op.step, op.masks) for op in chain]
    assert found == [(op.name, op.step, op.masks) for path in paths for op in open_trace(path)]
    assert len(chain) == len(found) == 8
    unknown = {"macs": None, "reason": ""}
    assert chain.meta == {"rank": 0, "unlowered": {"x": {"count": 1} | unknown, "y": {"count": 2} | unknown}}
    assert chain.complete


def test_a_selection_may_lie_in_one_file_only(paths: list[Path]) -> None:
    chain = open_traces(paths)
    assert [(op.name, op.step) for op in chain.select(layers=["a", "c*"])] == [("a", 0), ("a", 1), ("c", 1), ("c", 2)]
    assert [(op.name, op.step) for op in chain.select(steps=[0, 2])] == [("a", 0), ("b", 0), ("b", 2), ("c", 2)]
    assert len(chain.select(layers=["c"], steps=[0])) == 0
    with pytest.raises(TraceError, match="no layer 'd'"):
        chain.select(layers=["a", "d"])
    with pytest.raises(TraceError, match="no step 7"):
        chain.select(steps=[0, 7])


def test_the_same_file_twice_and_none_are_refused(paths: list[Path], tmp_path: Path) -> None:
    with pytest.raises(TraceError, match=r"run.rank0.pkl is given twice"):
        open_traces([paths[0], tmp_path / "." / "run.rank0.pkl"])
    with pytest.raises(TraceError, match="no trace was given"):
        open_traces([])


def test_a_simulation_sums_over_all_files_and_names_them(paths: list[Path]) -> None:
    machine = Hardware.model_validate({"name": "small", "array": {"rows": 2, "cols": 2}})
    heard: list[int] = []
    whole = simulate(machine, open_traces(paths), workers=1, on_pass=lambda _, ran, __: heard.append(ran.trace))
    parts = [simulate(machine, path, workers=1) for path in paths]
    assert whole.layers["cycles"].tolist() == [cycles for part in parts for cycles in part.layers["cycles"]]
    assert whole.trace["path"] == [str(path) for path in paths]
    assert whole.layers["trace"].tolist() == [number for number, part in enumerate(parts) for _ in part.layers.index]
    assert whole.layers["trace"].tolist() == heard
    assert set(parts[1].layers["trace"]) == {0}
    some = simulate(machine, open_traces(paths).select(layers=["b", "c"], steps=[1]))
    assert set(zip(some.layers["layer"], some.layers["trace"], strict=True)) == {("b", 0), ("b", 1), ("c", 1)}
    assert whole.trace["meta"]["rank"] == 0


@pytest.mark.parametrize("noted", ["text", ["list"], 7, None])
def test_what_a_foreign_writer_left_out_otherwise(tmp_path: Path, noted: object) -> None:
    files = [
        _file(tmp_path / "a0.pkl", "a", range(1), unlowered=noted),
        _file(tmp_path / "a1.pkl", "a", range(1), unlowered={"y": {"count": 2}}),
    ]
    assert open_traces(files).meta["unlowered"] == {"y": {"count": 2, "macs": None, "reason": ""}}
