"""A table of text that fits the terminal: names are not squeezed, numbers are not cut."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence

from rich.console import Console, ConsoleOptions
from rich.measure import Measurement
from rich.text import Text

_LEAST_NAME = 24  # letters that a name gets on one line, however narrow the terminal
_LEAST_VALUE = 8


class TextTable:
    """Rows of names and values; columns that find no room stand in a part of their own below, beside the names again.

    Cells hold rich's markup. A name that needs more than half of the terminal goes on in the next line, and so does a
    text that is wider than all the room beside the names.

    Args:
        title: stands above, in bold.
        names: headings of the columns that say what a row is.
        values: headings of the other columns.
        left: which of `values` hold text and stand on the left; numbers stand on the right.
        ruled: whether there is a line below the headings.
    """

    def __init__(
        self,
        title: str,
        names: Sequence[str],
        values: Sequence[str],
        *,
        left: Collection[str] = (),
        ruled: bool = False,
    ) -> None:
        self.title, self._ruled = title, ruled
        self._headings = [Text.from_markup(heading) for heading in (*names, *values)]
        self._names = range(len(names))
        self._on_left = [*(True for _ in names), *(heading in left for heading in values)]
        self._rows: list[tuple[list[Text], str]] = []
        self._section_ends: set[int] = set()

    @property
    def row_count(self) -> int:
        """How many rows there are."""
        return len(self._rows)

    def add_row(self, *cells: str, style: str = "") -> None:
        """Append a row: a cell for each column, or one alone, which takes the whole line."""
        if len(cells) not in (1, len(self._headings)):
            raise ValueError(f"{len(cells)} cells, expected 1 or {len(self._headings)}")
        self._rows.append(([Text.from_markup(cell) for cell in cells], style))

    def end_section(self) -> None:
        """Draw a line below the last row."""
        self._section_ends.add(len(self._rows))

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> Iterator[Text]:
        natural = [max(map(_width, column)) for column in self._columns()]
        gap = 2 if sum(natural) + 2 * (len(natural) - 1) <= options.max_width else 1
        widths = self._widths(natural, gap, options.max_width)
        parts = list(self._parts(widths, gap, options.max_width))
        if self.title:
            yield Text.from_markup(self.title, style="bold")
        for number, part in enumerate(parts):
            if number:
                yield Text()
            yield from self._part(console, part, widths, gap, options.max_width)

    def __rich_measure__(self, console: Console, options: ConsoleOptions) -> Measurement:
        widest = max((line.cell_len for line in self.__rich_console__(console, options)), default=0)
        return Measurement(widest, widest)

    def _columns(self) -> Iterator[list[Text]]:
        full = [cells for cells, _ in self._rows if len(cells) == len(self._headings)]
        for position, heading in enumerate(self._headings):
            yield [heading, *(cells[position] for cells in full)]

    def _widths(self, natural: Sequence[int], gap: int, room: int) -> list[int]:
        """Width of each column: its own, but names leave half of the room to values, and room for any number."""
        widths = list(natural)
        if not self._names:
            return [min(width, room) for width in widths]
        values = natural[len(self._names) :]
        if values:
            others = sum(widths[1 : len(self._names)]) + gap * len(self._names)
            numbers = [width for width, left in zip(natural, self._on_left, strict=True) if not left]
            most = max(_LEAST_VALUE, min(max(_LEAST_NAME, room // 2), room - others - max(numbers, default=0)))
            widths[0] = min(widths[0], max(most, room - others - sum(values) - gap * (len(values) - 1)))
        beside = max(room - sum(widths[position] + gap for position in self._names), _LEAST_VALUE)
        return [width if position in self._names else min(width, beside) for position, width in enumerate(widths)]

    def _parts(self, widths: list[int], gap: int, room: int) -> Iterator[list[int]]:
        """Columns of each part, by position; a text takes what room is left, if that is enough for a few words."""
        part, taken = [*self._names], sum(widths[position] + gap for position in self._names)
        for position in range(len(self._names), len(widths)):
            left_over = room - taken
            if widths[position] > left_over >= _LEAST_NAME and self._on_left[position]:
                widths[position] = left_over
            if widths[position] > left_over and len(part) > len(self._names):
                yield part
                part, taken = [*self._names], sum(widths[name] + gap for name in self._names)
            part.append(position)
            taken += widths[position] + gap
        yield part

    def _part(
        self, console: Console, part: Sequence[int], widths: Sequence[int], gap: int, room: int
    ) -> Iterator[Text]:
        line = "─" * (sum(widths[position] for position in part) + gap * (len(part) - 1))
        if any(self._headings[position].plain for position in part):
            yield from self._lines(console, self._headings, part, widths, gap, "bold" if self._ruled else "")
        if self._ruled:
            yield Text(line)
        for number, (cells, style) in enumerate(self._rows, start=1):
            if len(cells) == len(self._headings):
                yield from self._lines(console, cells, part, widths, gap, style)
            else:
                for text in _folded(console, cells[0], room):
                    text.stylize(style)
                    yield text
            if number in self._section_ends:
                yield Text(line)

    def _lines(
        self,
        console: Console,
        cells: Sequence[Text],
        part: Sequence[int],
        widths: Sequence[int],
        gap: int,
        style: str,
    ) -> Iterator[Text]:
        """Lay out one row, which takes as many lines as its highest cell."""
        folded = {position: _folded(console, cells[position], widths[position]) for position in part}
        for number in range(max(map(len, folded.values()))):
            line = Text(style=style, no_wrap=True)
            for position in part:
                cell = folded[position][number] if number < len(folded[position]) else Text()
                space = " " * (widths[position] - cell.cell_len)
                line.append_text(cell + space if self._on_left[position] else Text(space) + cell)
                line.append(" " * gap)
            line.rstrip()
            yield line


def _width(cell: Text) -> int:
    return max((line.cell_len for line in cell.split("\n", allow_blank=True)), default=0)


def _folded(console: Console, cell: Text, width: int) -> list[Text]:
    """Return a cell's lines: where there is room as they are, else broken at blanks or within words."""
    lines = cell.split("\n", allow_blank=True) if cell.plain else [Text()]
    return [
        part
        for line in lines
        for part in (line.wrap(console, width, overflow="fold") if line.cell_len > width else [line])
    ]
