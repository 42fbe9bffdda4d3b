"""The tables in docs are the shipped ones."""

from __future__ import annotations

from pathlib import Path

from accelsim.energy.load import load_table, table_names
from accelsim.energy.reference import actions_markdown, refresh, table_markdown

PAGE = Path(__file__).parents[2] / "docs" / "energy.md"


def test_page_is_in_step() -> None:
    page = PAGE.read_text(encoding="utf-8")
    assert refresh(page) == page, "run: python -m accelsim.energy.reference docs/energy.md"
    assert all(part in page for part in (actions_markdown(), *map(table_markdown, table_names())))


def test_every_number_and_source_is_shown() -> None:
    for name in table_names():
        table, text = load_table(name), table_markdown(name)
        assert sum(line.startswith("| `") for line in text.splitlines()) == len(list(table.quantities()))
        assert all(citation in text for citation in table.sources.values())
        assert all(quantity.rule in text for _, quantity in table.quantities() if quantity.rule)
