"""Tables fit a terminal."""

from __future__ import annotations

import io

import pytest
from rich.console import Console

from accelsim import simulate
from accelsim.show.tables import result_tables
from tests.test_pipeline import layer, small


@pytest.mark.parametrize("width", [80, 120, 200])
def test_no_number_is_cut_off(width: int) -> None:
    result = simulate(small(), [layer("layer1.0.conv1"), layer("momentum.layer1.0.conv1", trained=False)])
    console = Console(file=io.StringIO(), width=width)
    console.print(result_tables(result))
    shown = console.file.getvalue()  # type: ignore[attr-defined]
    assert "…" not in shown
    assert max(map(len, shown.splitlines())) <= width
