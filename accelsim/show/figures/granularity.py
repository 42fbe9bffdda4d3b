"""Speedup against how coarse the zeros are, at equal sparsity: machines × passes."""

from __future__ import annotations

import re
import shlex
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pandas as pd

from accelsim.errors import AccelsimError
from accelsim.lowering.gemm import PASSES
from accelsim.results.row import speedup
from accelsim.show.figures.kind import FigureKind
from accelsim.show.figures.source import Source
from accelsim.show.figures.style import MARKERS, line, new_figure, plain_axes

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_FACTS = ["trace", "origin", "pattern", "weight_density"]
_SUMMED = ["macs", "slots_effectual", "cycles", "dense_cycles"]
_BLOCK = re.compile(r"(\d{1,9})x(\d{1,9})")


def data(sources: Sequence[Source]) -> pd.DataFrame:
    """Return a row a trace, machine and pass.

    Columns: trace, origin (synthetic or recorded), pattern, weight_density (share of weights left), machine, pass,
    macs, slots_effectual, cycles, dense_cycles, speedup, ideal: macs over the fewest products that any machine of the
    figure made in this trace and pass, which is the speedup of a machine that never idles and skips the same zeros.

    Raises:
        AccelsimError: a source does not say its pattern, or has no slots; there are too many machines to tell apart.
    """
    tables = [_described(source) for source in sources]
    rows = pd.concat(tables, ignore_index=True)
    if (machines := rows["machine"].nunique()) > len(MARKERS):
        raise AccelsimError(f"{sources[0].path}: {machines} machines, this figure tells {len(MARKERS)} apart")
    sums = rows.groupby([*_FACTS, "machine", "pass"], sort=False, as_index=False)[_SUMMED].sum()
    sums["speedup"] = [speedup(*pair) for pair in zip(sums["dense_cycles"], sums["cycles"], strict=True)]
    fewest = sums.groupby([*_FACTS, "pass"])["slots_effectual"].transform("min")
    sums["ideal"] = [speedup(*pair) for pair in zip(sums["macs"], fewest, strict=True)]
    return sums


def pattern_of(meta: Mapping[str, Any]) -> tuple[str, str, float] | None:
    """Return origin, pattern and share of weights left, as a trace's metadata tell them; None if they do not."""
    try:
        if meta.get("synthetic") and "pattern" in meta:
            pattern, density = str(meta["pattern"]), meta.get("weight_density")
            if density is None:  # N:M leaves N/M if nobody asks for more, everything else all
                part = re.fullmatch(r"(?:transposable-)?(\d+):(\d+)", pattern)
                density = int(part[1]) / int(part[2]) if part else 1.0
            found = "synthetic", "none" if density == 1 else pattern, float(density)
        else:
            words = shlex.split(str(meta.get("command", "")))
            pattern, sparsity = (words[words.index(option) + 1] for option in ("--pattern", "--sparsity"))
            found = "recorded", pattern, round(1 - float(sparsity), 6)
    except (ValueError, IndexError, TypeError, ArithmeticError):  # a foreign writer's words
        return None
    return found if 0 <= found[2] <= 1 else None


def coarseness(pattern: str) -> tuple[float, str]:
    """Return what sorts patterns from fine to coarse: none, element, N:M, vectors and blocks by size, channel."""
    if pattern in ("none", "element"):
        return (-1.0 if pattern == "none" else 1.0, pattern)
    if ":" in pattern:
        return 1.5, pattern
    if size := _BLOCK.fullmatch(pattern):
        return float(int(size[1]) * int(size[2])), pattern
    return float("inf"), pattern


def draw(table: pd.DataFrame) -> Figure:
    """Draw a row of panels a density, a column a pass."""
    pruned = table[table["pattern"] != "none"]
    densities = sorted(pruned["weight_density"].unique(), reverse=True) or [1.0]
    patterns = sorted(table["pattern"].unique(), key=coarseness)
    passes = [which for which in PASSES if which in set(table["pass"])]
    machines = list(dict.fromkeys(table["machine"]))
    figure = new_figure(3.5 * len(passes) + 0.5, 2.5 * len(densities) + 0.8)
    grid = figure.subplots(len(densities), len(passes), sharex=True, sharey=True, squeeze=False)
    for row, density in enumerate(densities):
        for column, which in enumerate(passes):
            here = (table["weight_density"] == density) | (table["pattern"] == "none")
            axes = grid[row][column]
            _panel(axes, table[here & (table["pass"] == which)], patterns, machines)
            if row == 0:
                axes.set_title(which, fontsize=10)
        grid[row][0].set_ylabel(f"{100 * (1 - density):.3g} % of weights pruned\nspeedup", fontsize=8.5)
    low, high = grid[0][0].get_ylim()  # of all panels, once all is drawn: they share the scale
    grid[0][0].set_ylim(low, max(high, 2.2))  # two numbers at least
    handles, labels = grid[0][0].get_legend_handles_labels()
    if (table["origin"] == "recorded").any():
        handles += grid[0][0].plot([], [], "o", color="grey", mfc="white", mew=1.4)
        labels.append("recorded trace")
    figure.legend(handles, labels, loc="outside lower center", ncols=4, frameon=False, fontsize=8)
    return figure


