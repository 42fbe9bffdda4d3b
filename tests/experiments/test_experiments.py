"""Every experiment runs in its quick variant, and its tables say what is there and what is not."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest

ROOT = Path(__file__).parents[2]
EXPERIMENTS = ROOT / "experiments"
GRID = EXPERIMENTS / "sparsity_and_granularity"


def run(script: Path, *options: str) -> subprocess.CompletedProcess[str]:
    """Run an experiment's script."""
    environment = os.environ | {"PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    command = [sys.executable, str(script), *options]
    return subprocess.run(command, capture_output=True, text=True, check=False, env=environment)


def run_quick(name: str, root: Path, *options: str) -> Path:
    """Run `--quick` of a copy of an experiment and return where its results are; the committed ones must not change."""
    folder = root / "experiments" / name
    if not folder.exists():
        shutil.copytree(EXPERIMENTS / name, folder, ignore=shutil.ignore_patterns("__pycache__"))
        for beside in ("hw_configs", "traces", "rtl"):
            (root / beside).symlink_to(ROOT / beside)
    committed = _contents(folder)
    done = run(folder / "run.py", "--quick", *options)
    assert done.returncode == 0, done.stderr
    assert _contents(folder) == committed
    return root / "runs" / name / "quick"


def _contents(folder: Path) -> dict[Path, bytes]:
    return {path: path.read_bytes() for path in folder.rglob("*") if path.is_file() and "__pycache__" not in path.parts}


@pytest.mark.parametrize("script", sorted(EXPERIMENTS.glob("*/run.py")), ids=lambda path: path.parent.name)
def test_quick_results_go_where_git_does_not_look(script: Path) -> None:
    """The slow way to see it is `run_quick`, of which every experiment has a test; Yosys may be missing for one."""
    place = 'out = options.out or (ROOT / "runs" / HERE.name / "quick" if options.quick else HERE)'
    source = script.read_text(encoding="utf-8")
    assert source.count(place) == 1
    assert source.count("options.out") == place.count("options.out") + source.count("not options.out:")
    assert "runs/" in (ROOT / ".gitignore").read_text(encoding="utf-8").splitlines()


@pytest.mark.parametrize(
    ("experiment", "option", "value"),
    [
        ("speedup_over_training", "--trace", "other.pkl"),
        ("sampling_coverage", "--seeds", "3"),
        ("sampling_coverage", "--share", "0.5"),
    ],
)
def test_other_settings_do_not_replace_committed_results(experiment: str, option: str, value: str) -> None:
    done = run(EXPERIMENTS / experiment / "run.py", option, value)
    assert done.returncode == 2
    assert option in done.stderr.splitlines()[-1]
    assert "--out DIR" in done.stderr.splitlines()[-1]


def test_the_grid_is_filled_row_by_row_and_keeps_what_it_has(tmp_path: Path) -> None:
    out = run_quick("sparsity_and_granularity", tmp_path, "--only", "simclr-scp-*")
    table = pd.read_csv(out / "table.csv").set_index("row")
    assert table["state"].to_dict() == {
        "simclr-dense-s0": "missing",
        "simclr-scp-element-0.8-s0": "done",
        "byol-gmp-2to4-0.5-s0": "missing",
    }
    assert (
        table.loc["simclr-dense-s0"].drop(["framework", "method", "pattern", "sparsity", "seed", "state"]).isna().all()
    )
    scp = table.loc["simclr-scp-element-0.8-s0"]
    assert scp["pruned"] == pytest.approx(0.8, abs=1e-3)
    assert scp["pruned_second_branch"] == pytest.approx(0.5, abs=1e-3)
    assert scp["weight_density"] == pytest.approx(0.35, abs=1e-3)  # as many weights of each branch
    assert scp["pe16x16_rowsync_speedup"] > 1
    kept = out / "results" / "simclr-scp-element-0.8-s0.json"
    measured = json.loads(kept.read_text())
    kept.write_text(json.dumps(measured | {"linear_probe_accuracy": 0.123}))
    run_quick("sparsity_and_granularity", tmp_path)
    table = pd.read_csv(out / "table.csv").set_index("row")
    assert set(table["state"]) == {"done"}
    assert table.loc["simclr-scp-element-0.8-s0", "linear_probe_accuracy"] == 0.123
    assert (out / "accuracy_and_speedup.png").stat().st_size > 10_000
    kept.unlink()  # the finished run is still there: measured again without training, with the same numbers
    run_quick("sparsity_and_granularity", tmp_path)
    assert json.loads(kept.read_text()) == measured


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--quick", "--only", "simsiam-*"], "--only 'simsiam-*' matches no row, expected names like simclr-dense-s0"),
        (["--data", "photos"], "--data is photos, but this table is about cifar10"),
        (["--data", "cifar10:nowhere", "--only", "simclr-dense-s0"], "nowhere"),
    ],
)
def test_what_the_grid_cannot_run_is_said_in_one_sentence(tmp_path: Path, options: list[str], words: str) -> None:
    ran = run(GRID / "run.py", *options, "--out", str(tmp_path), "--runs", str(tmp_path / "runs"))
    assert ran.returncode == 2
    assert words in ran.stderr
    assert "Traceback" not in ran.stderr


