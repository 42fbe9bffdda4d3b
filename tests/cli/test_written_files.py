"""Whatever a command writes goes through symbolic links, pipes and standard output, and does not replace them."""

from __future__ import annotations

import os
import stat
import subprocess
import sys
import threading
from pathlib import Path

import pytest
from typer.testing import CliRunner

from accelsim import load_hardware, simulate
from accelsim.cli.main import app
from tests.explore.conftest import write_trace

pytestmark = pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="pipes with names")

CONFIG = """
[general]
run_name = x
[architecture_presets]
ArrayHeight: 4
ArrayWidth: 4
IfmapSramSzkB: 8
FilterSramSzkB: 8
OfmapSramSzkB: 8
Dataflow: os
Bandwidth: 10
[run_presets]
InterfaceBandwidth: CALC
"""
MACHINE = "name: small\narray: {rows: 2, cols: 2}\n"
COMMANDS: dict[str, tuple[str, bytes]] = {  # a command with the file as {}, and how the content starts
    "synth": ("synth --network resnet18-cifar --batch 1 --out {}", b"\x80\x04"),
    "import": ("import x.cfg --out {}", b"# From SCALE-Sim"),
    "timeline": ("run --hw hw.yaml --trace a.pkl --workers 1 --timeline {}", b'{"displayTimeUnit"'),
    "action-counts": ("run --hw hw.yaml --trace a.pkl --workers 1 --action-counts {}", b"# Counts by pass"),
    "report": ("report result --out {}", b"<!doctype html>"),
}


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / "x.cfg").write_text(CONFIG)
    (tmp_path / "hw.yaml").write_text(MACHINE)
    write_trace(tmp_path / "a.pkl", layers=1)
    simulate(load_hardware(tmp_path / "hw.yaml"), tmp_path / "a.pkl", workers=1).save(tmp_path / "result")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def invoke(command: str, out: str) -> None:
    done = CliRunner().invoke(app, command.format(out).split(), catch_exceptions=False)
    assert done.exit_code == 0, done.output


@pytest.mark.parametrize("command", COMMANDS)
def test_a_pipe(here: Path, command: str) -> None:
    before = {*os.listdir(here), "pipe"}
    os.mkfifo("pipe")
    found: list[bytes] = []
    reader = threading.Thread(target=lambda: found.append(Path("pipe").read_bytes()), daemon=True)
    reader.start()
    invoke(COMMANDS[command][0], "pipe")
    reader.join(10)
    assert found[0].lower().startswith(COMMANDS[command][1].lower())
    assert stat.S_ISFIFO(os.lstat("pipe").st_mode)
    assert set(os.listdir(here)) == before


@pytest.mark.parametrize("command", COMMANDS)
def test_a_symbolic_link_and_permissions(here: Path, command: str) -> None:
    Path("target").write_text("before")
    Path("target").chmod(0o640)
    Path("link").symlink_to("target")
    before = set(os.listdir(here))
    invoke(COMMANDS[command][0], "link")
    assert Path("link").is_symlink()
    assert Path("target").read_bytes().lower().startswith(COMMANDS[command][1].lower())
    assert stat.S_IMODE(os.stat("target").st_mode) == 0o640
    assert set(os.listdir(here)) == before


@pytest.mark.skipif(not Path("/dev/stdout").exists(), reason="has no such name")
@pytest.mark.parametrize("command", ["import", "report"])
def test_standard_output_holds_the_file_alone(here: Path, command: str) -> None:
    words = COMMANDS[command][0].format("/dev/stdout").split()
    with Path("out").open("wb") as out:
        done = subprocess.run(
            [sys.executable, "-m", "accelsim", *words], stdout=out, stderr=subprocess.PIPE, check=False, text=True
        )
    assert done.returncode == 0, done.stderr
    assert "/dev/stdout" in done.stderr
    invoke(COMMANDS[command][0], "file")
    assert Path("out").read_bytes() == Path("file").read_bytes()


@pytest.mark.parametrize("command", COMMANDS)
@pytest.mark.parametrize(("out", "why"), [("missing/x", "No such file or directory"), (".", "Is a directory")])
def test_what_cannot_be_written_is_one_sentence(here: Path, command: str, out: str, why: str) -> None:
    before = set(os.listdir(here))
    with pytest.raises(ValueError, match=rf"cannot be written: {why}") as refused:
        invoke(COMMANDS[command][0], out)
    assert "\n" not in str(refused.value)
    assert set(os.listdir(here)) == before
