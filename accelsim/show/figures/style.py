"""How figures look: colours that the colour-blind tell apart, and never colour alone."""

from __future__ import annotations

import math
from pathlib import PurePath
from typing import TYPE_CHECKING

from accelsim.printable import printable
from accelsim.results.quantities import count, joules

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.axis import Axis
    from matplotlib.figure import Figure

# Okabe and Ito, Color Universal Design (2008), https://jfly.uni-koeln.de/color/; grey for their yellow, which fades on
# white.
COLOURS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#000000", "#777777")
MARKERS = ("o", "s", "^", "D", "v", "P", "X", "*")
DASHES = ("-", "--", "-.", ":")
PASS_STYLES = {"forward": (COLOURS[0], "o"), "input_grad": (COLOURS[1], "s"), "weight_grad": (COLOURS[2], "^")}
FILLS = {  # slots: colour and hatch
    "effectual": ("#009e73", ""),
    "ineffectual": ("#f0e442", "////"),
    "edge": ("#cccccc", "...."),
    "barrier": ("#d55e00", "\\\\\\\\"),
    "sync": ("#e69f00", "xxxx"),
    "starved": ("#56b4e9", "----"),
    "port": ("#332288", "oo"),
    "skew": ("#cc79a7", "++++"),
    "memory": ("#0072b2", "||||"),
}
ENERGY_FILLS = {  # energy by component, the same in every figure, whatever else is in it
    "mac": ("#009e73", ""),
    "gated_mac": ("#f0e442", "////"),
    "idle": ("#cccccc", "...."),
    "fifo_scan": ("#e69f00", "xxxx"),
    "buffer": ("#56b4e9", "----"),
    "dram": ("#0072b2", "||||"),
    "leakage": ("#cc79a7", "++++"),
}


def drawable(text: str) -> str:
    """Return a text of somebody else's as matplotlib draws it letter by letter: without formulas between dollars."""
    return printable(text).replace("$", r"\$")


def short_name(trace: str) -> str:
    """Return a trace's name without folders and suffix."""
    return PurePath(trace).stem


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


def short_counts(axis: Axis) -> None:
    """Write an axis's numbers in three digits and a decimal prefix."""
    from matplotlib.ticker import FuncFormatter

    axis.set_major_formatter(FuncFormatter(lambda value, _: count(value)))


def short_joules(axis: Axis) -> None:
    """Write an axis's picojoules in three digits with the unit that suits them."""
    from matplotlib.ticker import FuncFormatter

    axis.set_major_formatter(FuncFormatter(lambda value, _: joules(value) if value else "0"))


def log_axes(axes: Axes) -> None:
    """Scale both axes by factors, each over a decade at least and with three numbers or more; once all is drawn."""
    from matplotlib.ticker import LogLocator, NullFormatter

    axes.set(xscale="log", yscale="log")
    for axis, limits, set_limits in (
        (axes.xaxis, axes.get_xlim(), axes.set_xlim),
        (axes.yaxis, axes.get_ylim(), axes.set_ylim),
    ):
        low, high = limits
        widen = max(1.0, math.sqrt(10 * low / high))
        set_limits(low / widen, high * widen)
        axis.set_major_locator(LogLocator(subs=(1, 2, 5) if high / low < 1000 else (1,)))
        axis.set_minor_formatter(NullFormatter())
        short_counts(axis)
