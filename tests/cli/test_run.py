"""`accelsim run` as its user sees it."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import yaml

from accelsim import OpTrace, TraceWriter, load_result, open_trace

CONFIG = Path(__file__).parents[2] / "hw_configs" / "pe16x16.yaml"
COLUMNS = {
    *("step", "layer", "call", "pass", "m", "n", "k", "macs", "effectual_macs", "cycles", "array_cycles"),
    *("dense_cycles", "speedup", "slots_effectual", "slots_ineffectual", "slots_edge", "slots_barrier"),
    *("slots_sync", "slots_starved", "slots_memory", "dram_bytes", "energy_pj", "dense_energy_pj"),
}


def accelsim(*arguments: object) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "accelsim", *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, check=False)


@pytest.fixture(scope="module")
def trace(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("trace") / "run.pkl"
    rng = np.random.default_rng(0)
    with TraceWriter(path, meta={"unlowered": {"attention": {"count": 1, "macs": 10, "reason": "fused"}}}) as writer:
        for step in (0, 5):
            for name in ("stem", "layer1.0.conv1"):
                writer.write(
                    OpTrace(
                        name=name,
                        step=step,
                        weight=rng.random((8, 4, 3, 3)) < 0.3,
                        input=rng.random((2, 4, 6, 6)) < 0.5,
                        grad_output=np.ones((2, 8, 6, 6)),
                        padding=(1, 1),
                        needs_input_grad=name != "stem",
                    )
                )
    return path


@pytest.mark.smoke
def test_writes_tables_and_files(trace: Path, tmp_path: Path) -> None:
    done = accelsim("run", "--hw", CONFIG, "--trace", trace, "--out", tmp_path / "out")
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""  # no progress bar without a terminal
    for words in ("layer1.0.conv1", "weight_grad", "Totals by step", "Where the slots went", "attention"):
        assert words in done.stdout
    layers = pd.read_csv(tmp_path / "out" / "layers.csv")
    assert set(layers.columns) >= COLUMNS
    assert len(layers) == 2 * (2 + 3)
    summary = json.loads((tmp_path / "out" / "summary.json").read_text())
    between = summary["other_work"]["total"]["cycles"]
    assert between > 0
    assert summary["total"]["cycles"] == layers["cycles"].sum() + between
    speedup = (layers["dense_cycles"].sum() + between) / (layers["cycles"].sum() + between)
    assert summary["total"]["speedup"] == pytest.approx(speedup)
    assert summary["hardware"]["name"] == "pe16x16"
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == [
        "layers.csv",
        "speedup_over_training.png",
        "speedup_over_training.svg",
        "summary.json",
        "training.csv",
    ]
    assert "No whole training: the trace does not say" in done.stdout
    assert summary["training"]["total"] is None


def test_other_work_is_there_unless_it_is_left_out(trace: Path) -> None:
    runs = [
        accelsim("run", "--hw", CONFIG, "--trace", trace, "--json", *flag)
        for flag in ((), ("--vector-work",), ("--no-vector-work",))
    ]
    assert [run.returncode for run in runs] == [0, 0, 0], runs[0].stderr
    plain, asked, without = (json.loads(run.stdout)["summary"] for run in runs)
    assert plain == asked
    assert list(plain["other_work"]["by_kind"]) == ["norm", "activation", "optimizer"]
    assert without["other_work"]["by_kind"] == {}
    assert without["by_pass"] == plain["by_pass"]
    assert 1 < plain["total"]["speedup"] < without["total"]["speedup"]


@pytest.mark.smoke
def test_a_whole_training(trace: Path, tmp_path: Path) -> None:
    done = accelsim("run", "--hw", CONFIG, "--trace", trace, "--run-steps", 8, "--out", tmp_path / "out")
    assert done.returncode == 0, done.stderr
    assert "Whole training, 8 steps" in done.stdout
    training = json.loads((tmp_path / "out" / "summary.json").read_text())["training"]
    steps = pd.read_csv(tmp_path / "out" / "training.csv")
    whole = steps[steps["pass"] == "all passes"]
    assert training["total"]["cycles"] == pytest.approx((whole["stands_for"] * whole["cycles"]).sum(), abs=1)


def test_one_step_has_no_course_to_draw(trace: Path, tmp_path: Path) -> None:
    done = accelsim("run", "--hw", CONFIG, "--trace", trace, "--step", 5, "--run-steps", 8, "--out", tmp_path)
    assert done.returncode == 0, done.stderr
    assert "1 recorded step of 8 does not show its course" in done.stdout.replace("\n", " ")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["layers.csv", "summary.json", "training.csv"]


def test_without_matplotlib_one_sentence_says_so(trace: Path, tmp_path: Path) -> None:
    """`find_spec` answers None for a module that is None in `sys.modules`."""
    code = "import sys; sys.modules['matplotlib'] = None\nfrom accelsim.cli.main import main\nmain()"
    words = ["run", "--hw", str(CONFIG), "--trace", str(trace), "--out", str(tmp_path)]
    done = subprocess.run([sys.executable, "-c", code, *words], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stderr == "No figure of the speedup over training: pip install 'accelsim[plot]'.\n"
    assert not (tmp_path / "speedup_over_training.png").exists()


@pytest.mark.smoke
def test_filters_and_json(trace: Path) -> None:
    options = ("--layer", "layer1.*", "--step", 5, "--pass", "input_grad", "--pass", "forward", "--json")
    done = accelsim("run", "--hw", CONFIG, "--trace", trace, *options)
    rows = json.loads(done.stdout)["layers"]
    assert [(row["step"], row["layer"], row["pass"]) for row in rows] == [
        (5, "layer1.0.conv1", "forward"),
        (5, "layer1.0.conv1", "input_grad"),
    ]


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (("--hw", CONFIG, "--trace", "missing.pkl"), "missing.pkl: there is no such file"),
        (("--hw", "missing.yaml", "--trace", "TRACE"), "missing.yaml"),
        (("--hw", CONFIG, "--trace", CONFIG), "pe16x16.yaml"),
        (("--hw", CONFIG, "--trace", "TRACE", "--layer", "layer1.0.conv"), "layer1.0.conv1"),
        (("--hw", CONFIG, "--trace", "TRACE", "--step", "4"), "no step 4"),
        (("--hw", CONFIG, "--trace", "TRACE", "--run-steps", "5"), "expected at least the 6 of the trace"),
        (("--hw", "BAD", "--trace", "TRACE"), "rows"),
        (("--hw", CONFIG, "--trace", "TRACE", "--out", "/dev/null/out"), "/dev/null/out"),
    ],
)
def test_bad_input_is_one_sentence(trace: Path, tmp_path: Path, arguments: tuple[object, ...], sentence: str) -> None:
    bad = tmp_path / "bad.yaml"
    bad.write_text(CONFIG.read_text().replace("rows:", "rowz:"))
    done = accelsim("run", *({"TRACE": trace, "BAD": bad}.get(word, word) for word in arguments))  # type: ignore[arg-type]
    assert done.returncode == 2
    assert sentence in done.stderr
    assert "Traceback" not in done.stderr
    assert len(done.stderr.splitlines()) == 1


def test_help_needs_no_heavy_import() -> None:
    code = (
        "import sys, accelsim.cli.main as m\n"
        "heavy = {'torch', 'numba', 'pandas', 'matplotlib', 'simpy', 'numpy', 'pydantic'} & set(sys.modules)\n"
        "sys.exit(', '.join(heavy) or 0)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


@pytest.mark.smoke
def test_writes_a_timeline_and_action_counts(trace: Path, tmp_path: Path) -> None:
    timeline, counts = tmp_path / "t.json", tmp_path / "c.yaml"
    done = accelsim(
        *("run", "--hw", CONFIG, "--trace", trace, "--timeline", timeline, "--action-counts", counts, "--json")
    )
    assert done.returncode == 0, done.stderr
    by_pass = json.loads(done.stdout)["summary"]["by_pass"].values()
    events = json.loads(timeline.read_text())["traceEvents"]
    assert events[-1]["ts"] == pytest.approx(sum(one["seconds"] for one in by_pass) * 1e6)
    written = yaml.safe_load(counts.read_text())
    assert sum(one["energy_pj"] for one in written["passes"]) == pytest.approx(sum(one["energy_pj"] for one in by_pass))


def test_a_timeline_needs_every_tile(trace: Path, tmp_path: Path) -> None:
    path = tmp_path / "t.json"
    done = accelsim("run", "--hw", CONFIG, "--trace", trace, "--timeline", path, "--sample", "0.5")
    assert done.returncode == 2
    assert done.stderr == "accelsim: --timeline needs every tile: leave --sample away\n"
    assert not path.exists()


def test_traces_of_other_runs_are_simulated_one_by_one(trace: Path, tmp_path: Path) -> None:
    other = tmp_path / "other.pkl"
    with TraceWriter(other, meta={"model": "other"}) as writer:
        for op in open_trace(trace):
            writer.write(op)
    named = tmp_path / "named.pkl"
    with TraceWriter(named, meta={"model": "net"}) as writer:
        for op in open_trace(trace):
            writer.write(op)
    both = ("run", "--hw", CONFIG, "--trace", named, "--trace", other)
    done = accelsim(*both, "--out", tmp_path / "out")
    assert done.returncode == 0, done.stderr
    assert "differ in model (net, other): each is simulated by itself." in done.stderr
    for path in (named, other):
        assert done.stdout.splitlines().count(str(path)) == 1
    alone = json.loads(accelsim("run", "--hw", CONFIG, "--trace", other, "--json").stdout)
    runs = json.loads(accelsim(*both, "--json").stdout)["runs"]
    assert runs[1] == alone
    for number, name in enumerate(("named", "other")):
        assert load_result(tmp_path / "out" / f"{number}-{name}").summary == runs[number]["summary"]
    refused = accelsim(*both, "--run-steps", "600")
    assert refused.returncode == 2
    assert refused.stderr.startswith("accelsim: --run-steps is about one run, but ")
