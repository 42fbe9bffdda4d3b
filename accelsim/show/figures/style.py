"""How figures look: colours that the colour-blind tell apart, and never colour alone."""

from __future__ import annotations

from pathlib import PurePath
from typing import TYPE_CHECKING

from accelsim.show.tables import count
from accelsim.show.terminal import printable

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

# Okabe and Ito, Color Universal Design (2008), https://jfly.uni-koeln.de/color/; grey for their yellow, which fades on
# white.
COLOURS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#000000", "#777777")
MARKERS = ("o", "s", "^", "D", "v", "P", "X", "*")
DASHES = ("-", "--", "-.", ":")
PASS_STYLES = {"forward": (COLOURS[0], "o"), "input_grad": (COLOURS[1], "s"), "weight_grad": (COLOURS[2], "^")}
FILLS = {  # slots and energy by component: colour and hatch
    "effectual": ("#009e73", ""),
    "ineffectual": ("#f0e442", "////"),
    "edge": ("#cccccc", "...."),
    "barrier": ("#d55e00", "\\\\\\\\"),
    "sync": ("#e69f00", "xxxx"),
    "starved": ("#56b4e9", "----"),
    "skew": ("#cc79a7", "++++"),
    "memory": ("#0072b2", "||||"),
}
_HATCHES = ("", "////", "....", "xxxx", "\\\\\\\\", "----", "++++", "||||", "oooo")


def drawable(text: str) -> str:
    """Return a text of somebody else's as matplotlib draws it letter by letter: without formulas between dollars."""
    return printable(text).replace("$", r"\$")


def short_name(trace: str) -> str:
    """Return a trace's name without folders and suffix."""
    return PurePath(trace).stem


def fill(position: int) -> tuple[str, str]:
    """Return the colour and hatch of the `position`-th part of a bar, from 0; no two of 72 are alike."""
    return COLOURS[position % len(COLOURS)], _HATCHES[position % len(_HATCHES)]


def line(position: int) -> tuple[str, str, str]:
    """Return the colour, marker and dash of the `position`-th line, from 0."""
    return COLOURS[position % len(COLOURS)], MARKERS[position % len(MARKERS)], DASHES[position % len(DASHES)]


def new_figure(width: float, height: float) -> Figure:
    """Return an empty figure, inches."""
    from matplotlib.figure import Figure

    return Figure(figsize=(width, height), layout="constrained")


def plain_axes(axes: Axes) -> None:
    """Take away the frame's upper and right side."""
    axes.spines[["top", "right"]].set_visible(False)
    axes.tick_params(labelsize=8)


def short_counts(axis: object) -> None:
    """Write an axis's numbers in three digits and a decimal prefix."""
    from matplotlib.axis import Axis
    from matplotlib.ticker import FuncFormatter

    if isinstance(axis, Axis):
        axis.set_major_formatter(FuncFormatter(lambda value, _: count(value)))
