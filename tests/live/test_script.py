"""A profiled script is what it was, and its training is simulated."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest
import yaml

from tests.live.loops import HARDWARE

ROOT = Path(__file__).parents[2]
SCRIPT = """\
import sys
import warnings

import torch
from helper import network, train

print("started", sys.argv[1:], __name__)
sys.stderr.write("to stderr\\n")
print(train(network(), int(sys.argv[1])))
if len(sys.argv) > 2:
    sys.exit(eval(sys.argv[2]))
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A script, its helper module beside it, and a machine."""
    (tmp_path / "train.py").write_text(SCRIPT)
    (tmp_path / "helper.py").write_text((ROOT / "tests" / "live" / "loops.py").read_text())
    (tmp_path / "hw.yaml").write_text(yaml.safe_dump(HARDWARE))
    return tmp_path


def python(*arguments: object) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, *map(str, arguments)], capture_output=True, text=True, check=False, cwd=ROOT)


def profile(folder: Path, *arguments: object, every: int = 2) -> subprocess.CompletedProcess[str]:
    options = ["--hw", folder / "hw.yaml", "--every", every, "--out", folder / "out"]
    return python("-m", "accelsim", "profile", *options, folder / "train.py", *arguments)


def test_output_is_unchanged_and_results_are_written(folder: Path) -> None:
    alone, profiled = python(folder / "train.py", 6), profile(folder, 6)
    assert (profiled.stdout, profiled.stderr, profiled.returncode) == (alone.stdout, alone.stderr, 0)
    layers = pd.read_csv(folder / "out" / "layers.csv")
    summary = json.loads((folder / "out" / "summary.json").read_text())
    skipped = summary["trace"]["meta"]["skipped_steps"]
    assert set(layers["step"]) <= {1, 3, 5}
    assert layers["step"].nunique() + skipped == 3
    assert set(layers["layer"].astype(str)) == {"0", "2", "5"}
    assert summary["trace"]["meta"]["model"] == "Sequential"


@pytest.mark.parametrize("ending", ["0", "7", "None", "'no more'", "1 / 0"])
def test_exit_code_and_traceback_are_the_scripts(folder: Path, ending: str) -> None:
    alone, profiled = python(folder / "train.py", 3, ending), profile(folder, 3, ending)
    assert profiled.returncode == alone.returncode
    assert profiled.stdout == alone.stdout
    assert profiled.stderr == alone.stderr


def test_options_behind_the_script_are_its_own(folder: Path) -> None:
    (folder / "train.py").write_text("import sys; print(sys.argv[1:])")
    done = profile(folder, "--every", "3", "--flag")
    assert done.stdout == "['--every', '3', '--flag']\n"
    assert done.stderr == "accelsim: no optimizer of PyTorch made a step after a module ran: nothing was simulated\n"
    assert done.returncode == 0


def test_bad_input_is_one_sentence(folder: Path) -> None:
    done = python("-m", "accelsim", "profile", "--hw", folder / "hw.yaml", folder / "none.py")
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith("accelsim: ")
    assert len(done.stderr.splitlines()) == 1
