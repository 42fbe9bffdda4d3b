"""A result as a compact table for notebooks."""

from __future__ import annotations

from collections.abc import Iterable
from html import escape
from typing import Any

from accelsim.results.equal_area import best_dense_machine
from accelsim.results.other_work import parts_of_total
from accelsim.results.quantities import count, joules, share, times

_HEAD = ("", "MACs", "effectual", "cycles", "without skipping", "speedup", "energy", "energy saved")
_AT_EQUAL_AREA = {"speedup_at_equal_area": "speedup, equal area", "energy_ratio_at_equal_area": "saved, equal area"}


def summary_html(summary: dict[str, Any]) -> str:
    """Return totals by pass as an HTML table without scripts; machine, trace and version stand in its caption."""
    rows = parts_of_total(summary) | {"total": summary["total"]}
    rival = best_dense_machine(summary)
    beside = _AT_EQUAL_AREA if rival is not None else {}
    head = "".join(f"<th>{title}</th>" for title in (*_HEAD, *beside.values()))
    body = "".join(f"<tr><th>{escape(name)}</th>{_cells(part, beside)}</tr>" for name, part in rows.items())
    trace = summary["trace"]["path"]
    source = "operations in memory" if trace is None else trace if isinstance(trace, str) else ", ".join(trace)
    caption = f"{summary['hardware']['name']} on {source}, accelsim {summary['accelsim_version']}"
    if rival is not None:
        caption += f"; equal area: beside the best dense machine, {rival}"
    return (
        f'<table><caption style="text-align: left">{escape(caption)}</caption><thead><tr>{head}</tr></thead>'
        f"<tbody>{body}</tbody></table>"
    )


def _cells(part: dict[str, Any], beside: Iterable[str]) -> str:
    cells = [
        count(part["macs"]),
        share(part["effectual_macs"], part["macs"]),
        f"{part['cycles']:,}",
        f"{part['dense_cycles']:,}",
        times(part["speedup"]),
        joules(part["energy_pj"]),
        times(part["energy_ratio"]),
        *(times(part[ratio]) for ratio in beside),
    ]
    return "".join(f'<td style="text-align: right">{cell}</td>' for cell in cells)
