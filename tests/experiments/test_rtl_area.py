"""experiments/rtl_area: the quick variant gives the rows of the shipped table."""

from __future__ import annotations

import csv
import shutil
from pathlib import Path

import pytest

from tests.experiments.test_experiments import run_quick

ROOT = Path(__file__).parents[2]
AREA = ROOT / "experiments" / "rtl_area"


def test_the_shipped_table_says_what_skipping_costs() -> None:
    rows = list(csv.DictReader((AREA / "table.csv").open(encoding="utf-8")))
    cells = {tuple(row.values())[:4]: int(row["cells"]) for row in rows}
    readme = (AREA / "README.md").read_text(encoding="utf-8")
    for (kind, width, depth, lanes), count in cells.items():
        shown = (width, depth) if kind == "scanning" else ("", "")
        dense = cells["dense", lanes, "0", lanes]
        line = f"| {kind} | {shown[0]} | {shown[1]} | {lanes} | {count:,} |".replace("|  |", "| |").replace(
            "|  |", "| |"
        )
        assert line in readme
        assert f"| {count / dense:.1f} |" in readme


@pytest.mark.skipif(shutil.which("yosys") is None, reason="Yosys is not installed (apt-get install yosys)")
def test_the_quick_variant_synthesises(tmp_path: Path) -> None:
    out = run_quick("rtl_area", tmp_path)
    rows = list(csv.DictReader((out / "table.csv").open(encoding="utf-8")))
    assert [row["kind"] for row in rows] == ["dense", "scanning"]
    # 8-bit operands and a 32-bit sum: 16 + 1 + 32 flip-flops; a queue of four pairs and its count of three bits beside.
    assert int(rows[0]["flip_flops"]) == 49
    assert int(rows[1]["flip_flops"]) == 49 + 4 * 16 + 3
