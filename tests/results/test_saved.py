"""A result read back says what the one in memory said."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from pathlib import Path

import pandas as pd
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from accelsim import AccelsimError, TraceWriter, load_result, simulate
from accelsim.results.quantities import joules
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
    energy = joules(load_result(folder / "out").summary["total"]["energy_pj"])
    for words in ("<table>", "small", "run.pkl", "<th>weight_grad</th>", "<th>total</th>", "x</td>", f">{energy}</td>"):
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


def _in_summary(*keys: str, value: str) -> Callable[[Path], None]:
    """Return what puts a JSON text in place of a value."""

    def damage(folder: Path) -> None:
        path = folder / "summary.json"
        summary = inner = json.loads(path.read_text())
        for key in keys[:-1]:
            inner = inner[key]
        inner[keys[-1]] = "HERE"
        path.write_text(json.dumps(summary).replace('"HERE"', value))

    return damage


def _in_table(name: str, column: str, value: str) -> Callable[[Path], None]:
    def damage(folder: Path) -> None:
        table = pd.read_csv(folder / name, dtype=str, keep_default_na=False)
        table.loc[1, column] = value
        table.to_csv(folder / name, index=False)

    return damage


def _empty_table(folder: Path) -> None:
    (folder / "layers.csv").write_text((folder / "layers.csv").read_text().splitlines()[0] + "\n")


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
        (_empty_table, "no table of a result, it has no row"),
        (_in_summary("total", "cycles", value='"many"'), "key 'total.cycles' is the text 'many', expected a number"),
        (_in_summary("total", "cycles", value="-1"), "key 'total.cycles' is -1, expected at least 0"),
        (_in_summary("total", "slots_sync", value="[1]"), "key 'total.slots_sync"),
        (_in_summary("total", "cycles", value="NaN"), "NaN is no number that JSON has"),
        (_in_summary("total", "cycles", value="-Infinity"), "-Infinity is no number that JSON has"),
        (_in_summary("total", "cycles", value="1e999"), "key 'total.cycles' is inf, expected"),
        (_in_summary("total", "cycles", value="9" * 5000), "a number in it has thousands of digits"),
        (_in_summary("total", "cycles", value="9" * 500), "key 'total.cycles' is an integer of 1661 bits"),
        (_in_summary("trace", "path", value='"\\ud800"'), "half of a surrogate pair"),
        (_in_summary("trace", "meta", value="[" * 100_000 + "]" * 100_000), "nested too deeply"),
        (_in_summary("trace", "meta", value="3"), "key 'trace.meta' is 3, expected a mapping"),
        (_in_summary("by_pass", value="[]"), "key 'by_pass' is a list"),
        (_in_summary("by_step", value='{"0": 5}'), "key 'by_step.0' is 5, expected a mapping"),
        (_in_summary("hardware", "clock_mhz", value="0"), "key 'hardware.clock_mhz' is 0, expected a number above 0"),
        (_in_summary("training", "notes", value="[1]"), r"key 'training.notes\[0\]' is 1, expected text"),
        (_in_summary("training", "steps", value="null"), "key 'training.steps' is empty, expected a whole number"),
        (
            _in_table("layers.csv", "cycles", "many"),
            "row 2: cycles is the text 'many', expected a number of at least 0",
        ),
        (_in_table("layers.csv", "cycles", ""), "row 2: cycles is nan, expected a number"),
        (_in_table("layers.csv", "energy_pj", "-inf"), "row 2: energy_pj is -inf, expected a number"),
        (
            _in_table("layers.csv", "slots_sync", "9" * 5000),
            "row 2: slots_sync is the text '9999.*', expected a number",
        ),
        (_in_table("layers.csv", "pass", "sideways"), "row 2: pass is the text 'sideways', expected one of forward"),
        (_in_table("layers.csv", "cycles", "9" * 500), "row 2: cycles is an integer of 1661 bits, expected a number"),
        (_in_table("training.csv", "speedup", "x"), "training.csv: row 2: speedup is the text 'x'"),
        (_in_table("training.csv", "pass", "all"), "training.csv: row 2: pass is the text 'all'"),
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


@given(name=st.text(max_size=12))
@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_any_name_comes_back(tmp_path: Path, name: str) -> None:
    result = simulate(small(), [layer(name)], workers=1)
    result.save(tmp_path)
    assert load_result(tmp_path).layers["layer"].tolist() == [name] * 3


def test_metadata_that_json_cannot_hold(tmp_path: Path) -> None:
    meta = {"loss": float("nan"), "digest": b"\xab", "rates": {1: float("inf"), "two": (1, 2)}}
    with TraceWriter(tmp_path / "run.pkl", meta) as writer:
        writer.write(layer())
    result = simulate(small(), tmp_path / "run.pkl", workers=1)
    result.save(tmp_path / "out")
    assert load_result(tmp_path / "out").trace["meta"] == {
        "loss": "nan",
        "digest": "ab",
        "rates": {"1": "inf", "two": [1, 2]},
    }
