"""What a trace says of its run: read back, joined over files, and left alone where it makes no sense."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from accelsim.trace import MaskWork, TraceWriter, TrainingRun, open_trace, open_traces
from tests.trace.test_chain import _op

RUN = TrainingRun(2, 9, (4, 6), (MaskWork(4, 10, 20, 30, 1, 2), MaskWork(6, 1, 2, 3, 4, 5)))


def _write(path: Path, run: TrainingRun | None) -> Path:
    with TraceWriter(path) as writer:
        writer.write(_op("a", 4, seed=0))
        writer.write(_op("b", 4, seed=1))
        if run is not None:
            writer.meta["training"] = run.plain()
    return path


def test_what_was_written_is_read(tmp_path: Path) -> None:
    assert TrainingRun.from_meta(open_trace(_write(tmp_path / "t.pkl", RUN)).meta) == RUN


@pytest.mark.parametrize(
    "change",
    [
        {"end_step": 1},
        {"first_step": None},
        {"growth_steps": [1.5]},
        {"end_step": 1 << 62},
        {"first_step": True},
        {"mask_updates": [{"step": 1}]},
        {"mask_updates": [{**RUN.plain()["mask_updates"][0], "judged": -1}]},
    ],
)
def test_a_foreign_writers_words_are_no_run(change: dict[str, Any]) -> None:
    assert TrainingRun.from_meta({"training": RUN.plain() | change}) is None
    assert TrainingRun.from_meta({}) is None


def test_ranks_and_parts_join(tmp_path: Path) -> None:
    later = TrainingRun(9, 12, (10,), (MaskWork(10, 1, 1, 1, 1, 1),))
    paths = [_write(tmp_path / f"{i}.pkl", run) for i, run in enumerate((later, RUN, RUN))]
    chain = open_traces(paths)
    assert TrainingRun.from_meta(chain.meta) == TrainingRun(2, 12, (4, 6, 10), RUN.mask_updates + later.mask_updates)


def test_files_with_a_gap_or_one_without_a_word_say_nothing_of_the_whole(tmp_path: Path) -> None:
    for other in (TrainingRun(10, 12), None):
        paths = [_write(tmp_path / "a.pkl", RUN), _write(tmp_path / "b.pkl", other)]
        assert "training" not in open_traces(paths).meta
    assert TrainingRun.joined([]) is None


@given(st.integers(0, 20), st.lists(st.integers(0, 5), min_size=1, max_size=5), st.randoms())
def test_parts_in_any_order_make_the_whole(first: int, lengths: list[int], random: Any) -> None:
    parts, at = [], first
    for length in lengths:
        parts.append(TrainingRun(at, at + length, tuple(range(at, at + length, 2))))
        at += length
    whole = TrainingRun(first, at, tuple(sorted(step for part in parts for step in part.growth_steps)))
    random.shuffle(parts)
    assert TrainingRun.joined(parts) == whole


def test_a_selection_of_layers_is_known_as_such(tmp_path: Path) -> None:
    path = _write(tmp_path / "t.pkl", RUN)
    reader, chain = open_trace(path), open_traces([path, _write(tmp_path / "u.pkl", RUN)])
    for trace in (reader, chain):
        assert trace.all_layers
        assert trace.select(layers=["a", "b"]).all_layers
        assert trace.select(steps=[4]).all_layers
        assert not trace.select(layers=["a"]).all_layers
        assert not trace.select(layers=["a"]).select(steps=[4]).all_layers
