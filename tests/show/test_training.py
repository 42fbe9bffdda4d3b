"""A whole training in the terminal, and its figure."""

from __future__ import annotations

import io
import xml.etree.ElementTree as ET
from pathlib import Path

import pandas as pd
import pytest
from rich.console import Console

from accelsim import TraceWriter, simulate
from accelsim.errors import AccelsimError
from accelsim.show.figures import files
from accelsim.show.speedup_figure import Panel, draw_speedup
from accelsim.show.training import training_table
from accelsim.trace import MaskWork, TrainingRun
from tests.test_pipeline import layer, small

RUN = TrainingRun(0, 40, (9, 29), (MaskWork(9, 99, 99, 99, 1, 1), MaskWork(29, 99, 99, 99, 1, 1)))


@pytest.fixture
def trace(tmp_path: Path) -> Path:
    path = tmp_path / "run.pkl"
    with TraceWriter(path) as writer:
        for step in (0, 9, 10, 20, 29, 30):
            writer.write(layer(step=step, seed=step))
        writer.meta["training"] = RUN.plain()
    return path


def _shown(path: Path, **options: int) -> str:
    console = Console(file=io.StringIO(), width=120)
    for part in training_table(simulate(small(), path, **options)):  # type: ignore[arg-type]
        console.print(part)
    return console.file.getvalue()  # type: ignore[attr-defined,no-any-return]


def test_the_table_has_passes_kinds_updates_and_what_it_rests_on(trace: Path) -> None:
    shown = _shown(trace)
    for words in ("Whole training, 40 steps", "weight_grad", "38 ordinary steps", "2 growth steps", "2 mask updates"):
        assert words in shown
    assert "From 4 ordinary and 2 growth step(s) recorded" in shown
    assert "Either half of them gives" in shown


def test_what_is_missing_is_said(trace: Path) -> None:
    shown = " ".join(_shown(trace, run_steps=50).split())
    assert "Outside steps 0 to 39 the trace does not say where weights grew" in shown


def test_the_figure_is_written_whole_and_the_same_each_time(trace: Path, tmp_path: Path) -> None:
    result = simulate(small(), trace)
    panel = Panel("small", result.steps, result.training["total"]["speedup"])
    written = draw_speedup([panel], tmp_path / "one")
    assert written == [tmp_path / "one.svg", tmp_path / "one.png"]
    assert written[1].read_bytes().startswith(b"\x89PNG")
    root = ET.parse(written[0]).getroot()
    assert root.tag.endswith("svg")
    again = draw_speedup([panel], tmp_path / "two")
    assert [path.read_bytes() for path in written] == [path.read_bytes() for path in again]
    assert sorted(path.name for path in tmp_path.iterdir() if path.suffix != ".pkl") == [
        "one.png",
        "one.svg",
        "two.png",
        "two.svg",
    ]


def test_what_cannot_be_drawn_or_written_is_said(trace: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    panel = Panel("small", pd.DataFrame({"pass": [], "kind": [], "step": [], "speedup": []}))
    with pytest.raises(AccelsimError, match="cannot be written"):
        draw_speedup([panel], tmp_path / "missing" / "figure")
    monkeypatch.setattr(files, "can_draw", lambda: False)
    with pytest.raises(AccelsimError, match="pip install"):
        draw_speedup([panel], tmp_path / "figure")
