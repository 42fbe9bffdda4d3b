"""A result as a compact table for notebooks."""

from __future__ import annotations

from html import escape
from typing import Any

_HEAD = ("", "MACs", "effectual", "cycles", "without skipping", "speedup", "energy [µJ]", "saved")


def summary_html(summary: dict[str, Any]) -> str:
    """Return totals by pass as an HTML table without scripts; machine, trace and version stand in its caption."""
    rows = dict(summary["by_pass"]) | {"total": summary["total"]}
    head = "".join(f"<th>{title}</th>" for title in _HEAD)
    body = "".join(f"<tr><th>{escape(name)}</th>{_cells(part)}</tr>" for name, part in rows.items())
    trace = summary["trace"]["path"]
    source = "operations in memory" if trace is None else trace if isinstance(trace, str) else ", ".join(trace)
    caption = f"{summary['hardware']['name']} on {source}, accelsim {summary['accelsim_version']}"
    return (
        f'<table><caption style="text-align: left">{escape(caption)}</caption><thead><tr>{head}</tr></thead>'
        f"<tbody>{body}</tbody></table>"
    )


def _cells(part: dict[str, Any]) -> str:
    effectual = f"{100 * part['effectual_macs'] / part['macs']:.1f} %" if part["macs"] else "–"
    ratios = ["–" if part[name] is None else f"{part[name]:.2f}×" for name in ("speedup", "energy_ratio")]
    cells = [f"{part['macs']:,}", effectual, f"{part['cycles']:,}", f"{part['dense_cycles']:,}", ratios[0]]
    cells += ["–" if part["energy_pj"] is None else f"{part['energy_pj'] / 1e6:,.1f}", ratios[1]]
    return "".join(f'<td style="text-align: right">{cell}</td>' for cell in cells)
