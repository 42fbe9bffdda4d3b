"""Attained work a cycle over work a DRAM byte, under the machine's roofs (Williams et al., CACM 2009)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from accelsim.errors import AccelsimError
from accelsim.results.result import SLOT_COLUMNS
from accelsim.show.figures.kind import FigureKind
from accelsim.show.figures.source import BANDWIDTH, Source
from accelsim.show.figures.style import MARKERS, PASS_STYLES, log_axes, new_figure, plain_axes

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_MOST_MACHINES = 6


def data(sources: Sequence[Source]) -> pd.DataFrame:
    """Return a row a layer (a result) or design (a sweep) and pass.

    Columns: machine, layer, pass, macs, effectual_macs, cycles, dram_bytes, macs_per_cycle, macs_per_byte, the same of
    effectual_macs, peak_macs_per_cycle (R · C · L · arrays), bytes_per_cycle (empty: ideal memory, or a table that does
    not say it).

    Raises:
        AccelsimError: a source has no slots or DRAM bytes, or has too many machines to tell apart.
    """
    tables = []
    for source in sources:
        table = source.table
        slots = [name for name in SLOT_COLUMNS if name in table.columns]
        if missing := [name for name in ("slots_effectual", "dram_bytes", "macs") if name not in table.columns]:
            raise AccelsimError(f"{source.path}: no columns {', '.join(missing)}, which the roofline needs")
        if source.result is not None:
            dram = source.result.summary["hardware"]["memory"]["dram"]
            label = table["layer"]
            bandwidth = pd.Series(np.nan if dram is None else dram["bytes_per_cycle"], index=table.index)
        else:
            label = table["trace"].astype(str)
            known = BANDWIDTH in table.columns
            bandwidth = pd.to_numeric(table[BANDWIDTH]) if known else pd.Series(np.nan, index=table.index)
        machine = table["machine"] if len(sources) == 1 else source.labels
        tables.append(
            table.assign(machine=machine, layer=label, slots=table[slots].sum(axis=1), bytes_per_cycle=bandwidth)
        )
    rows = pd.concat(tables, ignore_index=True)
    if rows["machine"].nunique() > _MOST_MACHINES:
        raise AccelsimError(
            f"{sources[0].path}: {rows['machine'].nunique()} machines, a roofline has room for {_MOST_MACHINES}"
        )
    summed = {name: (name, "sum") for name in ("macs", "cycles", "dram_bytes", "slots")}
    found = rows.groupby(["machine", "layer", "pass"], sort=False, as_index=False).agg(
        effectual_macs=("slots_effectual", "sum"), bytes_per_cycle=("bytes_per_cycle", "first"), **summed
    )
    found = found[(found["cycles"] > 0) & (found["dram_bytes"] > 0)]
    for name in ("macs", "effectual_macs"):
        found[f"{name}_per_cycle"] = found[name] / found["cycles"]
        found[f"{name}_per_byte"] = found[name] / found["dram_bytes"]
    found["peak_macs_per_cycle"] = found["slots"] / found["cycles"]
    return found.drop(columns="slots")


def draw(table: pd.DataFrame) -> Figure:
    """Draw a panel a machine: what was multiplied (filled) and what skipping makes of it (hollow)."""
    machines = list(dict.fromkeys(table["machine"]))
    figure = new_figure(4.4 * len(machines) + 0.4, 4.2)
    grid = figure.subplots(1, len(machines), squeeze=False, sharey=True)[0]
    for axes, machine in zip(grid, machines, strict=True):
        rows = table[table["machine"] == machine]
        for which, (colour, marker) in PASS_STYLES.items():
            part = rows[rows["pass"] == which]
            if part.empty:
                continue
            points = {"color": colour, "marker": marker, "lw": 0, "ms": 5}
            axes.plot(part["effectual_macs_per_byte"], part["effectual_macs_per_cycle"], label=which, **points)
            axes.plot(part["macs_per_byte"], part["macs_per_cycle"], mfc="none", alpha=0.8, **points)
        _roofs(axes, rows)
        axes.set_title(machine, fontsize=10)
        axes.set_xlabel("MACs per DRAM byte", fontsize=8.5)
        axes.grid(color="0.92", lw=0.6)
        plain_axes(axes)
        axes.set(xscale="log", yscale="log")
    for axes in grid:
        log_axes(axes)
    grid[0].set_ylabel("MACs per cycle", fontsize=8.5)
    handles, labels = grid[0].get_legend_handles_labels()
    handles += grid[0].plot([], [], MARKERS[0], color="grey", mfc="none")
    labels.append("hollow: zeros that were skipped count as done")
    figure.legend(
        handles, labels, loc="outside lower center", ncols=min(3, len(machines) + 1), frameon=False, fontsize=8
    )
    return figure


def _roofs(axes: Axes, rows: pd.DataFrame) -> None:
    """The array's peak, and DRAM's bandwidth up to it, where it is known."""
    reach = rows[["macs_per_byte", "effectual_macs_per_byte"]]
    positive = reach.to_numpy()[reach.to_numpy() > 0]
    if not positive.size:
        return
    peak = float(rows["peak_macs_per_cycle"].max())
    low, high = positive.min() / 1.5, positive.max() * 1.5
    bandwidth = rows["bytes_per_cycle"].iloc[0]
    if pd.isna(bandwidth):
        axes.plot([low, high], [peak, peak], color="black", lw=1.4, label=f"peak {peak:.0f} MACs a cycle")
        return
    knee = peak / bandwidth
    intensity = [min(low, knee), knee, max(high, knee)]
    roof = [min(peak, value * bandwidth) for value in intensity]
    axes.plot(intensity, roof, color="black", lw=1.4, label="roofs: DRAM bandwidth, multipliers")


KIND = FigureKind(
    "roofline",
    "work a cycle over work a DRAM byte, under the machine's roofs",
    "Filled points count the products of two non-zeros that were made; they cannot rise above the roofs. Under the"
    " slanted roof DRAM bandwidth limits, under the flat one the multipliers. Hollow points count all products of the"
    " pass: where skipping helps they rise above the flat roof.",
    data,
    draw,
)
