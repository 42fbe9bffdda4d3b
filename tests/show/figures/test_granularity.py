"""What patterns are called, and in which order they stand."""

from __future__ import annotations

from typing import Any

import pandas as pd
import pytest

from accelsim.show.figures.granularity import coarseness, draw, pattern_of


@pytest.mark.closed_form
def test_patterns_stand_from_fine_to_coarse() -> None:
    names = ["channel", "16x16", "1x8", "2:4", "element", "8x8", "none", "1x4", "4x4"]
    ordered = ["none", "element", "2:4", "1x4", "1x8", "4x4", "8x8", "16x16", "channel"]
    assert sorted(names, key=coarseness) == ordered


def test_a_block_of_thousands_of_digits_has_no_size() -> None:
    assert coarseness("9" * 5000 + "x1") == (float("inf"), "9" * 5000 + "x1")


@pytest.mark.parametrize(
    ("meta", "found"),
    [
        ({"command": "accelsim train --pattern 8x8 --sparsity 0.8"}, ("recorded", "8x8", 0.2)),
        ({"synthetic": True, "pattern": "1x4", "weight_density": 0.1}, ("synthetic", "1x4", 0.1)),
        ({"synthetic": True, "pattern": "2:4", "weight_density": None}, ("synthetic", "2:4", 0.5)),
        ({"synthetic": True, "pattern": "element", "weight_density": None}, ("synthetic", "none", 1.0)),
        ({"command": "python train.py"}, None),
        ({"command": "an 'open quote --pattern 1x4 --sparsity 0.5"}, None),
        ({"command": "accelsim train --pattern 8x8 --sparsity nan"}, None),
        ({"synthetic": True, "pattern": "2:0", "weight_density": None}, None),
        ({"synthetic": True, "pattern": "2:" + "9" * 5000, "weight_density": None}, None),
        ({"synthetic": True, "pattern": "1x4", "weight_density": "dense"}, None),
        ({"synthetic": True, "pattern": "1x4", "weight_density": [1]}, None),
        ({}, None),
    ],
)
def test_metadata_tell_how_weights_were_pruned(meta: dict[str, Any], found: tuple[str, str, float] | None) -> None:
    assert pattern_of(meta) == found


def test_all_panels_show_all_that_they_draw() -> None:
    rows = [
        {"machine": "m", "pass": which, "pattern": pattern, "weight_density": density, "origin": "synthetic"}
        | {"speedup": speedup, "ideal": 2 * speedup}
        for which in ("forward", "input_grad")
        for pattern, density, speedup in (("none", 1.0, 1.0), ("element", 0.5, 1.5), ("element", 0.1, 12.0))
    ]
    figure = draw(pd.DataFrame(rows))
    assert len(figure.axes) == 4
    assert all(axes.get_ylim()[1] > 24 for axes in figure.axes)
