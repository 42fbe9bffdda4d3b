"""`accelsim report` as its user sees it."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.cli.test_run import accelsim


@pytest.mark.smoke
def test_one_file(results: dict[str, Path], tmp_path: Path) -> None:
    done = accelsim("report", results["small"], "--out", tmp_path / "report.html")
    assert done.returncode == 0, done.stderr
    assert [path.name for path in tmp_path.iterdir()] == ["report.html"]
    assert (tmp_path / "report.html").read_text().startswith("<!DOCTYPE html>")


def test_bad_input_is_one_sentence(results: dict[str, Path], tmp_path: Path) -> None:
    for source, out in ((tmp_path / "missing", "report.html"), (results["small"], "missing/report.html")):
        done = accelsim("report", source, "--out", tmp_path / out)
        assert done.returncode == 2
        assert len(done.stderr.splitlines()) == 1
        assert "missing" in done.stderr
