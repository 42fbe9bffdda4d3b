"""SCALE-Sim's configurations as machines."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from accelsim import HardwareError, OpTrace, load_hardware, simulate
from accelsim.cli.main import app
from accelsim.hardware.scalesim_config import import_scalesim_config

CONFIG = """\
[general]
run_name = my_run
[architecture_presets]
ArrayHeight:    {height}
ArrayWidth:     {width}
IfmapSramSzkB:    64
FilterSramSzkB:   32
OfmapSramSzkB:    16
IfmapOffset:    0
FilterOffset:   10000000
OfmapOffset:    20000000
Bandwidth : 10,12
Dataflow : {dataflow}
MemoryBanks:   1
[run_presets]
InterfaceBandwidth: {mode}
"""


def config(folder: Path, dataflow: str = "ws", mode: str = "CALC", height: object = 8, width: int = 4) -> Path:
    path = folder / "scale.cfg"
    path.write_text(CONFIG.format(dataflow=dataflow, mode=mode, height=height, width=width))
    return path


@pytest.mark.parametrize(("dataflow", "rows", "cols"), [("ws", 8, 4), ("is", 8, 4), ("os", 4, 8)])
def test_reads_array_buffers_and_dataflow(tmp_path: Path, dataflow: str, rows: int, cols: int) -> None:
    written = import_scalesim_config(config(tmp_path, dataflow), tmp_path / "hw.yaml")
    assert written == load_hardware(tmp_path / "hw.yaml")
    assert (written.name, written.array.rows, written.array.cols) == ("my_run", rows, cols)
    assert written.array.interconnect == "systolic"
    buffers = written.memory.buffers
    assert (buffers.input_kib, buffers.weight_kib, buffers.output_kib) == (64, 32, 16)
    assert (written.precision.operand_bits, written.memory.dram) == (8, None)


@pytest.mark.closed_form
@pytest.mark.parametrize("dataflow", ["ws", "is", "os"])
def test_cycles_are_those_of_scalesims_folds(tmp_path: Path, dataflow: str) -> None:
    """Sr and Sc of Samajdar et al. 2020, table III: height by width of M' pixels, N' filters, K' window elements."""
    height, width, pixels, filters, window = 8, 4, 20, 10, 30
    hw = import_scalesim_config(config(tmp_path, dataflow, height=height, width=width), tmp_path / "hw.yaml")
    op = OpTrace(name="fc", step=0, weight=np.ones((filters, window)), input=np.ones((pixels, window)))
    along_height, along_width, streams, fill = {
        "os": (pixels, filters, window, height + width - 2),
        "ws": (window, filters, pixels, 2 * height + width - 2),
        "is": (window, pixels, filters, 2 * height + width - 2),
    }[dataflow]
    folds = -(-along_height // height) * -(-along_width // width)
    assert simulate(hw, [op]).layers.cycles.tolist() == [folds * (streams + fill)]


def test_bandwidth_of_the_user(tmp_path: Path) -> None:
    dram = import_scalesim_config(config(tmp_path, mode="USER"), tmp_path / "hw.yaml").memory.dram
    assert dram is not None
    assert dram.bytes_per_cycle == 10


@pytest.mark.parametrize("mode", ["CALC", "USER"])
def test_an_import_says_what_it_left_out(tmp_path: Path, mode: str) -> None:
    path, out = config(tmp_path, mode=mode), tmp_path / "hw.yaml"
    path.write_text(
        path.read_text()
        + "UseRamulatorTrace: False\n[sparsity]\nSparsitySupport : true\nSparseRep = ellpack_block\n"
        + "[memory]\nevil: a\x1b[31m\n  b\n[layout]\nIfmapCustomLayout: False\n"
    )
    done = CliRunner().invoke(app, ["import", str(path), "--out", str(out)])
    assert done.exit_code == 0, done.output
    listed = [line.strip() for line in done.stderr.splitlines()]
    assert listed == [
        "Left out, as accelsim's machine has no counterpart:",
        "[architecture_presets] IfmapOffset: 0",
        "[architecture_presets] FilterOffset: 10000000",
        "[architecture_presets] OfmapOffset: 20000000",
        "[architecture_presets] Bandwidth" + (": 10,12" if mode == "CALC" else " after the first number: 12"),
        "[architecture_presets] MemoryBanks: 1",
        "[run_presets] UseRamulatorTrace: False",
        "[sparsity] SparsitySupport: true (the machine is dense)",
        "[sparsity] SparseRep: ellpack_block",
        "[memory] evil: a\\x1b[31m\\nb",
        "[layout] IfmapCustomLayout: False",
    ]
    assert [line for line in out.read_text().splitlines() if "Left out" in line] == [
        f"# Left out: {line}" for line in listed[1:]
    ]
    assert load_hardware(out).array.interconnect == "systolic"


def test_a_pipe_is_read_once(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "accelsim", "import", "/dev/stdin", "--out", str(tmp_path / "hw.yaml")]
    text = config(tmp_path).read_text()
    done = subprocess.run(command, input=text, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "MemoryBanks: 1" in done.stderr
    assert "MemoryBanks: 1" in (tmp_path / "hw.yaml").read_text()


def test_nothing_left_out_is_nothing_said(tmp_path: Path) -> None:
    text = "".join(
        line for line in CONFIG.splitlines(keepends=True) if not line.startswith(("IfmapO", "FilterO", "OfmapO", "Mem"))
    )
    path = tmp_path / "scale.cfg"
    path.write_text(text.format(height=8, width=4, dataflow="ws", mode="USER").replace("10,12", "10"))
    done = CliRunner().invoke(app, ["import", str(path), "--out", str(tmp_path / "hw.yaml")])
    assert (done.exit_code, done.stderr) == (0, "")


def test_says_what_is_wrong(tmp_path: Path) -> None:
    out = tmp_path / "hw.yaml"
    for text, message in (
        (config(tmp_path, height="eight").read_text(), "ArrayHeight is 'eight'"),
        (config(tmp_path, height=100000).read_text(), "rows"),
        (config(tmp_path, dataflow="rs").read_text(), "Dataflow is 'rs'"),
        (config(tmp_path, mode="MAYBE").read_text(), "expected CALC or USER"),
        (config(tmp_path).read_text().replace("OfmapSramSzkB", "Ofmap"), "OfmapSramSzkB is missing"),
        ("layer, 1, 2\n", "no SCALE-Sim configuration"),
    ):
        (tmp_path / "scale.cfg").write_text(text)
        with pytest.raises(HardwareError, match=message):
            import_scalesim_config(tmp_path / "scale.cfg", out)
    with pytest.raises(HardwareError, match="cannot be read"):
        import_scalesim_config(tmp_path / "none.cfg", out)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["scale.cfg"]
