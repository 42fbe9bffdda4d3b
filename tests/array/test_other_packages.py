"""A kind of PE from another package: CONTRIBUTING's example, installed by pip as a distribution of one file."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PYPROJECT = """\
[build-system]
requires = ["setuptools"]
build-backend = "setuptools.build_meta"

[project]
name = "serial-pe"
version = "1"

[project.entry-points."accelsim.pe"]
serial = "serial_pe:SerialPE"
broken = "serial_pe:Nothing"

[tool.setuptools]
py-modules = ["serial_pe"]
"""
USE = """\
import numpy as np
from accelsim import Hardware, OpTrace, simulate
from accelsim.hardware.load import load_hardware

hw = load_hardware("serial.yaml")
assert hw == Hardware.model_validate(hw.model_dump(mode="json"))
op = OpTrace(name="fc", step=0, weight=np.ones((3, 10)), input=np.ones((5, 10)))
row = simulate(hw, [op], workers=1).layers.iloc[0]
slots = sum(row[name] for name in row.index if name.startswith("slots_"))
print(row["array_cycles"], row["dense_array_cycles"], slots - 4 * 2 * row["array_cycles"])
"""


def example() -> str:
    """The code of CONTRIBUTING's page on adding a kind of PE."""
    page = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8").split("## Adding a kind of PE")[1]
    return page.split("```python\n")[1].split("```")[0]


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder into which the package was installed."""
    project, target = tmp_path_factory.mktemp("serial_pe"), tmp_path_factory.mktemp("site")
    (project / "pyproject.toml").write_text(PYPROJECT)
    (project / "serial_pe.py").write_text(example())
    install = [sys.executable, "-m", "pip", "install", "-q", "--no-deps", "--no-build-isolation", "-t", target, project]
    subprocess.run(install, check=True, capture_output=True, text=True)
    return target


def run(site: Path, folder: Path, *words: str) -> subprocess.CompletedProcess[str]:
    path = {"PYTHONPATH": f"{site}:{ROOT}", "PATH": "/usr/bin:/bin", "OMP_NUM_THREADS": "1"}
    return subprocess.run([sys.executable, *words], check=False, cwd=folder, env=path, capture_output=True, text=True)


def test_it_is_found_timed_and_compared_with_dense_pes(site: Path, tmp_path: Path) -> None:
    (tmp_path / "serial.yaml").write_text("name: s\narray: {rows: 2, cols: 4}\nskipping: {kind: serial, bits: 3}\n")
    done = run(site, tmp_path, "-c", USE)
    assert done.returncode == 0, done.stderr
    tiles = 2 * 2
    assert done.stdout.split() == [str(tiles * 10 * 3), str(tiles * 10), "0"]


@pytest.mark.parametrize(
    ("skipping", "sentence"),
    [
        ("{kind: serial, bits: 0}", "key 'skipping.bits' is 0, expected at least 1"),
        ("{kind: serial, bit: 3}", "key 'skipping.bit' is unknown, did you mean 'bits'?"),
        ("{kind: seriell}", "key 'skipping.kind' is the text 'seriell', expected 'dense', 'scanning', 'inner_join',"),
        ("{kind: broken}", "the PE kind 'broken' (serial_pe:Nothing) cannot be loaded: AttributeError"),
    ],
)
def test_what_it_cannot_be_is_said_in_a_sentence(site: Path, tmp_path: Path, skipping: str, sentence: str) -> None:
    (tmp_path / "hw.yaml").write_text(f"name: s\narray: {{rows: 2, cols: 4}}\nskipping: {skipping}\n")
    done = run(site, tmp_path, "-m", "accelsim", "run", "--hw", "hw.yaml", "--trace", "none.pkl")
    assert done.returncode == 2
    assert sentence in done.stderr
    assert "Traceback" not in done.stderr
