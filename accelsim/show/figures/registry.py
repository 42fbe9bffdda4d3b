"""The kinds of figures by name: a new one is a file beside this one, and a line here."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from accelsim.errors import AccelsimError
from accelsim.show.figures import energy, granularity, layers, pareto, ratios, roofline, slots, training
from accelsim.show.figures.files import SUFFIXES, need_matplotlib, save_data, save_figure
from accelsim.show.figures.kind import FigureKind
from accelsim.show.figures.source import Source

KINDS = {
    kind.name: kind
    for kind in (
        ratios.KIND,
        granularity.KIND,
        training.KIND,
        slots.KIND,
        energy.KIND,
        roofline.KIND,
        pareto.KIND,
        layers.KIND,
    )
}


def find_kind(name: str) -> FigureKind:
    """Return a kind of figure by its name.

    Raises:
        AccelsimError: there is none of that name.
    """
    if name not in KINDS:
        raise AccelsimError(f"unknown kind of figure {name!r}, expected one of {', '.join(KINDS)}")
    return KINDS[name]


def plot(kind: FigureKind, sources: Sequence[Source], out: Path) -> list[Path]:
    """Draw a figure into a file, and write its numbers as CSV beside it.

    Raises:
        AccelsimError: the sources do not have what it shows, matplotlib is missing, or a file cannot be written.
    """
    if out.suffix not in SUFFIXES:
        raise AccelsimError(f"--out is {out}, expected a name that ends in one of {', '.join(SUFFIXES)}")
    table = out.with_suffix(".csv")
    if any(source.path.resolve() == table.resolve() for source in sources):
        raise AccelsimError(f"--out is {out}, but its numbers would overwrite {table}, from which it is drawn")
    need_matplotlib()
    data = kind.data(sources)
    return [save_figure(kind.figure(data), out), save_data(data, table)]
