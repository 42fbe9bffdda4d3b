"""Space files, and what is wrong with them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from accelsim.errors import AccelsimError
from accelsim.explore import load_space

SpaceFile = Callable[..., Path]


def test_axes_and_numbers(space_file: SpaceFile) -> None:
    space = load_space(
        space_file("{array.rows: [4, 8], skipping.sync: [row, array], array.cols: {from: 2, to: 6, step: 2}}")
    )
    assert space.size == 12
    assert space.values(0) == {"array.rows": 4, "skipping.sync": "row", "array.cols": 2}
    assert space.values(1) == {"array.rows": 4, "skipping.sync": "row", "array.cols": 4}
    assert space.values(11) == {"array.rows": 8, "skipping.sync": "array", "array.cols": 6}
    assert len({str(space.values(number)) for number in range(12)}) == 12


def test_paths_are_relative_to_the_file_or_to_here(
    space_file: SpaceFile, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = space_file("{array.rows: [4]}")
    assert load_space(path).traces["a.pkl"] == tmp_path / "a.pkl"
    (tmp_path / "deep").mkdir()
    moved = path.rename(tmp_path / "deep" / "space.yaml")
    with pytest.raises(AccelsimError, match=r"trace 'a.pkl' is no file"):
        load_space(moved)
    monkeypatch.chdir(tmp_path)
    assert load_space(moved).base_hw.name == "small"


@pytest.mark.parametrize(
    ("space", "more", "words"),
    [
        ("{array.row: [4]}", "", "space.yaml:3: key 'array.row' is unknown, did you mean 'array.rows'?"),
        ("{rows: [4]}", "", "did you mean 'array.rows'?"),
        ("{array.rows: []}", "", "space.yaml:3: key 'array.rows' is an empty list"),
        ("{array.rows: {from: 4, too: 8}}", "", "space.yaml:3: key 'array.rows' has the keys from, too"),
        ("{memory.dram: [null], memory.dram.latency_cycles: [3]}", "", "swept, and 'memory.dram' around it too"),
        ("{}", "", "key 'space' is empty"),
        ("[1]", "", "space.yaml:3: key 'space' is a list, expected a"),
        ("{array.rows: [4]}", "wher: x", "space.yaml:4: key 'wher' is unknown, did you mean 'where'?"),
        ("{array.rows: [4]}", "where: array.rows = 4", "space.yaml:4: condition 'array.rows = 4' is no condition"),
        ("{array.rows: [4]}", "where:\n  - array.rows == 4\n  - arry.rows == 4", "space.yaml:6: condition"),
        ("{array.rows: [4]}", "sample: {count: 0}", "space.yaml:4: key 'sample.count' is 0, expected at least 1"),
        ("{array.rows: [4]}", "sample: {cont: 3}", "did you mean 'count'?"),
        ("{array.rows: [4]}", "steps: first", "space.yaml:4: key 'steps' is the text 'first': expected steps such as"),
        ("{array.rows: [4]}", "on_invalid: drop", "space.yaml:4: key 'on_invalid' is the text 'drop'"),
        ("{array.rows: [4], array.rows: [8]}", "", "'space.array.rows' was given on line 3 already"),
        ("{array.rows: [4", "", "space.yaml:4: not valid YAML"),
    ],
)
def test_says_what_is_wrong_and_where(space_file: SpaceFile, space: str, more: str, words: str) -> None:
    with pytest.raises(AccelsimError) as caught:
        load_space(space_file(space, more))
    assert words in str(caught.value)


def test_traces_that_are_not_there_or_given_twice(space_file: SpaceFile) -> None:
    with pytest.raises(AccelsimError) as caught:
        load_space(space_file("{array.rows: [4]}", traces="[a.pkl, b.pkl, a.pkl]"))
    assert "space.yaml:2: trace 'b.pkl' is no file" in str(caught.value)
    assert "trace 'a.pkl' is given twice" in str(caught.value)


def test_a_trace_whose_name_no_file_can_have(space_file: SpaceFile) -> None:
    with pytest.raises(AccelsimError, match=r"trace 'x+' is no file"):
        load_space(space_file("{array.rows: [4]}", traces=f"[{'x' * 5000}]"))
