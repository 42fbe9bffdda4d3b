"""experiments/buildable_machine: nothing that is taken back costs nothing, and the README has the table."""

from __future__ import annotations

from pathlib import Path

import pandas as pd

from tests.experiments.test_experiments import run_quick

ROOT = Path(__file__).parents[2]
STUDY = ROOT / "experiments" / "buildable_machine"


def test_the_quick_variant(tmp_path: Path) -> None:
    table = pd.read_csv(run_quick("buildable_machine", tmp_path) / "table.csv").set_index("what")
    first = table.loc["as first described"]
    ports = [table.loc[f"ports of {words} words per operand and cycle", "speedup"] for words in (16, 32, 64)]
    assert ports == sorted(ports)
    assert ports[-1] <= first["speedup"]
    assert table.loc["drain exposed", "speedup"] < first["speedup"]
    for what in ("each scan pointer's reads charged", "all registers of queues clocked", "mask bits read"):
        assert table.loc[what, "energy_ratio"] < first["energy_ratio"]
        assert table.loc[what, "speedup"] == first["speedup"]


def test_the_readme_has_the_table() -> None:
    readme = (STUDY / "README.md").read_text(encoding="utf-8")
    for what, speedup, ratio in pd.read_csv(STUDY / "table.csv").itertuples(index=False):
        assert f"| {what} | {speedup:.2f}× | {ratio:.2f}× |" in readme
