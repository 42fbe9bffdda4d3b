"""The actions, the shipped energy tables and the prices of other work as Markdown.

`python -m accelsim.energy.reference PAGE` refreshes a page's: it holds them between the lines `<!-- actions -->`,
`<!-- other work -->` or `<!-- table NAME -->` and `<!-- end -->`.
"""

from __future__ import annotations

import sys

from accelsim.energy.actions import ACTIONS
from accelsim.energy.load import load_table
from accelsim.energy.vector_work import PRICES
from accelsim.pages import refresh_files, refreshed


def actions_markdown() -> str:
    """Every action: what it is charged to, who does it, what one is, and what that costs."""
    lines = ["| charged to | component | action | one is | cost of one |", "|---|---|---|---|---|"]
    for action in ACTIONS:
        names = ", ".join(f"`{name}`" for name in action.names)
        lines.append(f"| `{action.charged_to}` | `{action.component}` | {names} | {action.means} | {action.cost} |")
    return "\n".join(lines)


def table_markdown(name: str) -> str:
    """Every number of a table: key, value, unit, status, and source or rule; then the sources."""
    table = load_table(name)
    sizes = {
        f"sram[{index}].access_64_bit": f"`sram`, {point.kib:g} KiB, 64 bits" for index, point in enumerate(table.sram)
    }
    lines = [
        f"{table.technology}.",
        "",
        "| number | value | range | unit | status | from |",
        "|---|---|---|---|---|---|",
    ]
    for key, quantity in table.quantities():
        where = quantity.source + (f": {quantity.rule}" if quantity.rule else "")
        unit = "" if quantity.unit == "1" else quantity.unit
        low, high = quantity.bounds
        cells = (f"{quantity.value:g}", f"{low:.3g} to {high:.3g}", unit, quantity.status, where)
        lines.append(f"| {sizes.get(key, f'`{key}`')} | {' | '.join(cells)} |")
    lines += ["", *(f"- {source}: {citation}" for source, citation in table.sources.items())]
    return "\n".join(lines)


def other_work_markdown() -> str:
    """Every kind of work between the products: operations and words an element, and why."""
    lines = ["| row | kind | operations | words moved | words of 32 bits | from |", "|---|---|---|---|---|---|"]
    for kind, price in PRICES.items():
        lines.append(f"| {price.row} | `{kind}` | {price.ops} | {price.moves} | {price.fp32_moves} | {price.rule} |")
    return "\n".join(lines)


def refresh(page: str) -> str:
    """Return a page's text with the actions and the shipped tables written anew."""
    return refreshed(page, _part)


def _part(name: str) -> str:
    if name == "other work":
        return other_work_markdown()
    return actions_markdown() if name == "actions" else table_markdown(name.removeprefix("table "))


if __name__ == "__main__":
    refresh_files(sys.argv[1:], _part)
