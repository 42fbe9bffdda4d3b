"""`accelsim plot` as its user sees it."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

from accelsim.cli.plot import KINDS
from accelsim.show.figures import registry
from tests.cli.test_run import accelsim


@pytest.mark.smoke
def test_a_figure_and_its_numbers(results: dict[str, Path], tmp_path: Path) -> None:
    done = accelsim("plot", "slots", results["small"], results["other"], "--out", tmp_path / "slots.png")
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "slots.png").read_bytes().startswith(b"\x89PNG")
    assert f"Written: {tmp_path / 'slots.png'}, {tmp_path / 'slots.csv'}" in done.stdout.replace("\n", "")


def test_the_help_names_every_kind() -> None:
    """It is written out there because naming them by import would load pandas for `--help`."""
    assert KINDS.split(", ") == list(registry.KINDS)


@pytest.mark.parametrize(
    ("kind", "source", "out", "sentence"),
    [
        ("pie", "small", "figure.svg", "unknown kind of figure 'pie'"),
        ("slots", "missing", "figure.svg", "missing"),
        ("slots", "small", "figure.gif", "ends in one of"),
        ("slots", "small", "missing/figure.svg", "cannot be written"),
    ],
)
def test_bad_input_is_one_sentence(
    results: dict[str, Path], tmp_path: Path, kind: str, source: str, out: str, sentence: str
) -> None:
    done = accelsim("plot", kind, results.get(source, tmp_path / source), "--out", tmp_path / out)
    assert done.returncode == 2
    assert sentence in done.stderr
    assert len(done.stderr.splitlines()) == 1


def test_matplotlib_is_imported_when_a_figure_is_drawn() -> None:
    for path in Path(registry.__file__).parent.glob("*.py"):
        body = ast.parse(path.read_text()).body
        modules = [node.module for node in body if isinstance(node, ast.ImportFrom)]
        modules += [alias.name for node in body if isinstance(node, ast.Import) for alias in node.names]
        assert not [module for module in modules if module and module.split(".")[0] == "matplotlib"], path
