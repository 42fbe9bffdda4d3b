"""Figures as files, each written whole or not at all; the same figure is the same file."""

from __future__ import annotations

import io
from pathlib import Path
from typing import TYPE_CHECKING

import pandas as pd

from accelsim.errors import AccelsimError
from accelsim.extras import is_installed
from accelsim.files import write_whole

if TYPE_CHECKING:
    from matplotlib.figure import Figure

SUFFIXES = (".svg", ".pdf", ".png")


def can_draw() -> bool:
    """Return whether matplotlib is installed."""
    return is_installed("matplotlib")


def need_matplotlib() -> None:
    """Check that figures can be drawn.

    Raises:
        AccelsimError: matplotlib is missing.
    """
    if not can_draw():
        raise AccelsimError("the figure needs matplotlib: pip install 'accelsim[plot]'")


def rendered(figure: Figure, suffix: str) -> bytes:
    """Return a figure as the content of a file.

    Args:
        suffix: one of `SUFFIXES`.
    """
    import matplotlib
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.backends.backend_pdf import FigureCanvasPdf
    from matplotlib.backends.backend_svg import FigureCanvasSVG

    canvases = {".svg": FigureCanvasSVG, ".pdf": FigureCanvasPdf, ".png": FigureCanvasAgg}
    dates = {".svg": {"Date": None}, ".pdf": {"CreationDate": None}, ".png": None}  # none: the same file tomorrow
    drawn = io.BytesIO()
    with matplotlib.rc_context({"svg.hashsalt": "accelsim"}):
        canvases[suffix](figure).print_figure(drawn, format=suffix[1:], dpi=160, metadata=dates[suffix])
    return drawn.getvalue()


def save_figure(figure: Figure, path: Path) -> Path:
    """Write a figure in the format that the path's suffix names.

    Raises:
        AccelsimError: another suffix, or the file cannot be written.
    """
    if path.suffix not in SUFFIXES:
        raise AccelsimError(f"{path}: a figure's name ends in one of {', '.join(SUFFIXES)}")
    return write_whole(path, rendered(figure, path.suffix))


def save_data(table: pd.DataFrame, path: Path) -> Path:
    """Write a figure's numbers as CSV.

    Raises:
        AccelsimError: the file cannot be written.
    """
    return write_whole(path, table.to_csv(index=False))
