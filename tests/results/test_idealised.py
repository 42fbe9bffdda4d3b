"""A machine that nobody could build has cycles, and no energy anywhere."""

from __future__ import annotations

import io
import json
from pathlib import Path

import pandas as pd
import pytest
import yaml
from rich.console import Console

from accelsim import AccelsimError, Hardware, Sampling, TraceWriter, load_result, simulate
from accelsim.explore import load_space, search, sweep
from accelsim.hardware.skipping import MOST_BUILT_DEPTH
from accelsim.results.comparison import compare
from accelsim.show.action_counts import ActionCounts
from accelsim.show.comparison import comparison_tables
from accelsim.show.figures.energy import KIND as ENERGY
from accelsim.show.figures.pareto import KIND as PARETO
from accelsim.show.figures.source import read_source
from accelsim.show.report import report_html
from accelsim.show.tables import result_tables
from accelsim.show.timeline import Timeline
from accelsim.show.training import training_table
from tests.explore.test_sweep import Here
from tests.saved_results import RUN
from tests.test_pipeline import layer, small


def machine(depth: int, name: str = "ideal") -> Hardware:
    plain = small().model_dump(mode="json")
    plain["name"], plain["skipping"]["fifo_depth"] = name, depth
    return Hardware.model_validate(plain)


IDEAL = machine(MOST_BUILT_DEPTH + 1)


@pytest.fixture(scope="module")
def trace(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("traces") / "run.pkl"
    with TraceWriter(path, meta={}) as writer:
        for step in (0, 9, 10, 20, 30):
            writer.write(layer(step=step, seed=step))
        writer.meta["training"] = RUN.plain()
    return path


@pytest.fixture(scope="module")
def saved(trace: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    base = tmp_path_factory.mktemp("results")
    for hw in (IDEAL, small()):
        simulate(hw, trace, vector_work=True, workers=1).save(base / hw.name)
    return {hw.name: base / hw.name for hw in (IDEAL, small())}


def text_of(*parts: object) -> str:
    console = Console(file=io.StringIO(), width=160)
    for part in parts:
        console.print(part)
    file = console.file
    assert isinstance(file, io.StringIO)
    return file.getvalue()


def energies(plain: object, path: str = "") -> dict[str, object]:
    """Everything below a key that says energy, by its path, but for the baseline's."""
    found: dict[str, object] = {}
    if isinstance(plain, dict):
        for key, value in plain.items():
            if "energy" in key and "dense" not in key and not path.startswith(".hardware") and key != "energy":
                found[f"{path}.{key}"] = value
            found |= energies(value, f"{path}.{key}")
    return found


def test_only_queues_deeper_than_any_window_are_idealised() -> None:
    assert IDEAL.idealised
    assert not machine(MOST_BUILT_DEPTH).idealised
    assert not IDEAL.dense().idealised  # no queue at all


@pytest.mark.parametrize("sample", [None, Sampling(0.5, seed=1)])
def test_a_result_has_cycles_as_before_and_no_energy(trace: Path, sample: Sampling | None) -> None:
    ideal, real = (simulate(hw, trace, vector_work=True, sample=sample, workers=1) for hw in (IDEAL, small()))
    assert ideal.layers["cycles"].sum() <= real.layers["cycles"].sum() * 1.01
    assert ideal.layers["dense_energy_pj"].equals(real.layers["dense_energy_pj"])
    assert ideal.layers.filter(regex="^energy").isna().all(axis=None)
    assert ideal.steps["energy_pj"].isna().all()
    summary = json.loads(json.dumps(ideal.summary, allow_nan=False))
    found = energies(summary)
    assert len(found) > 40
    for path, value in found.items():
        assert value in (None, [None, None]), path
    assert summary["training"]["mask_updates"]["energy_pj"] is None
    assert summary["total"]["speedup"] > 0
    text = text_of(result_tables(ideal), *training_table(ideal))
    assert "No energy: the machine is idealised" in text
    assert "Energy (" not in text
    assert "nan" not in text
    assert "energy" in text_of(result_tables(real))
    assert "nan" not in ideal._repr_html_()


def test_files_reports_and_comparisons_leave_it_out(saved: dict[str, Path]) -> None:
    ideal = load_result(saved["ideal"])
    assert ideal.layers["energy_pj"].isna().all()
    found = compare(ideal, load_result(saved["small"]))
    assert "Idealised, so without energy" in found.notes[-1]
    assert pd.isna(found.totals()["energy_pj_a"])
    assert found.totals()["energy_pj_b"] > 0
    text = text_of(*comparison_tables(found))
    assert "nan" not in text
    assert "0 pJ" not in text
    page = report_html(read_source(saved["ideal"]))
    assert "No energy: the machine is idealised" in page
    assert ">nan" not in page


def test_figures_of_energy_say_so(saved: dict[str, Path]) -> None:
    ideal, real = (read_source(path) for path in (saved["ideal"], saved["small"]))
    bars = ENERGY.data([ideal, real])
    assert set(bars["bar"]) == {"ideal (idealised: no energy)", "small"}
    ENERGY.draw(bars)
    assert list(PARETO.data([ideal, real])["design"]) == ["small"]
    with pytest.raises(AccelsimError, match="no machine of it has an energy"):
        PARETO.data([ideal])


def test_timeline_and_action_counts(trace: Path, tmp_path: Path) -> None:
    path = tmp_path / "timeline.json"
    with Timeline(path, IDEAL) as timeline:
        simulate(IDEAL, trace, workers=1, on_pass=lambda _, result, detail: timeline.add(result, detail))
    assert "NaN" not in path.read_text()
    with pytest.raises(AccelsimError, match="ideal is idealised, it has no energy and no action counts"):
        ActionCounts(tmp_path / "counts.yaml", IDEAL)


def test_sweeps_have_nulls_and_searches_leave_it_out(trace: Path, tmp_path: Path) -> None:
    (tmp_path / "hw.yaml").write_text(yaml.safe_dump(small().model_dump(mode="json"), sort_keys=False))
    space = tmp_path / "space.yaml"
    space.write_text(f"hw: hw.yaml\ntraces: [{trace}]\nspace: {{skipping.fifo_depth: [16, 32, 65536]}}\n")
    table = sweep(load_space(space), tmp_path / "out", Here()).table
    found = search(load_space(space), tmp_path / "found", budget=3, workers=Here())
    ideal = table["skipping.fifo_depth"] == 65536
    assert table["error"].isna().all()
    assert (table["cycles"] > 0).all()
    assert table[ideal][["energy_pj", "area_mm2", "energy_mac_pj"]].isna().all(axis=None)
    assert (table[~ideal]["energy_pj"] > 0).all()
    assert (found.simulated, found.failed) == (3, 1)
    assert 65536 not in set(found.front["skipping.fifo_depth"])
    assert ">nan" not in report_html(read_source(tmp_path / "out"))
