"""`accelsim synth` as its user sees it."""

from __future__ import annotations

import shlex
import subprocess
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner

from accelsim import open_trace
from accelsim.cli.main import app
from accelsim.errors import AccelsimError

SMALL = "Layer, IFMAP Height, IFMAP Width, Filter Height, Filter Width, Channels, Num Filter, Strides,\n" + (
    "stem,10,10,3,3,3,16,1,\nconv,10,10,3,3,16,16,1,\nlast,10,10,3,3,16,16,2,\n"
)


@pytest.fixture
def topology(tmp_path: Path) -> Path:
    path = tmp_path / "small.csv"
    path.write_text(SMALL, encoding="utf-8")
    return path


def synth(*arguments: object):
    return CliRunner().invoke(app, ["synth", *map(str, arguments)], env={"COLUMNS": "120"})


@pytest.mark.smoke
def test_a_topology_becomes_a_trace_that_runs(topology: Path, tmp_path: Path) -> None:
    out = tmp_path / "made.pkl"
    command = [sys.executable, "-m", "accelsim"]
    options = ["--weight-density", "0.25", "--activation-density", "0.5", "--batch", "2", "--pattern", "1x4"]
    done = subprocess.run(
        [*command, "synth", "--topology", topology, *options, "--out", out], capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith(f"Written: {out}, 3 operations, 0.0004654 G")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["made.pkl", "small.csv"]
    hw = Path(__file__).parents[2] / "hw_configs" / "pe16x16.yaml"
    run = subprocess.run([*command, "run", "--hw", hw, "--trace", out], capture_output=True, text=True, check=False)
    assert run.returncode == 0, run.stderr


def test_the_command_in_the_metadata_writes_it_again(topology: Path, tmp_path: Path, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("d.csv").write_text("layer,weight\nstem,1\n", encoding="utf-8")
    options = ["--no-relu", "--dense-weight-grad", "--no-data-layer", "--densities", "d.csv", "--seed", "3"]
    options += ["--activation-clustering", "0.5", "--activation-density", "0.5"]
    assert synth("--topology", topology, *options, "--weight-density", 0.5, "--out", "a.pkl").exit_code == 0
    first = open_trace("a.pkl")
    assert first.meta["network"] == "small.csv"
    assert first.meta["densities"] == [{"layer": "stem", "weight": 1.0}]
    words = shlex.split(first.meta["command"])
    assert words[:2] == ["accelsim", "synth"]
    before = [op.masks for op in first]
    Path("a.pkl").unlink()
    assert CliRunner().invoke(app, words[1:]).exit_code == 0
    again = open_trace("a.pkl")
    assert [op.masks for op in again] == before
    assert again.meta == first.meta
    assert [entry.needs_input_grad for entry in again.entries] == [True] * 3
    assert set(before[1]) == {"weight", "input", "grad_output"}


def test_like_a_trace(topology: Path, tmp_path: Path) -> None:
    recorded, out = tmp_path / "recorded.pkl", tmp_path / "out.pkl"
    assert synth("--topology", topology, "--activation-density", 0.4, "--out", recorded).exit_code == 0
    done = synth("--like", recorded, "--step", 0, "--seed", 1, "--out", out)
    assert done.exit_code == 0
    assert done.stderr.splitlines() == [
        f"Left out of {recorded}:",
        "  where zeros lie: they are drawn at random, by density and pattern",
    ]
    theirs, mine = open_trace(recorded), open_trace(out)
    assert mine.meta["network"] == "recorded.pkl"
    assert len(mine) == 3
    for ours, other in zip(mine.entries, theirs.entries, strict=True):
        assert {name: mask.nonzeros for name, mask in ours.masks.items()} == {
            name: mask.nonzeros for name, mask in other.masks.items()
        }


def test_a_likeness_says_that_it_has_no_run(tmp_path: Path) -> None:
    shipped = Path(__file__).parents[2] / "traces" / "simclr_gmp_channel.pkl"
    assert "training" in open_trace(shipped).meta
    done = synth("--like", shipped, "--step", 25, "--out", tmp_path / "out.pkl")
    assert "  the run: its length, growth steps and mask updates" in done.stderr
    assert "training" not in open_trace(tmp_path / "out.pkl").meta


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ([], "say what to make up by one of --network, --topology and --like"),
        (["--network", "resnet18", "--topology", "x.csv"], "say what to make up by one of"),
        (["--network", "resnet9"], "unknown network 'resnet9'"),
        (["--network", "resnet18", "--step", "3"], "--step chooses recorded steps"),
        (["--network", "resnet18", "--no-data-layer"], "--no-data-layer speaks of a topology's first layer"),
        (["--network", "resnet18", "--weight-density", "-1"], "weight density is -1"),
        (["--like", "missing.pkl"], "no such file"),
    ],
)
def test_bad_input_is_one_sentence(arguments: list[str], words: str, tmp_path: Path) -> None:
    out = tmp_path / "out.pkl"
    result = synth(*arguments, "--out", out)
    assert isinstance(result.exception, AccelsimError)
    assert words in str(result.exception)
    assert "\n" not in str(result.exception)
    assert not list(tmp_path.iterdir())


def test_a_folder_that_is_not_there(topology: Path, tmp_path: Path) -> None:
    result = synth("--topology", topology, "--out", tmp_path / "missing" / "out.pkl")
    assert isinstance(result.exception, AccelsimError)
    assert "cannot be written" in str(result.exception)


def test_what_was_there_stays_when_writing_fails(topology: Path, tmp_path: Path, monkeypatch) -> None:
    out = tmp_path / "out.pkl"
    out.write_bytes(b"before")

    def refuse(self, op):
        raise AccelsimError("disk full")

    monkeypatch.setattr("accelsim.trace.writer.TraceWriter.write", refuse)
    assert isinstance(synth("--topology", topology, "--out", out).exception, AccelsimError)
    assert out.read_bytes() == b"before"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["out.pkl", "small.csv"]
