"""The grid's configuration files: read as written, refused in one sentence."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import pytest
import yaml

from accelsim.errors import TrainingError

GRID = Path(__file__).parents[2] / "experiments" / "sparsity_and_granularity"


@pytest.fixture
def rows(monkeypatch: pytest.MonkeyPatch) -> Iterator[ModuleType]:
    """The experiment's module `rows`, importable as its own script sees it."""
    monkeypatch.syspath_prepend(str(GRID))
    import rows

    yield rows
    sys.modules.pop("rows")


def test_the_grid_is_as_large_as_its_axes_say(rows: ModuleType) -> None:
    plan = rows.read_plan(GRID / "config.yaml")
    names = [row.name for row in plan.rows]
    assert len(set(names)) == len(names) == 2 * 3 * (1 + 6 * 3 + 2 * 3 + 3)
    assert [row.seed for row in plan.rows] == sorted(row.seed for row in plan.rows)
    assert "simclr-scp-2to4-0.5-s0" in names
    assert {row.pattern for row in plan.rows if row.sparsity > 0.5} == {"element", "8x8"}


def test_a_row_becomes_its_training(rows: ModuleType) -> None:
    plan = rows.read_plan(GRID / "config.yaml")
    config = plan.config(plan.only(["byol-scp-8x8-0.9-s2"])[0], "cifar10:somewhere")
    assert (config.framework, config.method, config.pattern) == ("byol", "scp", "8x8")
    assert (config.sparsity, config.seed, config.data, config.gap) == (0.9, 2, "cifar10:somewhere", 0.3)
    assert config.allocation == "uniform"
    assert plan.config(plan.only(["byol-scp-element-0.9-s2"])[0], "cifar10:x").allocation == "global"
    assert plan.config(plan.only(["simclr-dense-s1"])[0], "cifar10:x").sparse_plan is None


@pytest.mark.parametrize(
    ("written", "words"),
    [
        ("data: [", "cannot be read as YAML"),
        ("- 1", "expected the keys data, training, methods, patterns, machines, rows, and no other"),
        ("rows: null", "rows is a NoneType, expected a list"),
        ("rows: [{frameworks: [simclr]}]", r"rows\[0\] needs a list for each of frameworks, methods"),
        ("methods: {}", "the method 'dense' of a row is missing under methods"),
        ("machines: {}", "the pattern 'none' of a row has no machines"),
        ("training: {stepz: 3}", "simclr-dense-s0: .*'stepz', expected fields of TrainConfig"),
        ("training: {steps: 0}", "steps is 0, expected at least 1"),
    ],
)
def test_what_is_wrong_with_a_file_is_said(rows: ModuleType, tmp_path: Path, written: str, words: str) -> None:
    text = (GRID / "quick.yaml").read_text()
    broken = written.endswith("[") or written.startswith("-")  # the others replace one section of a file that is right
    text = written if broken else yaml.safe_dump(yaml.safe_load(text) | yaml.safe_load(written))
    path = tmp_path / "plan.yaml"
    path.write_text(text)
    with pytest.raises(TrainingError, match=words):
        rows.read_plan(path)


def test_a_file_that_is_not_there_is_said(rows: ModuleType, tmp_path: Path) -> None:
    with pytest.raises(TrainingError, match=r"none\.yaml: cannot be read"):
        rows.read_plan(tmp_path / "none.yaml")
