"""A result read back says what the one in memory said."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from pathlib import Path

import pandas as pd
import pytest

from accelsim import AccelsimError, TraceWriter, load_result, simulate
from accelsim.trace import TrainingRun
from tests.test_pipeline import layer, small


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    base = tmp_path_factory.mktemp("saved")
    with TraceWriter(base / "run.pkl") as writer:
        for step in (0, 5):
            writer.write(layer("NA", step=step, seed=step))  # a name that CSV readers take for a gap
        writer.meta["training"] = TrainingRun(0, 8).plain()
    simulate(small(), base / "run.pkl").save(base / "out")
    return base


def test_all_comes_back(folder: Path) -> None:
    result, saved = simulate(small(), folder / "run.pkl"), load_result(folder / "out")
    pd.testing.assert_frame_equal(result.layers, saved.layers)
    pd.testing.assert_frame_equal(result.steps, saved.steps)
    assert result.summary == saved.summary
    assert (result.hardware, result.trace, result.training) == (saved.hardware, saved.trace, saved.training)
    assert result._repr_html_() == saved._repr_html_()


def test_a_result_knows_its_masks_by_their_content(folder: Path) -> None:
    assert load_result(folder / "out").trace["sha256"] == hashlib.sha256((folder / "run.pkl").read_bytes()).hexdigest()
    assert simulate(small(), [layer()]).trace["sha256"] is None


def test_a_table_for_notebooks(folder: Path) -> None:
    shown = load_result(folder / "out")._repr_html_()
    for words in ("<table>", "small", "run.pkl", "<th>weight_grad</th>", "<th>total</th>", "×</td>"):
        assert words in shown
    assert "<script" not in shown


def _lose(folder: Path) -> None:
    (folder / "layers.csv").unlink()


def _break_json(folder: Path) -> None:
    (folder / "summary.json").write_text("{\n,")


def _other_json(folder: Path) -> None:
    (folder / "summary.json").write_text("[]")


def _other_table(folder: Path) -> None:
    (folder / "layers.csv").write_text("a,b\n1,2\n")


def _ragged_table(folder: Path) -> None:
    (folder / "layers.csv").write_text("a,b\n1,2,3,4\n1,2,3\n1,2,3,4,5\n")


@pytest.mark.parametrize(
    ("damage", "sentence"),
    [
        (_lose, "no result of accelsim run --out can be read there"),
        (_break_json, "line 2 is no JSON"),
        (_other_json, "no summary of a result"),
        (_other_table, "lacks the columns call, cycles"),
        (_ragged_table, "no table"),
    ],
)
def test_what_is_no_result_is_said(folder: Path, tmp_path: Path, damage: Callable[[Path], None], sentence: str) -> None:
    for file in (folder / "out").iterdir():
        (tmp_path / file.name).write_bytes(file.read_bytes())
    damage(tmp_path)
    with pytest.raises(AccelsimError, match=sentence):
        load_result(tmp_path)


def test_a_machine_of_another_version_is_said(folder: Path, tmp_path: Path) -> None:
    for file in (folder / "out").iterdir():
        (tmp_path / file.name).write_bytes(file.read_bytes())
    summary = json.loads((tmp_path / "summary.json").read_text())
    summary["hardware"]["array"]["rows"] = "many"
    (tmp_path / "summary.json").write_text(json.dumps(summary))
    with pytest.raises(AccelsimError, match=r"array\.rows"):
        _ = load_result(tmp_path).hardware
