"""The RTL under Verilator agrees with the simulator and the GEMM; what it must find if it does not."""

from __future__ import annotations

import os
import shutil
import subprocess
from dataclasses import replace
from itertools import product
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from accelsim import OpTrace
from accelsim.array import time_gemm
from accelsim.array.dense import DensePE
from accelsim.cli.main import app
from accelsim.errors import AccelsimError
from accelsim.hardware.load import load_hardware
from accelsim.hardware.model import Hardware
from accelsim.lowering import lower
from accelsim.trace import TraceWriter
from accelsim.validate import rtl_bench
from accelsim.validate.rtl import (
    Case,
    compare,
    most_random_k,
    pack,
    random_cases,
    random_machines,
    recorded_cases,
    run_cases,
    tiles_of,
    unpack,
    worked_example,
)
from accelsim.validate.rtl_bench import COUNTERS, Parameters, TileRun, find_rtl, sources

ROOT = Path(__file__).parents[2]
verilated = pytest.mark.skipif(
    shutil.which("verilator") is None, reason="Verilator is not installed (apt-get install verilator)"
)


@pytest.fixture(scope="module", autouse=True)
def _own_cache(tmp_path_factory: pytest.TempPathFactory):
    """Build benches in a folder of the tests' own."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_CACHE_HOME", str(tmp_path_factory.mktemp("cache")))
        yield


@verilated
@pytest.mark.reference
@pytest.mark.parametrize("index", [0, 2, 5, 6, 7], ids=["scanning", "dense", "systolic", "inner join", "tensordash"])
def test_random_gemms_agree(index: int) -> None:
    machine = random_machines(7, 8)[index]
    cases = list(random_cases(machine, index, seed=7, count=40))
    outcomes = run_cases(Parameters.of(machine, most_random_k(machine)), cases)
    assert sum(outcome.tiles for outcome in outcomes) >= 40
    assert [outcome.off for outcome in outcomes if outcome.off] == []


@verilated
@pytest.mark.reference
def test_dense_pes_wait_for_any_narrow_port() -> None:
    """A last window whose words come in one cycle with the end of the window before takes a cycle of its own."""
    cases = []
    for k, words in product(range(1, 12), range(1, 7)):
        buffers = {"weight_words_per_cycle": words, "input_words_per_cycle": "unlimited"}
        array = {"rows": 2, "cols": 1, "lanes": 3}
        hw = Hardware.model_validate({"name": "dense", "array": array, "memory": {"buffers": buffers}})
        (gemm,) = lower(OpTrace(name="fc", step=0, weight=np.ones((2, k)), input=np.ones((1, k))), "forward")
        cases.append(Case(hw, gemm, np.ones((2, k), np.int32), np.ones((1, k), np.int32)))
    outcomes = run_cases(Parameters.of(cases[0].hw, 12), cases)
    assert [outcome.off for outcome in outcomes if outcome.off] == []


@verilated
def test_a_fault_in_the_rtl_is_found(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    shutil.copytree(ROOT / "rtl", tmp_path / "rtl")
    queue = tmp_path / "rtl" / "scanner.sv"
    right = queue.read_text(encoding="utf-8")
    line = "assign take = (present < T'(L)) ? present : T'(L);"
    assert right.count(line) == 1
    queue.write_text(right.replace(line, line.replace("present", "T'(held)")), encoding="utf-8")
    monkeypatch.setattr(rtl_bench, "find_rtl", lambda: tmp_path / "rtl")
    machine = random_machines(7, 1)[0]
    cases = list(random_cases(machine, 0, seed=7, count=40))
    outcomes = run_cases(Parameters.of(machine, most_random_k(machine)), cases)
    said = "; ".join(text for outcome in outcomes for text in outcome.off)
    assert "cycles, accelsim counts" in said
    assert "outputs" not in said  # pairs that cannot leave in the cycle in which they came only take longer


@verilated
@pytest.mark.parametrize(
    "sizes",
    [
        "-GKIND=0 -GL=3 -GS=3 -GSYNC=3",
        "-GKIND=1 -GR=3 -GC=2 -GL=5 -GS=3 -GD=7 -GW=16 -GSYNC=0",
        "-GKIND=2 -GS=1 -GR=3",
        "-GKIND=3 -GS=8 -GV=2 -GSYNC=3",
        "-GKIND=3 -GR=3 -GS=5 -GV=4 -GL=3 -GSYNC=1",
        "-GKIND=3 -GC=3 -GS=1 -GV=1 -GL=1 -GSYNC=0",
        "-GKIND=4 -GR=3 -GS=16 -GL=16 -GV=3 -GSYNC=3",
        "-GKIND=4 -GC=3 -GS=16 -GL=16 -GV=2 -GSYNC=1 -GW=16",
        "-GKIND=4 -GR=1 -GC=1 -GS=16 -GL=16 -GV=1 -GSYNC=1",
    ],
)
def test_lint_is_clean(sizes: str) -> None:
    command = ["verilator", "--lint-only", "-Wall", *sizes.split(), "--top-module", "bench_top"]
    files = [str(file) for file in sources(ROOT / "rtl") if file.suffix == ".sv"]
    done = subprocess.run([*command, *files], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "%Warning" not in done.stderr


@verilated
def test_the_command_writes_the_worked_example(tmp_path: Path) -> None:
    vcd = tmp_path / "example.vcd"
    result = CliRunner().invoke(app, ["validate", "rtl", "--cases", "0", "--vcd", str(vcd)])
    assert result.exit_code == 0, result.output
    assert "6 cycles" in result.output
    assert result.output.rstrip().splitlines()[-1].startswith("1 of 1 cases agree")
    assert "$timescale" in vcd.read_text(encoding="ascii")[:200]


@pytest.mark.skipif(os.name != "posix", reason="the bench is a shell script")
def test_a_bench_that_fails_leaves_the_old_waveform(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    bench, vcd = tmp_path / "bench", tmp_path / "example.vcd"
    bench.write_text('#!/bin/sh\ncat > /dev/null\necho half > "$1"\necho no clock >&2\nexit 3\n', encoding="ascii")
    bench.chmod(0o755)
    monkeypatch.setattr(rtl_bench, "build", lambda parameters, waveform: bench)
    vcd.write_text("old", encoding="ascii")
    case = worked_example()
    with pytest.raises(AccelsimError, match="ended with code 3 after 0 of 2 tiles: no clock"):
        run_cases(Parameters.of(case.hw, case.gemm.k), [case], vcd)
    assert vcd.read_text(encoding="ascii") == "old"
    assert sorted(tmp_path.iterdir()) == [bench, vcd]


def _run_right(case) -> tuple[list[TileRun], list[np.ndarray]]:
    """What an RTL that is right would do, with all counts in the last tile."""
    timing = time_gemm(case.hw, case.gemm)
    outputs = [right for _, right in tiles_of(case)]
    counts = {name: getattr(timing.slots, name, None) for name in COUNTERS}
    counts |= {name: getattr(timing, name) for name in ("fifo_pushes", "scan_windows", "streamed_a", "streamed_b")}
    none = dict.fromkeys(COUNTERS, 0)
    ran = [TileRun(cycles, none, sums) for cycles, sums in zip(timing.tile_cycles.tolist(), outputs, strict=True)]
    ran[-1] = ran[-1]._replace(counts=counts)
    return ran, outputs


def test_any_difference_is_found() -> None:
    case = worked_example()
    ran, outputs = _run_right(case)
    assert compare(case, ran, outputs).off == ()
    assert compare(case, [ran[0]._replace(cycles=7)], outputs).off == (
        "tile 0: 7 cycles, accelsim counts 6",
        "7 cycles in all, accelsim counts 6",
    )
    wrong = ran[0].sums.copy()
    wrong[1, 0] += 1
    assert compare(case, [ran[0]._replace(sums=wrong)], outputs).off == ("tile 0: 1 outputs are not the GEMM's",)
    for name in COUNTERS:
        counts = ran[0].counts | {name: ran[0].counts[name] + 1}
        (said,) = compare(case, [ran[0]._replace(counts=counts)], outputs).off
        assert name in said
    assert "0 tiles, accelsim has 1" in compare(case, [], []).off


def test_a_difference_exits_1(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    def run(parameters: Parameters, tiles: list, vcd: Path) -> list[TileRun]:
        ran, _ = _run_right(worked_example())
        return [ran[0]._replace(cycles=5)] * len(tiles)

    monkeypatch.setattr("accelsim.validate.rtl.run_tiles", run)
    monkeypatch.setattr("accelsim.validate.rtl_bench.find_verilator", lambda: "verilator")
    result = CliRunner().invoke(app, ["validate", "rtl", "--cases", "0", "--vcd", str(tmp_path / "v")])
    assert result.exit_code == 1
    assert "tile 0: 5 cycles, accelsim counts 6" in result.output
    assert result.output.rstrip().splitlines()[-1].startswith("0 of 1 cases agree")


def test_without_verilator_one_sentence_says_how_to_get_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rtl_bench.shutil, "which", lambda name: None)
    result = CliRunner().invoke(app, ["validate", "rtl"])
    assert isinstance(result.exception, AccelsimError)
    assert "apt-get install verilator" in str(result.exception)


def test_without_a_checkout_it_says_so(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    assert find_rtl() == ROOT / "rtl"
    monkeypatch.setattr(rtl_bench, "__file__", str(tmp_path / "site" / "accelsim" / "validate" / "rtl_bench.py"))
    monkeypatch.chdir(tmp_path)
    with pytest.raises(AccelsimError, match="from a checkout"):
        find_rtl()


@pytest.mark.parametrize(
    ("change", "named"),
    [
        ({"array": {"rows": 2, "cols": 2, "dataflow": "weight_stationary", "interconnect": "systolic"}}, "dataflow"),
        ({"mapping": {"row_order": "density"}}, "row_order"),
        ({"array": {"rows": 2, "cols": 2, "drain": "exposed"}}, "drain"),
    ],
)
def test_machines_that_the_rtl_is_not_are_refused(change: dict, named: str) -> None:
    hw = Hardware.model_validate({"name": "m", "array": {"rows": 2, "cols": 2, "lanes": 16}} | change)
    with pytest.raises(AccelsimError, match=named):
        Parameters.of(hw, 8)


def test_a_kind_without_rtl_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(DensePE, "rtl", lambda self: None)
    with pytest.raises(AccelsimError, match="no counterpart of dense PEs"):
        Parameters.of(Hardware.model_validate({"name": "m", "array": {"rows": 2, "cols": 2}}), 8)


def test_shipped_machines_have_parameters() -> None:
    made = Parameters.of(load_hardware(ROOT / "hw_configs" / "pe16x16_rowsync.yaml"), 1000)
    assert (made.kind, made.rows, made.width, made.fifo_depth, made.sync, made.windows) == (
        *("scanning", 16, 16, 16, "row"),
        64,
    )
    assert made.largest**2 * 64 * 16 < 2**31 <= (made.largest + 1) ** 2 * 64 * 16
    assert replace(made, operand_bits=4).largest == 7


def test_a_recorded_pass_is_cut_to_its_limits() -> None:
    rng = np.random.default_rng(0)
    op = OpTrace(
        name="conv",
        step=0,
        padding=(1, 1),
        weight=rng.random((9, 20, 3, 3)) < 0.5,
        input=rng.random((2, 20, 6, 6)) < 0.5,
        grad_output=rng.random((2, 9, 6, 6)) < 0.5,
    )
    hw = Hardware.model_validate({"name": "m", "array": {"rows": 4, "cols": 4}, "skipping": {"tensors": ["weight"]}})
    cut = list(recorded_cases(hw, op, most_tiles=6, most_k=50, seed=0))
    assert [which for which, _, _ in cut] == ["forward", "input_grad", "weight_grad"]
    for _, whole, case in cut:
        assert len(list(tiles_of(case))) <= 6
        assert (case.gemm.k, case.gemm.n) == (50, 12)
        assert case.gemm.m in {whole.m, 8, whole.m % 4 + 4}
        assert np.array_equal(unpack(pack(case.a != 0), 50), unpack(case.gemm.a, 50))


def test_the_seed_decides() -> None:
    def drawn(seed: int) -> list:
        return [(case.gemm.m, case.a.tolist()) for case in random_cases(random_machines(seed, 1)[0], 0, seed, 3)]

    assert drawn(1) == drawn(1) != drawn(2)
    kinds = [Parameters.of(machine, 1) for machine in random_machines(3, 8)]
    assert {made.sync for made in kinds if made.kind == "scanning"} == {"pe", "row", "column", "array"}
    assert {made.kind for made in kinds} == {"scanning", "dense", "systolic", "inner_join", "tensordash"}


def test_a_trace_needs_a_known_layer(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr("accelsim.validate.rtl_bench.find_verilator", lambda: "verilator")
    trace = tmp_path / "t.pkl"
    with TraceWriter(trace) as writer:
        writer.write(OpTrace(name="fc", step=0, weight=[[1]], input=[[1]]))
    options = ["--cases", "0", "--trace", str(trace), "--layer", "nope"]
    result = CliRunner().invoke(app, ["validate", "rtl", *options])
    assert isinstance(result.exception, AccelsimError)
    assert "nope" in str(result.exception)


def test_lowered_masks_survive_packing() -> None:
    rng = np.random.default_rng(1)
    mask = rng.random((3, 130)) < 0.5
    (gemm,) = lower(OpTrace(name="fc", step=0, weight=mask, input=np.ones((1, 130), bool)), "forward")
    assert np.array_equal(unpack(gemm.a, 130), mask)
    assert np.array_equal(pack(mask), gemm.a)
