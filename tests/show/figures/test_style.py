"""What a reader takes from a figure at a glance is true: numbers on axes, colours, numbers beside points."""

from __future__ import annotations

import re
from itertools import combinations

import numpy as np
import pandas as pd
import pytest
from matplotlib.axes import Axes
from matplotlib.colors import to_hex
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from matplotlib.text import Annotation, Text

from accelsim.results.result import ENERGY_COLUMNS, SLOT_COLUMNS
from accelsim.show.figures import energy, granularity, pareto, roofline
from accelsim.show.figures.style import ENERGY_FILLS, FILLS
from accelsim.show.speedup_figure import Panel, speedup_figure

ENERGY = re.compile(r"0|\d+(\.\d+)? [pnµm]?J")


def numbers_on(figure: Figure, axes: Axes, which: str) -> list[str]:
    """The numbers that stand on an axis within its limits."""
    figure.draw_without_rendering()
    axis = getattr(axes, f"{which}axis")
    low, high = axis.get_view_interval()
    return [text.get_text() for text in axis.get_ticklabels() if low <= text.get_position()[which == "y"] <= high]


def roof_table(spread: float) -> pd.DataFrame:
    """Two layers whose figures differ by a factor."""
    rows = []
    for scale in (1.0, spread):
        measures = {"macs_per_byte": 3.1 * scale, "macs_per_cycle": 12.0 * scale}
        rows.append(
            {
                "machine": "small",
                "layer": "a",
                "pass": "forward",
                "peak_macs_per_cycle": 40.0,
                "bytes_per_cycle": np.nan,
            }
            | measures
            | {name.replace("macs", "effectual_macs"): value for name, value in measures.items()}
        )
    return pd.DataFrame(rows)


@pytest.mark.parametrize("spread", [1, 1.5, 4, 30, 900, 1100, 1e5])
def test_a_roofline_has_three_numbers_on_each_axis(spread: float) -> None:
    figure = roofline.draw(roof_table(spread))
    for which in "xy":
        assert 3 <= len([text for text in numbers_on(figure, figure.axes[0], which) if text]) <= 12


def test_granularity_has_two_numbers_on_its_axis() -> None:
    row = {
        "trace": "t",
        "origin": "recorded",
        "pattern": "8x8",
        "weight_density": 0.2,
        "machine": "m",
        "pass": "forward",
    }
    figure = granularity.draw(pd.DataFrame([row | {"speedup": 1.1, "ideal": 1.2}]))
    assert {"1×", "2×"} <= set(numbers_on(figure, figure.axes[0], "y"))


def test_every_component_and_slot_has_a_look_of_its_own() -> None:
    assert set(ENERGY_FILLS) == {name.removeprefix("energy_").removesuffix("_pj") for name in ENERGY_COLUMNS}
    assert set(FILLS) == {name.removeprefix("slots_") for name in SLOT_COLUMNS}
    for looks in (ENERGY_FILLS, FILLS):
        assert len(set(looks.values())) == len(looks)


def energy_table(components: list[str]) -> pd.DataFrame:
    row = {"bar": "machine", "pass": "forward", "dense_energy_pj": 1.3e10}
    return pd.DataFrame([row | {f"energy_{name}_pj": 3e9 for name in components}])


def test_a_component_of_energy_has_its_colour_in_every_figure() -> None:
    """A figure without gated multipliers or leakage shows DRAM as one with them."""
    for components in (["mac", "dram"], ["mac", "gated_mac", "idle", "dram", "leakage"]):
        axes = energy.draw(energy_table(components)).axes[0]
        drawn = [bar for bar in axes.patches if isinstance(bar, Rectangle)]
        assert [(to_hex(bar.get_facecolor()), bar.get_hatch() or "") for bar in drawn] == [
            ENERGY_FILLS[name] for name in components
        ]


