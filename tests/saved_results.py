"""Saved results and a sweep's table to draw from."""

from __future__ import annotations

import json
from pathlib import Path

import pandas as pd
import pytest

from accelsim import Hardware, TraceWriter, simulate
from accelsim.trace import MaskWork, TrainingRun
from tests.test_pipeline import layer, small

RUN = TrainingRun(0, 40, (9,), (MaskWork(9, 99, 99, 99, 1, 1),))
COMMAND = "accelsim train --pattern 4x4 --sparsity 0.5"


def other() -> Hardware:
    """`small` with one scan pointer for all PEs."""
    plain = small().model_dump(mode="json")
    plain["name"], plain["skipping"]["sync"] = "other", "array"
    return Hardware.model_validate_json(pd.Series(plain).to_json())


@pytest.fixture(scope="session")
def results(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Folders of results of the same trace, by name: `small` and `other` machine; `different` is of another trace."""
    base = tmp_path_factory.mktemp("results")
    for name, seed in (("run", 0), ("different", 7)):
        with TraceWriter(base / f"{name}.pkl", meta={"command": COMMAND}) as writer:
            for step in (0, 9, 10, 20):
                for number, layer_name in enumerate(("stem", "layer1.0.conv1 <b>&")):
                    writer.write(layer(layer_name, step=step, seed=seed + step + number))
            writer.meta["training"] = RUN.plain()
    for name, machine, trace in (
        ("small", small(), "run"),
        ("other", other(), "run"),
        ("different", small(), "different"),
    ):
        simulate(machine, base / f"{trace}.pkl", workers=1).save(base / name)
    return {name: base / name for name in ("small", "other", "different")}


@pytest.fixture(scope="session")
def sweep(results: dict[str, Path], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A sweep's table by the contract: a row a design, trace and pass; and a failed design without numbers."""
    tables = []
    for sync, name in (("row", "small"), ("array", "other")):
        rows = (
            pd.read_csv(results[name] / "layers.csv").groupby("pass", sort=False, as_index=False).sum(numeric_only=True)
        )
        rows = rows.drop(columns=["step", "call", "trace", "m", "n", "k", "groups"])
        rows["speedup"] = rows["dense_cycles"] / rows["cycles"]
        by_pass = json.loads((results[name] / "summary.json").read_text())["by_pass"]
        for column in ("equal_area_cycles", "equal_area_energy_pj"):
            rows[column] = [by_pass[which][column] for which in rows["pass"]]
        facts = {"skipping.sync": sync, "array.rows": 4, "memory.dram.bytes_per_cycle": 16.0, "area_mm2": 1.5}
        trace = str(results[name].parent / "run.pkl")
        tables.append(rows.assign(trace=trace, error=None, **facts))
    failed = pd.DataFrame([{"trace": tables[0]["trace"][0], "skipping.sync": "pe", "error": "too small", "pass": None}])
    path = tmp_path_factory.mktemp("sweep") / "sweep.parquet"
    pd.concat([*tables, failed], ignore_index=True).to_parquet(path)
    return path