def test_committed_results_and_tables_belong_together() -> None:
    table = pd.read_csv(GRID / "table.csv").set_index("row")
    results = {path.stem: json.loads(path.read_text()) for path in (GRID / "results").glob("*.json")}
    assert set(table.index[table["state"] == "done"]) == results.keys()
    for name, found in results.items():
        assert found["data"]["train_images"] > 0
        assert found["loss"]["last_steps"] < found["loss"]["first_steps"], f"{name} did not learn"
        assert found["linear_probe_accuracy"] == pytest.approx(table.loc[name, "linear_probe_accuracy"], abs=1e-5)
        speedup = found["last_step"]["machines"]["pe16x16_rowsync"]["speedup"]
        assert speedup == pytest.approx(table.loc[name, "pe16x16_rowsync_speedup"], abs=1e-4)


def test_zeros_by_layer_time_and_format(tmp_path: Path) -> None:
    out = run_quick("where_the_zeros_are", tmp_path)
    table = pd.read_csv(out / "density.csv")
    assert set(table["zero_as"]) == {"exact", "fp8_e4m3", "int8"}
    wide = table.pivot_table(index=["layer", "tensor"], columns="zero_as", values="nonzeros")
    assert (wide["int8"] <= wide["exact"]).all()  # rounding makes zeros and takes none away
    assert (wide["fp8_e4m3"] <= wide["exact"]).all()
    gradients = wide.xs("gradient", level="tensor")
    assert gradients["int8"].sum() < 0.8 * gradients["exact"].sum()


def test_number_formats_see_more_zeros_the_fewer_bits_they_have(tmp_path: Path) -> None:
    out = run_quick("number_formats", tmp_path)
    table = pd.read_csv(out / "formats.csv").set_index("zero_as")
    assert list(table.index) == ["exact", "fp8_e5m2", "fp8_e4m3", "int8"]
    for tensor in ("weight", "activation", "gradient"):
        assert table[f"{tensor}_zero"].is_monotonic_increasing
    assert table.loc["int8", "speedup"] > table.loc["exact", "speedup"]
    assert (out / "formats.png").stat().st_size > 10_000


def test_speedup_over_training(tmp_path: Path) -> None:
    out = run_quick("speedup_over_training", tmp_path)
    table = pd.read_csv(out / "speedup.csv").set_index("pass")
    assert list(table.index) == ["forward", "input_grad", "weight_grad", "other work", "all passes"]
    assert table.loc["all passes", "cycles"] == table["cycles"].iloc[:4].sum()
    assert (out / "speedup.png").stat().st_size > 10_000


def test_gates_save_operations_and_fewer_cycles(tmp_path: Path) -> None:
    out = run_quick("dual_gating", tmp_path)
    table = pd.read_csv(out / "table.csv").set_index("row")
    assert (table["state"] == "done").sum() == 2
    assert table.loc["ungated", "operations_saved"] == 1
    gated = table.loc["gate1_from0"]
    assert gated["operations_saved"] > 1.2
    assert 1 < gated["cycles_saved_outputs"] < gated["cycles_saved_outputs_and_gradient"] < gated["operations_saved"]


@pytest.mark.parametrize("experiment", ["sparsity_and_granularity", "dual_gating"])
def test_no_committed_result_names_a_place_on_the_machine_that_made_it(experiment: str) -> None:
    for path in (EXPERIMENTS / experiment / "results").glob("*.json"):
        found = json.loads(path.read_text())
        assert found["config"]["data"] in {"photos", "cifar10"}
        assert found["git"]["changed"] is False, f"{path.name} was made by code that no commit holds"
        assert "/" not in found.get("command", "")


def test_sampling_coverage_counts_what_intervals_hold(tmp_path: Path) -> None:
    out = run_quick("sampling_coverage", tmp_path)
    rows = pd.read_csv(out / "coverage.csv").set_index(["layer", "quantity"])
    assert 0 < rows.loc[("all", "cycles"), "half_width_percent"] < 20
    assert rows.loc[("all", "cycles"), "coverage"] >= 0.4  # of five seeds; fewer have a chance of 0.01 %


def test_equal_area_over_density_and_pattern(tmp_path: Path) -> None:
    out = run_quick("equal_area", tmp_path)
    table = pd.read_csv(out / "density.csv").set_index(["machine", "pattern", "weight_density", "pass"])
    join = table.loc["join8x16"]["speedup_at_equal_area"]
    assert join["element", 0.2, "forward"] > join["element", 1.0, "forward"] > 1
    assert join["element", 0.2, "whole step"] > join["8x8", 0.2, "whole step"]  # a dense machine drops blocks itself
    row = table.loc["dense 2x68"]  # compared with the same dense machine
    assert (row["equal_area_cycles"] == table.loc["join8x16"]["equal_area_cycles"]).all()
    crossings = pd.read_csv(out / "crossings.csv").set_index(["machine", "pattern", "pass"])
    assert crossings.loc[("join8x16", "element", "forward"), "wins_from_zeros"] == 0
    assert (out / "equal_area.png").stat().st_size > 10_000
