"""A command whose extra is not installed says so in one sentence, with the command that installs it."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from accelsim import TraceWriter
from tests.trace.operations import small_op

CONFIG = str(Path(__file__).parents[2] / "hw_configs" / "edge8x8.yaml")
PROGRAM = """
import sys
from importlib.abc import MetaPathFinder

missing = sys.argv.pop(1)

class Without(MetaPathFinder):
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] == missing:
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)

sys.meta_path.insert(0, Without())
from accelsim.cli.main import main
main()
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A trace, a space and a script that the commands name."""
    base = tmp_path_factory.mktemp("missing")
    with TraceWriter(base / "run.pkl") as writer:
        writer.write(small_op())
    (base / "space.yaml").write_text(f"hw: {CONFIG}\ntraces: [run.pkl]\nspace: {{array.rows: [8, 16]}}\n")
    (base / "loop.py").write_text("print('never')\n")
    (base / "sweep.parquet").write_bytes(b"")
    return base


@pytest.mark.parametrize(
    ("missing", "extra", "words"),
    [
        ("torch", "trace", f"profile --hw {CONFIG} loop.py"),
        ("torch", "train", "train --out out"),
        ("skimage", "train", "train --out out"),
        ("matplotlib", "train", "train --out out"),
        ("pyarrow", "explore", "plot pareto sweep.parquet --out figure.svg"),
        ("pyarrow", "explore", "report sweep.parquet --out report.html"),
        ("pyarrow", "explore", "sweep space.yaml --out out"),
        ("pyarrow", "explore", "search space.yaml --out out"),
        ("optuna", "explore", "search space.yaml --out out --method tpe"),
        ("distributed", "cluster", "sweep space.yaml --out out --scheduler tcp://localhost:1"),
    ],
)
def test_one_sentence_says_what_to_install(folder: Path, missing: str, extra: str, words: str) -> None:
    command = [sys.executable, "-c", PROGRAM, missing, *words.split()]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith("accelsim: ")
    assert done.stderr.endswith(f": pip install 'accelsim[{extra}]'\n")
    assert len(done.stderr.splitlines()) == 1


@pytest.mark.parametrize("missing", ["torch", "matplotlib", "jinja2", "pyarrow", "optuna", "distributed", "skimage"])
def test_inspect_needs_none_of_them(folder: Path, missing: str) -> None:
    command = [sys.executable, "-c", PROGRAM, missing, "inspect", "run.pkl"]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
