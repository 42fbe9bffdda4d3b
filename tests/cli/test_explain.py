"""`accelsim explain` as its user sees it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from accelsim import OpTrace, TraceWriter, load_hardware, simulate

pytestmark = pytest.mark.smoke
CONFIGS = Path(__file__).parents[2] / "hw_configs"


def explain(*arguments: object) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "accelsim", "explain", *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, check=False, env=os.environ | {"COLUMNS": "80"})


@pytest.fixture(scope="module")
def trace(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("trace") / "run.pkl"
    rng = np.random.default_rng(0)
    with TraceWriter(path) as writer:
        for step in (0, 5):
            for name in ("stem[0]", "layer1.0.conv1"):
                for call in (0, 1):
                    writer.write(
                        OpTrace(
                            name=name,
                            step=step,
                            call=call,
                            weight=rng.random((8, 4, 3, 3)) < 0.3,
                            input=rng.random((2, 4, 6, 6)) < 0.5,
                            grad_output=np.ones((2, 8, 6, 6)),
                            padding=(1, 1),
                            needs_input_grad=name == "layer1.0.conv1",
                        )
                    )
    return path


def test_tells_the_last_step_of_every_pass(trace: Path) -> None:
    done = explain("--hw", CONFIGS / "pe16x16.yaml", "--trace", trace, "--layer", "layer1.0.conv1")
    assert done.returncode == 0, done.stderr
    for words in (
        "step 5, call 0",
        "forward:",
        "input_grad:",
        "weight_grad:",
        "1 row tiles × 5 column tiles × ceil(36",
    ):
        assert words in done.stdout
    assert max(map(len, done.stdout.splitlines())) <= 80


@pytest.mark.parametrize("config", ["dense16x16", "pe16x16", "systolic16x16", "tensordash16x16"])
def test_prints_the_numbers_of_run_as_json(trace: Path, config: str) -> None:
    hw = CONFIGS / f"{config}.yaml"
    where = ("--layer", "layer1.0.conv1", "--pass", "input_grad", "--step", 0, "--call", 1)
    done = explain("--hw", hw, "--trace", trace, *where, "--json")
    assert done.returncode == 0, done.stderr
    (part,) = json.loads(done.stdout)["passes"]
    rows = simulate(load_hardware(hw), trace).layers
    rows = rows[(rows["layer"] == "layer1.0.conv1") & (rows["step"] == 0) & (rows["call"] == 1)]
    (cycles,) = rows[rows["pass"] == "input_grad"]["cycles"]
    assert part["memory"]["cycles"] == cycles


@pytest.mark.parametrize(
    ("where", "words"),
    [
        (("--layer", "layer1.0.conv2"), "no layer 'layer1.0.conv2', did you mean 'layer1.0.conv1'?"),
        (("--layer", "*"), "'*' stands for 2 layers, name one, e.g. 'stem[0]'"),
        (("--layer", "stem[0]", "--pass", "input_grad"), "did not run input_grad, it ran forward, weight_grad"),
        (("--layer", "stem[0]", "--step", 4), "no step 4, it has 0, 5"),
        (("--layer", "stem[0]", "--call", 3), "stem[0], step 5 has no call 3, it has 0, 1"),
    ],
)
def test_a_slip_gets_one_sentence(trace: Path, where: tuple[object, ...], words: str) -> None:
    done = explain("--hw", CONFIGS / "pe16x16.yaml", "--trace", trace, *where)
    assert (done.returncode, done.stdout) == (2, "")
    assert words in done.stderr
    assert len(done.stderr.splitlines()) == 1
