"""How the speedup moves over a training, as a figure. Needs matplotlib."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import pandas as pd

from accelsim.results.training import ALL_PASSES
from accelsim.show.figures.files import need_matplotlib, save_figure
from accelsim.show.figures.style import drawable

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_AT_EQUAL_AREA = "speedup_at_equal_area"
_LINES = (  # pass, column, label, and what tells them apart in print and without colour: hue, marker and dash differ
    ("forward", "speedup", "forward", ("#0072b2", "o", "-")),
    ("input_grad", "speedup", "input_grad", ("#d55e00", "s", "--")),
    ("weight_grad", "speedup", "weight_grad", ("#009e73", "^", ":")),
    (ALL_PASSES, "speedup", ALL_PASSES, ("black", "D", "-")),
    (ALL_PASSES, _AT_EQUAL_AREA, f"{ALL_PASSES}, at equal area", ("#cc79a7", "v", "-.")),
)


@dataclass(frozen=True)
class Panel:
    """One machine's training.

    Attributes:
        title: above the panel.
        steps: a row a recorded step and pass, as `Result.steps`.
        whole: speedup of the whole training; None: unknown.
        whole_at_equal_area: the same beside the best dense machine of the same area.
    """

    title: str
    steps: pd.DataFrame
    whole: float | None = None
    whole_at_equal_area: float | None = None

    @property
    def heading(self) -> str:
        """The title, and what is known of the whole training."""
        known = [f"{self.whole:.2f}×"] if self.whole is not None else []
        known += [f"{self.whole_at_equal_area:.2f}× at equal area"] if self.whole_at_equal_area is not None else []
        return f"{self.title}\nwhole training {', '.join(known)}" if known else self.title

    def line(self, name: str, column: str) -> pd.DataFrame:
        """Return a pass's rows that have a number; none where there is no such column."""
        rows = self.steps[self.steps["pass"] == name]
        return rows.dropna(subset=column) if column in rows.columns else rows.iloc[:0]


def draw_speedup(panels: list[Panel], stem: Path) -> list[Path]:
    """Draw `speedup_figure` into `stem`.svg and `stem`.png.

    Returns:
        The files, each written whole or not at all.

    Raises:
        AccelsimError: matplotlib is missing, or the files cannot be written.
    """
    need_matplotlib()
    figure = speedup_figure([replace(panel, title=drawable(panel.title)) for panel in panels])
    return [save_figure(figure, stem.with_suffix(suffix)) for suffix in (".svg", ".png")]


def speedup_figure(panels: list[Panel]) -> Figure:
    """Return speedup by pass over training steps, a panel a machine.

    Steps that grow weights by gradient are hollow marks beside the lines through the others. The whole training's
    speedup is a dashed grey line where it is known; a thin black line is the machine without skipping. Where there is a
    dense machine of the same area, a line more is the speedup of all passes beside the best of them.
    """
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from matplotlib.ticker import FuncFormatter, MaxNLocator

    width = 5.2 if len(panels) == 1 else 3.4 * len(panels)
    figure = Figure(figsize=(width, 3.9), layout="constrained")
    axes: list[Axes] = list(figure.subplots(1, len(panels), sharey=True, squeeze=False)[0])
    for axis, panel in zip(axes, panels, strict=True):
        for name, column, label, (colour, marker, dash) in _LINES:
            rows = panel.line(name, column)
            if column == _AT_EQUAL_AREA and rows.empty:
                continue
            ordinary, growth = rows[rows["kind"] != "growth"], rows[rows["kind"] == "growth"]
            bold = 2.4 if name == ALL_PASSES else 1.4
            axis.plot(ordinary["step"], ordinary[column], dash, color=colour, marker=marker, ms=5, lw=bold, label=label)
            axis.plot(growth["step"], growth[column], color=colour, marker=marker, ms=5, lw=0, mfc="white")
        axis.axhline(1, color="black", linewidth=0.8, label="without skipping")
        if panel.whole is not None:
            axis.axhline(panel.whole, color="grey", linewidth=1.4, dashes=(6, 2), label="whole training")
        axis.set_title(panel.heading, fontsize=9)
        axis.set_xlabel("training step")
        axis.xaxis.set_major_locator(MaxNLocator(6, steps=[1, 2, 5, 10], integer=True))
        axis.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}×"))
        axis.spines[["top", "right"]].set_visible(False)
    compared = any(len(panel.line(ALL_PASSES, _AT_EQUAL_AREA)) for panel in panels)
    axes[0].set_ylabel("speedup" if compared else "speedup over the same\nmachine without skipping")
    axes[0].set_ylim(0)
    if any((panel.steps["kind"] == "growth").any() for panel in panels):
        axes[0].plot([], [], "o", color="grey", markerfacecolor="white", label="growth steps")
    handles, labels = axes[0].get_legend_handles_labels()
    figure.legend(
        handles, labels, loc="outside lower center", ncols=3 if len(panels) == 1 else 4, frameon=False, fontsize=7.5
    )
    return figure