def test_energies_have_the_prefix_that_suits_them() -> None:
    figure = energy.draw(energy_table(["mac", "dram"]))
    numbers = numbers_on(figure, figure.axes[0], "x")
    assert "4 mJ" in numbers
    assert all(ENERGY.fullmatch(number) for number in numbers), numbers
    figure = pareto.draw(designs([(1e6, 1.35e10), (2e6, 1.2e10)]))
    numbers = numbers_on(figure, figure.axes[0], "y")
    assert all(ENERGY.fullmatch(number) for number in numbers), numbers


def designs(points: list[tuple[float, float]]) -> pd.DataFrame:
    rows = [
        {"design": f"design {number}", "trace": "t", "cycles": x, "energy_pj": y, "area_mm2": 1.5 * (1 + number % 3)}
        for number, (x, y) in enumerate(points)
    ]
    return pd.DataFrame(rows).assign(on_front=True)


@pytest.mark.parametrize("crowded", [1e-9, 0.01, 0.1, 1])
def test_numbers_of_a_front_lie_on_nothing(crowded: float) -> None:
    rng = np.random.default_rng(0)
    points = [(1e6 * (1 + crowded * x), 1e9 * (1 + crowded * y)) for x, y in rng.random((9, 2))]
    figure = pareto.draw(designs([*points, points[0], (2e6, 2e9), (4e6, 1e9)]))
    figure.draw_without_rendering()
    axes = figure.axes[0]
    numbers = [text for text in axes.texts if isinstance(text, Annotation)]
    assert [text.get_text() for text in numbers] == [str(number) for number in range(1, 13)]
    boxes = [Text.get_window_extent(number) for number in numbers]  # without the lines to their points
    for one, other in combinations(boxes, 2):
        assert not one.overlaps(other)
    marks = axes.collections[1]
    for centre, size in zip(axes.transData.transform(marks.get_offsets()), marks.get_sizes(), strict=True):
        radius = np.sqrt(size) / 2 * figure.dpi / 72
        for box in boxes:
            nearest = np.clip(centre, (box.x0, box.y0), (box.x1, box.y1))
            assert np.hypot(*(nearest - centre)) >= 0.8 * radius


def test_the_lines_of_a_training_are_told_apart_and_named() -> None:
    steps = pd.DataFrame([{"step": step, "kind": "ordinary", "pass": "forward", "speedup": 2.0} for step in (0, 1)])
    for whole in (None, 1.7):
        figure = speedup_figure([Panel("machine", steps, whole)])
        axes, (legend,) = figure.axes[0], figure.legends
        named = [text.get_text() for text in legend.get_texts()]
        assert "all passes, at equal area" not in named  # these steps know of none
        assert ("whole training" in named) == (whole is not None)
        assert "without skipping" in named
        level = [line for line in axes.lines if len(set(line.get_ydata())) == 1 and line.get_label() != "forward"]
        looks = {(line.get_color(), line.get_linestyle()) for line in level if len(line.get_ydata())}
        assert len(looks) == (1 if whole is None else 2)
        assert all(float(tick).is_integer() for tick in axes.get_xticks())


def test_a_training_beside_a_dense_machine_of_its_area_says_so() -> None:
    rows = [{"step": step, "kind": kind, "pass": "all passes"} for step, kind in ((0, "ordinary"), (1, "growth"))]
    steps = pd.DataFrame(rows).assign(speedup=2.0, speedup_at_equal_area=[0.5, 0.75])
    figure = speedup_figure([Panel("machine", steps, 2.0, 0.625)])
    axes, (legend,) = figure.axes[0], figure.legends
    assert "all passes, at equal area" in [text.get_text() for text in legend.get_texts()]
    assert [0.5] in [list(line.get_ydata()) for line in axes.lines]
    assert [0.75] in [list(line.get_ydata()) for line in axes.lines]
    assert axes.get_title() == "machine\nwhole training 2.00×, 0.62× at equal area"
    assert axes.get_ylabel() == "speedup"
