"""Where the grid's figure puts its runs."""

from __future__ import annotations

import sys
from pathlib import Path

import matplotlib.pyplot as plt
import pandas as pd
import pytest

GRID = Path(__file__).parents[2] / "experiments" / "sparsity_and_granularity"


def test_a_sparsity_is_a_band_in_which_its_runs_stand(monkeypatch: pytest.MonkeyPatch) -> None:
    """On an axis of numbers, runs of 80 % that stand side by side would seem to be of 75 to 88 %."""
    monkeypatch.syspath_prepend(str(GRID))
    import figure

    _, axis = plt.subplots()
    methods = list(figure.COLOURS)[1:]
    lines = [
        {"method": method, "pattern": "element", "sparsity": sparsity, "speed": 2, "speed_least": 1, "speed_most": 3}
        for sparsity in (0.5, 0.8, 0.9)
        for method in methods
    ]
    figure._panel(axis, pd.DataFrame(lines), "speed", [0.5, 0.8, 0.9])
    places = sorted(float(container.lines[0].get_xdata()[0]) for container in axis.containers)
    assert len(set(places)) == 3 * len(methods)
    bands = [round(place) for place in places]
    assert bands == sorted([0, 1, 2] * len(methods))
    assert [tick.get_text() for tick in axis.get_xticklabels()] == ["50 %", "80 %", "90 %"]
    plt.close("all")
    sys.modules.pop("figure")
