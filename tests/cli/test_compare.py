"""`accelsim compare` as its user sees it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.cli.test_run import accelsim


@pytest.mark.smoke
def test_tables_say_what_got_faster_and_why(results: dict[str, Path]) -> None:
    done = accelsim("compare", results["small"], results["other"])
    assert done.returncode == 0, done.stderr
    for words in (
        "stem",
        "<b>&",
        "Totals by pass",
        "Where the cycles went, B less A",
        "sync +",
        "B is",
        "Per image (8 ",
        "Beside the best dense machines of equal area",
        "=area: B beside the best dense machine of its area, ",
    ):
        assert words in done.stdout


def test_json(results: dict[str, Path]) -> None:
    found = json.loads(accelsim("compare", results["small"], results["small"], "--json").stdout)
    assert (found["differs"], found["images"], found["per_image"]) == ({}, [8, 8], False)
    assert set(found["at_equal_area"]) == {"forward", "input_grad", "weight_grad", "other work", "total"}
    assert found["total"]["cycles_a"] == found["total"]["cycles_b"] == sum(row["cycles_a"] for row in found["layers"])


def test_unlike_results_are_refused_unless_asked_for(results: dict[str, Path]) -> None:
    refused = accelsim("compare", results["small"], results["different"])
    assert refused.returncode == 2
    assert len(refused.stderr.splitlines()) == 1
    assert "different traces" in refused.stderr
    done = accelsim("compare", results["small"], results["different"], "--unlike")
    assert done.returncode == 0, done.stderr
    assert "The masks differ" in done.stdout


def test_a_missing_folder_is_said(results: dict[str, Path], tmp_path: Path) -> None:
    done = accelsim("compare", results["small"], tmp_path / "missing")
    assert done.returncode == 2
    assert "missing" in done.stderr
