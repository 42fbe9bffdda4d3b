"""Numbers as people read them, and tables that fit a terminal."""

from __future__ import annotations

import io

import pytest
from rich.console import Console

from accelsim import simulate
from accelsim.show.tables import count, joules, result_tables, share, times
from tests.test_pipeline import layer, small


@pytest.mark.parametrize(
    ("value", "shown"),
    [(0, "0"), (999, "999"), (1234, "1.23k"), (999_600, "1000k"), (12_345_678, "12.3M"), (1e15, "1P")],
)
def test_count(value: float, shown: str) -> None:
    assert count(value) == shown


def test_units() -> None:
    assert (joules(12.3), joules(1.234e9), joules(5e12)) == ("12.3 pJ", "1.23 mJ", "5 J")
    assert (times(2.345), times(None), times(float("inf"))) == ("2.35x", "–", "–")
    assert (share(1, 3), share(1, 0)) == ("33.3%", "–")


@pytest.mark.parametrize("width", [80, 120, 200])
def test_no_number_is_cut_off(width: int) -> None:
    result = simulate(small(), [layer("layer1.0.conv1"), layer("momentum.layer1.0.conv1", trained=False)])
    console = Console(file=io.StringIO(), width=width)
    console.print(result_tables(result))
    shown = console.file.getvalue()  # type: ignore[attr-defined]
    assert "…" not in shown
    assert max(map(len, shown.splitlines())) <= width
