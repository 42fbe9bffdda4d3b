"""Tables in terminals of every width: names stay whole, numbers stay whole, nothing is lost."""

from __future__ import annotations

import io
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console, Group, RenderableType

from accelsim import load_result, open_trace, simulate
from accelsim.cli.inspect import tables as inspect_tables
from accelsim.explain import explain
from accelsim.results.comparison import compare
from accelsim.show.comparison import comparison_tables
from accelsim.show.console import output_console
from accelsim.show.explanation import explanation_text
from accelsim.show.tables import result_tables
from accelsim.show.text_table import TextTable
from accelsim.show.training import training_table
from accelsim.trace.summary import summarize
from tests.test_pipeline import small

WIDTHS = (60, 80, 100, 120, 200)
LAYERS = ("stem", "layer1.0.conv1 <b>&")


def shown(renderable: RenderableType, width: int) -> list[str]:
    console = Console(file=io.StringIO(), width=width)
    console.print(renderable)
    lines: list[str] = console.file.getvalue().splitlines()  # type: ignore[attr-defined]
    return lines


def of_run(results: dict[str, Path]) -> RenderableType:
    result = simulate(small(), results["small"].parent / "run.pkl", workers=1)
    return Group(result_tables(result), *training_table(result))


def of_compare(results: dict[str, Path]) -> RenderableType:
    return Group(*comparison_tables(compare(load_result(results["small"]), load_result(results["other"]))))


def of_inspect(results: dict[str, Path]) -> RenderableType:
    return Group(*inspect_tables(summarize(open_trace(results["small"].parent / "run.pkl"))))


def of_explain(results: dict[str, Path]) -> RenderableType:
    ops = {op.name: op for op in open_trace(results["small"].parent / "run.pkl").select(steps=[0])}
    return Group(*(explanation_text(explain(small(), ops[name])) for name in LAYERS))


@pytest.mark.parametrize("tables", [of_run, of_compare, of_inspect, of_explain])
def test_names_of_layers_are_whole_and_no_line_is_too_long(
    tables: Callable[[dict[str, Path]], RenderableType], results: dict[str, Path]
) -> None:
    made = tables(results)
    for width in WIDTHS:
        lines = shown(made, width)
        assert max(map(len, lines)) <= width
        assert "…" not in "".join(lines)
        for name in LAYERS:
            assert [line for line in lines if line.startswith(name)], (name, width)


def table(rows: int, columns: int, name: str = "a_layer", value: str = "123.4M") -> TextTable:
    made = TextTable("Title", ["layer"], [f"column {number}" for number in range(columns)])
    for row in range(rows):
        made.add_row(f"{name}{row}", *(f"{value}/{row}/{column}" for column in range(columns)))
    return made


@given(
    width=st.integers(45, 200),
    columns=st.integers(1, 30),
    name=st.text("ab.", min_size=1, max_size=23),
    value=st.text("0123456789", max_size=12),
)
def test_every_cell_is_there_once_and_whole(width: int, columns: int, name: str, value: str) -> None:
    lines = shown(table(2, columns, name.strip(), value), width)
    assert max(map(len, lines)) <= width
    words = " ".join(lines).split()
    for row in range(2):
        parts = words.count(f"{name}{row}")
        assert parts >= 1
        for column in range(columns):
            assert words.count(f"{value}/{row}/{column}") == 1


def test_what_finds_no_room_stands_below_beside_the_names() -> None:
    assert shown(table(1, 4, value="1"), 30) == [
        "Title",
        "layer    column 0 column 1",
        "a_layer0    1/0/0    1/0/1",
        "",
        "layer    column 2 column 3",
        "a_layer0    1/0/2    1/0/3",
    ]


def test_a_long_name_leaves_half_of_the_line_to_numbers_and_loses_no_letter() -> None:
    name = "encoder.layers.11.self_attention.output_projection.weight"
    lines = shown(table(1, 8, name), 60)
    assert max(map(len, lines)) <= 60
    assert "".join(line[:30].strip() for line in lines[2:4]) == f"{name}0"
    assert lines[2].split()[1:] == ["123.4M/0/0", "123.4M/0/1"]


def test_a_row_of_a_name_alone_takes_the_whole_line() -> None:
    made = TextTable("", [""], ["cycles"])
    name = "a name that is much longer than the pass below it"
    made.add_row(name)
    made.add_row("  forward", "12")
    assert shown(made, 60) == ["           cycles", name, "  forward      12"]


def test_a_text_goes_on_in_the_next_line() -> None:
    made = TextTable("", ["operation"], ["count", "reason"], left=["reason"], ruled=True)
    made.add_row("aten::fft", "3", "no rule knows how to lower a transform of this kind")
    assert shown(made, 50) == [
        "operation count reason",
        "─" * 50,
        "aten::fft     3 no rule knows how to lower a",
        "                transform of this kind",
    ]


def test_a_row_of_another_length_is_refused() -> None:
    with pytest.raises(ValueError, match="2 cells, expected 1 or 3"):
        TextTable("", ["a"], ["b", "c"]).add_row("1", "2")


def test_nothing_is_folded_in_a_file_or_pipe(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.delenv("COLUMNS", raising=False)
    name = "a_layer.with_a_name_that_no_terminal_is_wide_enough_for." * 3
    output_console().print(Group(table(1, 20, name), "a sentence " * 30))
    title, _, row, sentence = capsys.readouterr().out.splitlines()
    assert (title, len(row.split()), len(sentence)) == ("Title", 21, 330)
    assert row.startswith(f"{name}0 ")
