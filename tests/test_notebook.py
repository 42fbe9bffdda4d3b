"""The newcomer's notebook runs from top to bottom."""

from __future__ import annotations

from pathlib import Path

import nbformat
import pytest
from nbclient import NotebookClient

DOCS = Path(__file__).parents[1] / "docs"


@pytest.mark.smoke
def test_the_first_steps_run_and_show_what_they_say(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTHONPATH", str(DOCS.parent))
    monkeypatch.setenv("JUPYTER_PLATFORM_DIRS", "1")
    notebook = nbformat.read(DOCS / "first_steps.ipynb", as_version=4)
    assert not [cell for cell in notebook.cells if cell.get("outputs")]  # none that could be out of date
    NotebookClient(notebook, timeout=300, kernel_name="python3", resources={"metadata": {"path": str(DOCS)}}).execute()
    shown = [output["data"] for cell in notebook.cells for output in cell.get("outputs", []) if "data" in output]
    assert any("pe16x16 on" in data.get("text/html", "") for data in shown)
    assert any("</svg>" in data.get("image/svg+xml", "") for data in shown)
