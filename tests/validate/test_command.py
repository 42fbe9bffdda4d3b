"""`accelsim validate scalesim`: tables, verdict, exit codes."""

from __future__ import annotations

from pathlib import Path

import pytest
from typer.testing import CliRunner

from accelsim.cli.main import app
from accelsim.errors import AccelsimError

TABLE = Path(__file__).parents[2] / "experiments" / "scalesim" / "measured.csv"


def run(*arguments: str):
    return CliRunner().invoke(app, ["validate", "scalesim", "--no-measure", *arguments], env={"COLUMNS": "120"})


def test_closed_forms_alone() -> None:
    result = run("--layer", "layer2.*", "--rows", "7", "--cols", "3")
    assert result.exit_code == 0
    assert "layer2.0.downsample.0" in result.output
    assert "45 of 45 layer passes equal the closed forms" in result.output
    assert "SCALE-Sim's output is not known for 45" in result.output
    assert "one less a GEMM" in result.output


def test_beside_the_kept_table() -> None:
    result = run("--table", str(TABLE))
    assert result.exit_code == 0
    assert "189 of 189 layer passes equal SCALE-Sim's own output" in result.output
    assert "differs" not in result.output


def test_a_difference_is_shown_and_exits_1(tmp_path: Path) -> None:
    table = tmp_path / "t.csv"
    table.write_text(
        "array_rows,array_cols,dataflow,m,n,k,topology,scalesim_cycles\n"
        "32,32,output_stationary,10,1,512,conv 1 1 512 10 1,574\n"  # 573 is right
    )
    result = run("--layer", "fc", "--table", str(table))
    assert result.exit_code == 1
    assert "differs" in result.output
    assert "0 of 1 layer passes equal SCALE-Sim's own output" in result.output


def test_unknown_layer_is_named() -> None:
    result = run("--layer", "nope")
    assert isinstance(result.exception, AccelsimError)
    assert "nope" in str(result.exception)


@pytest.mark.parametrize("option", ["--rows", "--cols"])
def test_an_array_without_pes_is_refused(option: str) -> None:
    assert run(option, "0").exit_code == 2
