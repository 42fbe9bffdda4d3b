"""Every shipped trace is small, whole, from a run that learned, made by the command it states, and replays."""

import csv
import json
import math
import runpy
import shlex
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from accelsim import load_hardware, simulate
from accelsim.trace import open_trace
from accelsim.trace.training_run import TrainingRun

ROOT = Path(__file__).parents[2]
TRACES = ROOT / "traces"
PATHS = sorted(TRACES.glob("*.pkl"))
shipped = pytest.mark.parametrize("path", PATHS, ids=lambda path: path.stem)
by_gradient = {"rigl", "granet", "scp"}

# Recorded before a trace knew its run: no growth steps beside the planned ones, no total of a whole training.
OLD = {"simclr_scp_2to4", "simclr_scp_8x8", "simclr_scp_element"}
knows_its_run = pytest.mark.parametrize(
    "path", [path for path in PATHS if path.stem not in OLD], ids=lambda path: path.stem
)


def results_of(path: Path) -> dict[str, Any]:
    """Return what the run wrote about itself."""
    results: dict[str, Any] = json.loads((path.with_suffix("") / "results.json").read_text())
    return results


def rows_of(path: Path) -> list[dict[str, str]]:
    """Return a row a step."""
    with (path.with_suffix("") / "loss.csv").open() as file:
        return list(csv.DictReader(file))


def options_of(words: list[str]) -> dict[str, str]:
    """Return the options of a command by name."""
    return dict(zip(words[::2], words[1::2], strict=True))


def test_the_script_can_record_all_that_is_shipped() -> None:
    names = {path.stem for path in TRACES.glob("*.pkl")}
    assert len(names) > 1
    assert names <= runpy.run_path(str(TRACES / "record.py"))["TRACES"].keys()


@shipped
def test_the_table_of_shipped_traces_says_what_is_in_them(path: Path) -> None:
    lines = (TRACES / "README.md").read_text().splitlines()
    row = next(line for line in lines if line.startswith(f"| `{path.stem}` |"))
    cells, trace = [cell.strip() for cell in row.strip("|").split("|")], open_trace(path)
    growth = set(trace.meta.get("training", {}).get("growth_steps", ()))
    assert cells[4] == ", ".join(f"{step} (grows)" if step in growth else str(step) for step in trace.steps)
    assert cells[5] == f"{path.stat().st_size / 1e6:.1f}"
    assert (cells[8] == "not known") == (TrainingRun.from_meta(trace.meta) is None)


@shipped
def test_its_metadata_repeat_the_command_that_the_script_gives(path: Path) -> None:
    results, meta = results_of(path), open_trace(path).meta
    words = shlex.split(meta["command"])
    assert words[:2] == ["accelsim", "train"]
    assert words == shlex.split(results["command"])
    asked = shlex.split(runpy.run_path(str(TRACES / "record.py"))["TRACES"][path.stem])
    asked += ["--out", path.stem, "--record", path.name]
    given = options_of(words[2:])
    assert {name: given[name] for name in options_of(asked)} == options_of(asked)
    for name, value in results["config"].items():
        assert given["--" + name.replace("_", "-")] == str(value)
    assert meta["git"] == results["git"]
    assert len(meta["git"]["commit"]) == 40
    assert meta["git"]["changed"] is False


