"""Systolic cycles equal the closed forms and what the real SCALE-Sim printed, run by run."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from accelsim import OpTrace
from accelsim.array import time_gemm
from accelsim.errors import AccelsimError
from accelsim.hardware.model import Hardware
from accelsim.lowering import lower
from accelsim.synth import Layer
from accelsim.synth.networks import resnet18_cifar
from accelsim.validate.networks import PASS_NAMES, Gemm
from accelsim.validate.scalesim import (
    DATAFLOWS,
    Run,
    accelsim_cycles,
    closed_form,
    compare,
    is_installed,
    measure,
    read_table,
    runs_of,
    table_lines,
)

TABLE = Path(__file__).parents[2] / "experiments" / "scalesim" / "measured.csv"


@pytest.fixture(scope="module")
def measured() -> dict[Run, int]:
    return read_table(TABLE)


def operation_of(run: Run) -> OpTrace:
    """The run's GEMM as a linear layer, or its convolution without padding."""
    if run.topology == "gemm":
        return OpTrace(name="fc", step=0, weight=np.ones((run.m, run.k), bool), input=np.ones((run.n, run.k), bool))
    image, kernel, channels, filters, stride = map(int, run.topology.split()[1:])
    return OpTrace(
        name="conv",
        step=0,
        weight=np.ones((filters, channels, kernel, kernel), bool),
        input=np.ones((1, channels, image, image), bool),
        stride=(stride, stride),
    )


def test_every_measured_run_equals_the_simulator(measured: dict[Run, int]) -> None:
    assert len(measured) > 250
    assert {run.dataflow for run in measured} == set(DATAFLOWS)
    assert sum(run.array_rows != run.array_cols for run in measured) > 100
    for run, printed in measured.items():
        array = {"rows": run.array_rows, "cols": run.array_cols, "dataflow": run.dataflow, "interconnect": "systolic"}
        hw = Hardware.model_validate({"name": "s", "array": array})
        (gemm,) = lower(operation_of(run), "forward")
        assert (gemm.m, gemm.n, gemm.k) == (run.m, run.n, run.k)
        assert time_gemm(hw, gemm).cycles == printed + 1, run


def test_all_layers_passes_and_dataflows_of_resnet18_equal(measured: dict[Run, int]) -> None:
    compared = [one for flow in DATAFLOWS for one in compare(32, 32, flow, resnet18_cifar(), measured.get)]
    assert len(compared) == 21 * 3 * 3
    assert all(one.equals_closed_form and one.equals_scalesim for one in compared)


def test_a_differing_number_is_seen() -> None:
    (layer,) = [one for one in resnet18_cifar() if one.name == "layer2.0.conv1"]
    for less, equal in ((1, True), (2, False)):
        compared = list(
            compare(
                8,
                4,
                "weight_stationary",
                [layer],
                lambda run, less=less: closed_form(8, 4, "weight_stationary", Gemm(run.m, run.n, run.k)) - less,
            )
        )
        assert [len(one.runs) for one in compared] == [1, 4, 1]
        assert all(one.equals_scalesim is equal for one in compared)


def test_what_no_table_knows_is_not_equal() -> None:
    (one, *_) = compare(4, 4, "output_stationary", [Layer(name="l", c_in=2, c_out=2, image=(2, 2))], lambda run: None)
    assert one.printed is None
    assert not one.equals_scalesim


@pytest.mark.parametrize("dataflow", DATAFLOWS)
def test_stationary_operands_swap_when_the_product_is_transposed(dataflow: str) -> None:
    swapped = {"weight_stationary": "input_stationary", "input_stationary": "weight_stationary"}.get(dataflow, dataflow)
    rows, cols = (5, 5) if dataflow == "output_stationary" else (5, 3)
    assert closed_form(rows, cols, dataflow, Gemm(10, 20, 30)) == closed_form(rows, cols, swapped, Gemm(20, 10, 30))


def test_table_round_trip_and_damage(tmp_path: Path) -> None:
    runs = {Run(2, 3, "weight_stationary", 4, 5, 6): 7, Run(1, 1, "input_stationary", 4, 5, 6, "conv 1 2 3 4 5"): 8}
    path = tmp_path / "t.csv"
    path.write_text("".join(table_lines("how", runs.items())), encoding="utf-8")
    assert read_table(path) == runs
    for text in ("a,b\n1,2\n", path.read_text().replace("4,5,6", "4,x,6"), "\0"):
        path.write_text(text, encoding="utf-8")
        with pytest.raises(AccelsimError, match=r"t\.csv is no table of runs"):
            read_table(path)
    with pytest.raises(AccelsimError, match="no table of runs"):
        read_table(tmp_path / "missing.csv")


@pytest.mark.skipif(is_installed(), reason="speaks of an environment without SCALE-Sim")
def test_measuring_without_scalesim_says_what_to_install() -> None:
    with pytest.raises(AccelsimError, match=r"scalesim==3\.0\.0"):
        measure(Run(2, 2, "weight_stationary", 1, 1, 1))


@pytest.mark.skipif(not is_installed(), reason="needs a SCALE-Sim")
@pytest.mark.parametrize("dataflow", DATAFLOWS)
def test_the_installed_scalesim_agrees(dataflow: str) -> None:
    layer = Layer(name="l", c_in=3, c_out=7, kernel=(3, 3), stride=(2, 2), padding=(1, 1), image=(9, 9))
    for which in PASS_NAMES:
        runs = runs_of(4, 5, dataflow, layer, which)
        assert [measure(run) + 1 for run in runs] == accelsim_cycles(4, 5, dataflow, layer)[which]
