"""experiments/rtl_area: the quick variant gives rows of the shipped table, whose fit is the one that ships."""

from __future__ import annotations

import csv
import importlib.util
import json
import shutil
import sys
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest

from tests.experiments.test_experiments import run_quick

ROOT = Path(__file__).parents[2]
AREA = ROOT / "experiments" / "rtl_area"


def command() -> ModuleType:
    spec = importlib.util.spec_from_file_location("rtl_area_run", AREA / "run.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module  # dataclasses look there
    spec.loader.exec_module(module)
    return module


def read(path: Path) -> dict[tuple[str, ...], tuple[str, ...]]:
    rows = list(csv.reader(path.open(encoding="utf-8")))
    return {tuple(row[:8]): tuple(row[8:]) for row in rows[1:]}


def test_the_shipped_fit_is_that_of_the_shipped_table() -> None:
    """Several factors may have nearly the least largest error, and which of them are found depends on the processor."""
    run = command()
    table = run.read_table(AREA / "table.csv")
    fitted = run.fit(table)
    shipped = json.loads((ROOT / "accelsim" / "hardware" / "logic.json").read_text(encoding="utf-8"))
    assert fitted.keys() == shipped.keys()
    for part, fit in fitted.items():
        assert fit["flip_flops"] == shipped[part]["flip_flops"]
        assert fit["gates"].keys() == shipped[part]["gates"].keys()
        shares = run.gate_shares(table, part)
        errors = [run.largest_error(shares, np.array(list(one["gates"].values()))) for one in (fit, shipped[part])]
        assert errors[1] == pytest.approx(errors[0], abs=2e-3)
        assert fit["gates"] == pytest.approx(shipped[part]["gates"], rel=0.1, abs=0.01)
        assert fit["equivalents_per_gate"] == pytest.approx(shipped[part]["equivalents_per_gate"], rel=1e-3)


def test_the_table_has_every_module() -> None:
    assert {module.key for module in command().MODULES} == read(AREA / "table.csv").keys()


def test_the_fit_is_the_least_worst() -> None:
    shares = np.array([[1.0], [1.0], [1.5]])  # factors from 0.8 to 1: the middle errs least
    assert command().least_worst(shares) == pytest.approx([0.8], abs=1e-3)


@pytest.mark.skipif(shutil.which("yosys") is None, reason="Yosys is not installed (apt-get install yosys)")
def test_the_quick_variant_synthesises(tmp_path: Path) -> None:
    out = run_quick("rtl_area", tmp_path)
    rows, shipped = read(out / "table.csv"), read(AREA / "table.csv")
    assert {part for part, *_ in rows} == {part for part, *_ in shipped}
    for key, counts in rows.items():
        assert counts[2] == shipped[key][2]  # flip-flops
        assert int(counts[0]) == pytest.approx(int(shipped[key][0]), rel=0.1)  # other versions of Yosys differ a little
