"""A machine file of an earlier version is told what its silence means now."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner

from accelsim.cli.machine import read_machine
from accelsim.cli.main import app
from accelsim.cli.sweep import read_space

ARRAY = "name: m\narray: {rows: 2, cols: 2%s}\n"
PORTS = "memory: {buffers: {weight_words_per_cycle: %s, input_words_per_cycle: %s}}\n"


@pytest.mark.parametrize(
    ("text", "named"),
    [
        (ARRAY % "", ["array.drain", "words_per_cycle"]),
        (ARRAY % ", drain: free", ["words_per_cycle"]),
        (ARRAY % "" + PORTS % ("null", "null"), ["array.drain"]),
        (ARRAY % ", drain: overlapped" + PORTS % ("window", "8"), []),
        (ARRAY % ", interconnect: systolic", []),
        (ARRAY % ", interconnect: systolic" + "memory: {dram: {bytes_per_cycle: 8}}\n", ["memory.dram.kind"]),
        (ARRAY % ", interconnect: systolic" + "memory: {dram: {bytes_per_cycle: 8, kind: ddr3}}\n", []),
    ],
)
def test_silence_is_explained(text: str, named: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "m.yaml"
    path.write_text(text)
    read_machine(path)
    said = capsys.readouterr().err
    assert said.count("\n") == bool(named)
    assert all(f" {name}" in said or f"*_{name}" in said for name in named)


@pytest.mark.parametrize(
    ("swept", "named"),
    [
        ("array.rows: [1, 2]", "array.drain and memory.buffers.*_words_per_cycle"),
        ("array.drain: [free, exposed]", "memory.buffers.*_words_per_cycle"),
        ("memory.buffers: [{weight_words_per_cycle: 8}, {}]", "array.drain"),
    ],
)
def test_a_space_is_told_what_neither_it_nor_its_machine_says(
    swept: str, named: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "m.yaml").write_text(ARRAY % "")
    (tmp_path / "t.pkl").touch()
    (tmp_path / "space.yaml").write_text(f"hw: m.yaml\ntraces: [t.pkl]\nspace: {{{swept}}}\n")
    read_space(tmp_path / "space.yaml", skip_invalid=False)
    said = capsys.readouterr().err
    assert said.startswith(f"{tmp_path / 'm.yaml'} leaves {named} open: ")
    assert said.count("\n") == 1


@pytest.mark.parametrize(
    ("command", "arguments"),
    [
        ("run", ["--trace", "none.pkl"]),
        ("explain", ["--trace", "none.pkl", "--layer", "x"]),
        pytest.param(
            "validate rtl",
            ["--cases", "0", "--trace", "none.pkl"],
            marks=pytest.mark.skipif(shutil.which("verilator") is None, reason="needs Verilator"),
        ),
    ],
)
def test_every_command_that_reads_a_machine_says_it(command: str, arguments: list[str], tmp_path: Path) -> None:
    """They end at a trace that is not there, after the machine has been read."""
    (tmp_path / "m.yaml").write_text(ARRAY % "")
    done = CliRunner().invoke(app, [*command.split(), "--hw", str(tmp_path / "m.yaml"), *arguments])
    assert "leaves array.drain and memory.buffers.*_words_per_cycle open" in " ".join(done.stderr.split())


@pytest.mark.skipif(os.name != "posix", reason="needs a terminal")
def test_profile_says_it_in_a_terminal_only(tmp_path: Path) -> None:
    """Without one a script's standard error is its own; tests/live/test_script.py holds it."""
    (tmp_path / "m.yaml").write_text(ARRAY % "")
    controller, terminal = os.openpty()
    command = [sys.executable, "-m", "accelsim", "profile", "--hw", tmp_path / "m.yaml", tmp_path / "none.py"]
    subprocess.run(command, stderr=terminal, check=False)
    os.close(terminal)
    said = os.read(controller, 1 << 16).decode()
    os.close(controller)
    assert "leaves array.drain and memory.buffers.*_words_per_cycle open" in said


def test_null_is_the_former_spelling_of_unlimited(tmp_path: Path) -> None:
    (tmp_path / "m.yaml").write_text(ARRAY % "" + PORTS % ("null", "unlimited"))
    buffers = read_machine(tmp_path / "m.yaml").memory.buffers
    assert buffers.weight_words_per_cycle == buffers.input_words_per_cycle == "unlimited"