@shipped
def test_a_shipped_trace_is_small_and_has_the_sparsity_of_its_run(path: Path) -> None:
    results, rows, trace = results_of(path), rows_of(path), open_trace(path)
    assert path.stat().st_size < 4_000_000
    pruned = results["sparsity"]["layers"] if results["config"]["sparsity"] else {}
    growth = set(trace.meta.get("training", {}).get("growth_steps", ()))
    weights: dict[int, dict[str, tuple[int, int]]] = {step: {} for step in trace.steps}
    for entry in trace.entries:
        if entry.name in pruned and entry.call == 0:  # the second view may have masks of its own
            weights[entry.step][entry.name] = (entry.masks["weight"].nonzeros, entry.masks["weight"].size)
    assert len(weights) >= 3
    for step, layers in weights.items():
        assert layers.keys() == pruned.keys()
        if pruned:
            online = [counts for name, counts in layers.items() if name.startswith("encoder.")]
            nonzeros, sizes = np.array(online).sum(0)
            # A growth step computes with the masks of the step before: its own come after the backward pass.
            row = rows[step - 1] if step in growth else rows[step]
            assert 1 - nonzeros / sizes == pytest.approx(float(row["sparsity"]), abs=1e-3)
    last = {name: 1 - nonzeros / size for name, (nonzeros, size) in weights[max(weights)].items()}
    for name, share in pruned.items():
        if name.startswith("encoder.") or results["config"]["method"] != "scp":
            assert last[name] == pytest.approx(share, abs=1e-6)
        else:  # a weight that only the momentum encoder may use, and that was never alive online, follows a zero
            assert share - 1e-6 <= last[name] <= share + 0.05


@pytest.mark.parametrize("name", sorted(OLD))
def test_an_old_one_is_old_and_says_why_it_has_no_total(name: str) -> None:
    trace = open_trace(TRACES / f"{name}.pkl")
    assert "training" not in trace.meta
    part = trace.select(layers="encoder.layer4.0.downsample.0", steps=trace.steps[-1:])
    training = simulate(load_hardware(ROOT / "hw_configs" / "pe16x16.yaml"), part, workers=1).training
    assert training["total"] is None
    assert training["notes"]


@knows_its_run
def test_it_knows_its_run_and_each_kind_of_its_steps(path: Path) -> None:
    config, trace = results_of(path)["config"], open_trace(path)
    run = TrainingRun.from_meta(trace.meta)
    assert run is not None
    assert (run.first_step, run.end_step) == (0, config["steps"])
    updates = {update.step for update in run.mask_updates}
    assert bool(updates) == bool(config["sparsity"])
    planned = set(range(trace.meta["start"], config["steps"], trace.meta["every"]))
    grown = set(trace.steps) & set(run.growth_steps)
    grows = bool(config["sparsity"]) and config["method"] in by_gradient
    assert bool(grown) == bool(run.growth_steps) == grows
    assert planned <= set(trace.steps)
    assert grown == set(trace.steps) - planned
    if config["method"] != "sr-ste":  # it updates its masks in every step
        assert not planned & updates


@shipped
def test_the_run_behind_a_shipped_trace_learned(path: Path) -> None:
    results = results_of(path)
    losses = [float(row["loss"]) for row in rows_of(path)]
    assert len(losses) == results["config"]["steps"]
    assert np.mean(losses[-20:]) == pytest.approx(results["loss"]["last_steps"], abs=1e-5)
    if results["config"]["framework"] == "moco":
        # Its first steps tell a key from the random ones the queue starts with, an easier task than any later one: so
        # chance among all keys is what the loss is held against.
        assert results["loss"]["last_steps"] < 0.9 * math.log(results["config"]["queue"] + 1)
    else:
        assert results["loss"]["last_steps"] < 0.8 * results["loss"]["first_steps"]
    assert results["knn_accuracy"]["trained"] > results["knn_accuracy"]["untrained"] + 0.03


@knows_its_run
def test_it_replays_and_adds_up_to_a_whole_training(path: Path) -> None:
    trace = open_trace(path)
    part = trace.select(layers=["*encoder.layer2.0*"])  # a fifth of the layers: all would take a minute
    result = simulate(load_hardware(ROOT / "hw_configs" / "pe16x16.yaml"), part, workers=1)
    by_step = result.steps[result.steps["pass"] == "all passes"]
    assert set(by_step["step"]) == set(trace.steps)
    total = result.training["total"]
    assert total["cycles"] == pytest.approx((by_step["cycles"] * by_step["stands_for"]).sum(), rel=1e-6)
    assert by_step["stands_for"].sum() == pytest.approx(results_of(path)["config"]["steps"])
    assert by_step["speedup"].min() <= total["speedup"] <= by_step["speedup"].max()
    assert total["speedup"] > 1.2
