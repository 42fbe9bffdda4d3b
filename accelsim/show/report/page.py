"""The report as a page: content and figures in one HTML file that asks the network for nothing."""

from __future__ import annotations

import re
from dataclasses import dataclass

from accelsim.errors import AccelsimError
from accelsim.extras import need
from accelsim.show.figures.files import need_matplotlib, rendered
from accelsim.show.figures.registry import KINDS
from accelsim.show.figures.source import Source
from accelsim.show.report.content import content_of

_SVG = re.compile(r"<svg.*</svg>", re.DOTALL)
_METADATA = re.compile(r"<metadata>.*?</metadata>", re.DOTALL)
_IDS = re.compile(r'(\bid="|href="#|url\(#)')


@dataclass(frozen=True)
class Drawn:
    """A figure of the report.

    Attributes:
        svg: the element, with ids that no other figure of the page has.
    """

    name: str
    title: str
    reading: str
    svg: str


def report_html(source: Source) -> str:
    """Return a result or sweep as a self-contained page.

    Raises:
        AccelsimError: Jinja2 or matplotlib is missing.
    """
    need("jinja2", "Jinja2", "the report", "report")
    need_matplotlib()
    from jinja2 import Environment, PackageLoader, StrictUndefined

    environment = Environment(
        loader=PackageLoader("accelsim.show.report", "."),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    figures, left_out = draw_all(source)
    page = environment.get_template("page.html.j2")
    return page.render(content=content_of(source), figures=figures, left_out=left_out)


def draw_all(source: Source) -> tuple[list[Drawn], dict[str, str]]:
    """Draw every kind that the source has numbers for, and return the others by title with the reason."""
    figures, left_out = [], {}
    for kind in KINDS.values():
        if kind.compares and source.result is not None:
            continue
        try:
            data = kind.data([source])
        except AccelsimError as error:
            left_out[kind.title] = str(error)
            continue
        text = rendered(kind.figure(data), ".svg").decode()
        figures.append(Drawn(kind.name, kind.title, kind.reading, inline_svg(text, kind.name)))
    return figures, left_out


def inline_svg(text: str, name: str) -> str:
    """Return the svg element of a file: without metadata, its ids prefixed so that several fit on a page."""
    found = _SVG.search(text)
    if found is None:
        raise ValueError("matplotlib drew no svg element")
    return _IDS.sub(rf"\g<1>{name}-", _METADATA.sub("", found[0]))
