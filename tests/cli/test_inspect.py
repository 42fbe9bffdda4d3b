"""`accelsim inspect` shows what the file holds, at 80 columns and to other programs."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import typer
from typer.testing import CliRunner, Result

from accelsim.cli.inspect import inspect
from accelsim.errors import TraceError
from accelsim.trace import TraceWriter
from accelsim.trace.format import accelsim_version
from tests.trace.operations import small_op

app = typer.Typer()
app.command()(inspect)


@pytest.fixture
def trace(tmp_path: Path) -> Path:
    path = tmp_path / "run.pkl"
    meta = {
        "command": "accelsim train --data photos --out run.pkl",
        "[red]odd[/red]": "\x1b[2Jcleared",
        "loss": float("nan"),
        "digest": b"\xab",
        "unlowered": {"flash_attention": {"count": 3, "macs": 1_500_000, "reason": "a fused kernel"}},
    }
    with TraceWriter(path, meta=meta) as writer:
        for step in (0, 50):
            for order, name in enumerate(["online.layer1.0.conv1", "online.layer1.0.downsample.0", "momentum.fc"]):
                changes = {"grad_output": None} if name == "momentum.fc" else {"needs_input_grad": order > 0}
                writer.write(small_op(name, step=step, seed=step + order, order=order, **changes))
    return path


def _run(*arguments: str | Path) -> Result:
    result = CliRunner().invoke(app, [str(argument) for argument in arguments], env={"COLUMNS": "80"})
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    return result


def test_tables(trace: Path) -> None:
    out = _run(trace).stdout
    path, rest = out.split("\n", 1)
    assert path == str(trace)
    assert max(map(len, rest.splitlines())) <= 80
    for shown in [
        "6 records",
        "complete",
        "accelsim train --data photos --out run.pkl",
        "[red]odd[/red]",
        r"\x1b[2Jcleared",
        "online.layer1.0.downsample.0",
        "2x3x3x3",
        "1x3x6x5",
        "flash_attention",
        "1.5 M",
    ]:
        assert shown in out
    assert "\x1b" not in out
    layers = out[out.index("\nLayers") : out.index("\nDensities")]
    assert [line.split()[-3] for line in layers.splitlines() if " 2x3x3x3 " in line] == ["FW", "FIW", "F"]


def test_a_cut_trace_says_so(trace: Path) -> None:
    whole = trace.read_bytes()
    trace.write_bytes(whole[:-20])
    assert "incomplete: the run was cut off after record 5" in _run(trace).stdout
    out = _run(trace, "--step", "0", "--layer", "momentum.fc").stdout
    assert "6 records, 1 of them selected" in " ".join(out.split())
    assert "incomplete: the run was cut off after record 5" in out
    start = whole.index(b"order") - 60
    trace.write_bytes(whole[:start])
    assert "incomplete: the run was cut off before its first record" in _run(trace, "--check").stdout


def test_json_and_selection(trace: Path) -> None:
    everything = json.loads(_run(trace, "--json").stdout)
    assert (everything["records"], everything["complete"], everything["format_version"]) == (6, True, 1)
    assert (everything["meta"]["loss"], everything["meta"]["digest"]) == ("nan", "ab")
    macs = small_op().macs
    assert everything["macs"] == {"forward": 6 * macs, "input_grad": 2 * macs, "weight_grad": 4 * macs}
    one = json.loads(_run(trace, "--json", "--layer", "momentum.*", "--step", "50").stdout)
    assert [layer["name"] for layer in one["layers"]] == ["momentum.fc"]
    assert one["steps"] == [
        {"step": 50, "records": 1, "macs": {"forward": macs, "input_grad": 0, "weight_grad": 0}},
    ]
    two = json.loads(_run(trace, "--json", "--layer", "momentum.fc", "--layer", "*conv1", "--step", "0").stdout)
    assert two["records"] == 2


def test_an_empty_trace_has_no_empty_tables(tmp_path: Path) -> None:
    TraceWriter(tmp_path / "run.pkl").close()
    assert _run(tmp_path / "run.pkl").stdout.splitlines()[1:] == [
        f"trace format 1, written by accelsim {accelsim_version()}, {(tmp_path / 'run.pkl').stat().st_size} bytes,"
        " 0 records",
        "complete",
    ]


def test_many_steps_are_shortened(tmp_path: Path) -> None:
    path = tmp_path / "run.pkl"
    with TraceWriter(path) as writer:
        for step in range(100):
            writer.write(small_op(step=step))
    steps = _run(path).stdout.partition("\nSteps")[2].partition("\nLayers")[0]
    assert "80 more" in steps
    assert len(steps.splitlines()) < 32


def test_metadata_without_end_are_shortened(tmp_path: Path) -> None:
    path = tmp_path / "run.pkl"
    meta = {"text": "x" * 1_000_000, "unlowered": {f"op{i}": {"count": 1} for i in range(5000)}}
    TraceWriter(path, meta | {f"key{i}": i for i in range(5000)}).close()
    out = _run(path).stdout
    assert "(1000000 letters, all of them with --json)" in " ".join(out.split())
    assert len(out.splitlines()) < 1000
    assert len(json.loads(_run(path, "--json").stdout)["meta"]) == 5001


def test_check_finds_damage_that_headers_do_not_show(trace: Path) -> None:
    assert "all checksums match" in _run(trace, "--check").stdout
    damaged = bytearray(trace.read_bytes())
    raw = bytes(small_op(seed=50).masks["input"].bits)
    damaged[damaged.index(raw)] ^= 1
    trace.write_bytes(damaged)
    _run(trace)
    with pytest.raises(TraceError, match=r"run.pkl: record 3 \('online.layer1.0.conv1', step 50\): it is damaged"):
        _run(trace, "--check")


def test_what_is_not_there(trace: Path, tmp_path: Path) -> None:
    for arguments, cause in [
        ([trace, "--layer", "momentum.fcc"], "no layer 'momentum.fcc', did you mean 'momentum.fc'?"),
        ([trace, "--step", "7"], "no step 7, it has 0, 50"),
        ([tmp_path / "no.pkl"], "there is no such file"),
    ]:
        with pytest.raises(TraceError, match=cause.replace("?", r"\?")):
            _run(*arguments)
    assert _run(trace, "--step", "x").exit_code == 2