def _panel(axes: Axes, rows: pd.DataFrame, patterns: list[str], machines: list[str]) -> None:
    from matplotlib.ticker import FuncFormatter, NullFormatter

    places = {name: place for place, name in enumerate(patterns)}
    made = rows[rows["origin"] == "synthetic"]
    ideal = made if len(made) else rows
    ideal = ideal.drop_duplicates("pattern").assign(x=lambda part: part["pattern"].map(places)).sort_values("x")
    bounds = (ideal["x"] - 0.4, ideal["x"] + 0.4)
    axes.hlines(ideal["ideal"], *bounds, color="0.7", lw=3.5, label="bound: no zero costs a cycle", zorder=1)
    axes.axhline(1, color="black", lw=0.8, label="skips nothing")
    for position, machine in enumerate(machines):
        colour, marker, dash = line(position)
        part = made[made["machine"] == machine].assign(x=lambda one: one["pattern"].map(places)).sort_values("x")
        pruned, dense = part[part["pattern"] != "none"], part[part["pattern"] == "none"]
        axes.plot(pruned["x"], pruned["speedup"], dash, color=colour, marker=marker, ms=5, lw=1.4, label=machine)
        axes.plot(dense["x"], dense["speedup"], color=colour, marker=marker, ms=5, lw=0)
        found = rows[(rows["machine"] == machine) & (rows["origin"] == "recorded")]
        shift = 0.1 * (position - (len(machines) - 1) / 2)
        x = [places[name] + shift for name in found["pattern"]]
        axes.plot(x, found["speedup"], color=colour, marker=marker, ms=6, lw=0, mfc="white", mew=1.4, zorder=4)
    axes.set_yscale("log", base=2)
    axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}×"))
    axes.yaxis.set_minor_formatter(NullFormatter())
    axes.set_xticks(range(len(patterns)), patterns, rotation=45, ha="right")
    axes.set_xlim(-0.6, len(patterns) - 0.4)
    axes.grid(axis="y", color="0.9", lw=0.6)
    plain_axes(axes)


def _described(source: Source) -> pd.DataFrame:
    """A source's rows with its pattern."""
    table = source.table
    if "slots_effectual" not in table.columns:
        raise AccelsimError(f"{source.path}: no column slots_effectual, which the ideal speedup needs")
    if {"pattern", "weight_density"} <= set(table.columns):
        return table if "origin" in table.columns else table.assign(origin="synthetic")
    if source.result is not None:
        found = {name: pattern_of(source.result.trace["meta"]) for name in table["trace"].unique()}
    else:
        found = {name: pattern_of(_meta(Path(str(name)))) for name in table["trace"].unique()}
    for name, facts in found.items():
        if facts is None:
            raise AccelsimError(
                f"{source.path}: the metadata of {name} do not say how weights were pruned, expected a trace of"
                " accelsim train or accelsim synth, or columns pattern and weight_density"
            )
    known = [described for name in table["trace"] if (described := found[name])]
    columns = pd.DataFrame(known, columns=_FACTS[1:], index=table.index)
    return pd.concat([table.drop(columns=_FACTS[1:], errors="ignore"), columns], axis=1)


def _meta(trace: Path) -> Mapping[str, Any]:
    from accelsim.trace import open_trace

    return open_trace(trace).meta


KIND = FigureKind(
    "granularity",
    "speedup against the granularity of sparsity, by machine and pass",
    "To the right zeros hang together in larger units. A grey bar is the speedup if every product that some machine"
    " of the figure left out were a cycle saved; what lies between it and a machine is what that machine loses to its"
    " own structure. A line that rises to the right belongs to a machine that needs coarse zeros.",
    data,
    draw,
    compares=True,
)
