"""What a kind of figure is."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import pandas as pd

from accelsim.show.figures.source import Source
from accelsim.show.figures.style import drawable

if TYPE_CHECKING:
    from matplotlib.figure import Figure


@dataclass(frozen=True)
class FigureKind:
    """A kind of figure, in two parts: numbers, and a drawing of nothing but these.

    Attributes:
        name: on the command line.
        title: a line of what it shows.
        reading: how to read it, for the report.
        data: the numbers, a table that is written beside the figure; raises AccelsimError where the sources do not
            have them.
        draw: a matplotlib figure of that table. Needs matplotlib.
        compares: it shows machines or traces side by side, so that one result alone is not worth drawing.
    """

    name: str
    title: str
    reading: str
    data: Callable[[Sequence[Source]], pd.DataFrame]
    draw: Callable[[pd.DataFrame], Figure]
    compares: bool = False

    def figure(self, data: pd.DataFrame) -> Figure:
        """Draw the numbers, whatever is in their names."""
        names = data.select_dtypes(exclude="number").columns
        shown = {name: data[name].map(lambda one: drawable(one) if isinstance(one, str) else one) for name in names}
        return self.draw(data.assign(**shown))
