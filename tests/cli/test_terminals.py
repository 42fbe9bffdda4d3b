"""Every command prints on every terminal, whatever stands in the files that it shows."""

from __future__ import annotations

import io
import os
import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest

from accelsim import TraceWriter
from accelsim.cli.main import main
from tests.test_pipeline import layer, small

STEERING = "$\\x$\x1b[2J\x1b]0;owned\x07 \x9b31m[red]層 × µ\r\u202e"
NAMES = ("stem", STEERING)
COMMANDS = {
    "inspect": "inspect run.pkl --check",
    "run": "run --hw hw.yaml --trace run.pkl --out [out] --vector-work --workers 1 --timeline t.json",
    "run, sampled": "run --hw hw.yaml --trace run.pkl --sample 0.5 --workers 1",
    "run, JSON": "run --hw hw.yaml --trace run.pkl --workers 1 --json",
    "inspect, JSON": "inspect run.pkl --json",
    "explain": f"explain --hw hw.yaml --trace run.pkl --layer {STEERING}",
    "compare": "compare saved saved",
    "compare, JSON": "compare saved saved --json",
    "plot": "plot layers saved --out figure.svg",
    "report": "report saved --out report.html",
    "synth": "synth --network resnet18-cifar --batch 1 --out synth.pkl",
    "search": "search space.yaml --out searched --workers 1 --budget 2",
    "sweep": "sweep space.yaml --out swept --workers 1",
    "validate": "validate scalesim --layer fc --no-measure",
    "help": "run --help",
    "an error": f"inspect run.pkl --layer {STEERING}x",
    "an error that names a layer": "run --hw hw.yaml --trace broken.pkl --workers 1",
}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    base = tmp_path_factory.mktemp("terminal")
    meta = {"command": STEERING, STEERING: STEERING, "unlowered": {STEERING: {"count": 1, "reason": STEERING}}}
    with TraceWriter(base / "run.pkl", meta) as writer:
        for step in (0, 5):
            for name in NAMES:
                writer.write(layer(name, step=step))
    machine = small(name="[red]µ").model_dump_json()
    (base / "hw.yaml").write_text(machine, encoding="utf-8")
    (base / "space.yaml").write_text("hw: hw.yaml\ntraces: [run.pkl]\nspace: {array.rows: [4, 8]}\n")
    data = bytearray((base / "run.pkl").read_bytes())
    data[len(data) // 2] ^= 1
    (base / "broken.pkl").write_bytes(data)
    return base


@pytest.fixture(scope="module")
def saved(folder: Path) -> Path:
    from accelsim import load_hardware, simulate

    simulate(load_hardware(folder / "hw.yaml"), folder / "run.pkl", workers=1).save(folder / "saved")
    return folder


def _words(command: str) -> list[str]:
    before, steering, after = command.partition(STEERING)
    return [*before.split(), *([steering + after] if steering else [])]


@pytest.mark.parametrize("encoding", ["utf-8", "cp1252", "ascii", "latin-1"])
@pytest.mark.parametrize("name", COMMANDS)
def test_no_text_of_a_file_steers_or_stops_a_terminal(
    saved: Path, name: str, encoding: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(saved)
    monkeypatch.setattr(sys, "argv", ["accelsim", *_words(COMMANDS[name])])
    streams = [io.TextIOWrapper(io.BytesIO(), encoding=encoding, errors="strict") for _ in range(2)]
    monkeypatch.setattr(sys, "stdout", streams[0])
    monkeypatch.setattr(sys, "stderr", streams[1])
    with pytest.raises(SystemExit) as ended:
        main()
    shown = ""
    for stream in streams:
        stream.flush()
        shown += stream.buffer.getvalue().decode(encoding, errors="replace")  # type: ignore[attr-defined]
    assert ended.value.code in ((2,) if "error" in name else (0, None)), shown
    assert all(letter in "\n\t" or letter.isprintable() for letter in shown)
    if name in ("inspect", "run", "explain", "compare"):
        assert "[red]" in shown.replace("\n", "")
        assert r"\x1b[2J" in shown


def test_files_are_utf_8_on_any_terminal(saved: Path) -> None:
    environment = {**os.environ, "LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0", "COLUMNS": "200"}
    environment.pop("PYTHONIOENCODING", None)
    words = ["run", "--hw", "hw.yaml", "--trace", "run.pkl", "--out", "in_c", "--workers", "1", "--timeline", "t.json"]
    command = [sys.executable, "-m", "accelsim", *words]
    done = subprocess.run(command, cwd=saved, capture_output=True, env=environment, check=False)
    assert done.returncode == 0, done.stderr
    assert b"x cycles" in done.stdout  # PEs × lanes × cycles
    for name in ("in_c/layers.csv", "in_c/training.csv", "in_c/summary.json", "t.json"):
        assert (saved / name).read_bytes().decode("utf-8")
    assert pd.read_csv(saved / "in_c" / "layers.csv", encoding="utf-8")["layer"].unique().tolist() == list(NAMES)
