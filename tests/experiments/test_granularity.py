"""The study of granularity: its quick variant runs, its kept table obeys what must hold."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest
import yaml

from accelsim import load_hardware
from tests.experiments.test_experiments import run_quick

STUDY = Path(__file__).parents[2] / "experiments" / "granularity"
MACHINES = STUDY.parents[1] / "hw_configs"


@pytest.mark.smoke
def test_the_quick_variant_measures_and_draws(tmp_path: Path) -> None:
    out = run_quick("granularity", tmp_path)
    table = pd.read_csv(out / "table.csv")
    assert set(table["pattern"]) == {"none", "element", "2:4", "8x8"}
    assert set(table["origin"]) == {"synthetic", "recorded"}
    assert (out / "granularity.png").stat().st_size > 10_000
    assert len(pd.read_csv(out / "granularity.csv")) == len(table)


@pytest.mark.relations
def test_the_kept_table_is_whole_and_plausible() -> None:
    table, config = pd.read_csv(STUDY / "table.csv"), yaml.safe_load((STUDY / "config.yaml").read_text())
    made = table[table["origin"] == "synthetic"]
    patterns = len(config["patterns"]) - 1  # 2:4 has one density
    traces = 1 + len(config["densities"]) * patterns + 1
    assert len(made) == traces * len(config["machines"]) * 3
    assert set(table["machine"]) == set(config["machines"])
    assert (table["cycles"] >= table["array_cycles"]).all()
    slots = table[[name for name in table.columns if name.startswith("slots_")]].sum(axis=1)
    for machine, rows in table.groupby("machine"):
        array = load_hardware(MACHINES / f"{machine}.yaml").array
        assert (slots[rows.index] == rows["cycles"] * array.rows * array.cols * array.lanes * array.count).all()
    # N:M hardware takes N/M of the dense cycles in forward, block hardware gains nothing from single zeros.
    chosen = made[(made["weight_density"] == 0.5) & (made["pass"] == "forward")].set_index(["machine", "pattern"])
    assert chosen.loc[("nm24_tensorcore", "2:4"), "speedup"] == pytest.approx(2, rel=0.02)
    assert chosen.loc[("tensorcore8", "element"), "speedup"] == pytest.approx(1, rel=0.01)
