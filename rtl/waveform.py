"""Draw docs/rtl_waveform.png from the waveform of docs/timing.md's worked example.

    accelsim validate rtl --cases 0 --vcd example.vcd
    python rtl/waveform.py example.vcd docs/rtl_waveform.png

Reads the VCD and samples every signal just before each rising clock edge: what the registers see. Knows nothing of the
example but the names of the signals.
"""

from __future__ import annotations

import io
import re
import sys
from pathlib import Path

import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt

from accelsim.files import write_whole

ARRAY = "TOP.bench_top.g_tiles.u_array"
BLUE, ORANGE, GREY = "#0072b2", "#d55e00", "#999999"


def read_vcd(path: Path) -> tuple[dict[str, str], dict[str, list[tuple[int, int]]]]:
    """Return the code of every signal by its full name, and every code's changes as (time, value)."""
    codes: dict[str, str] = {}
    changes: dict[str, list[tuple[int, int]]] = {}
    scope: list[str] = []
    time = 0
    for line in path.read_text(encoding="ascii").splitlines():
        words = line.split()
        if not words:
            continue
        if words[0] == "$scope":
            scope.append(words[2])
        elif words[0] == "$upscope":
            scope.pop()
        elif words[0] == "$var":
            codes[".".join([*scope, words[4]])] = words[3]
        elif words[0].startswith("#"):
            time = int(words[0][1:])
        elif words[0].startswith("b"):
            changes.setdefault(words[1], []).append((time, int(words[0][1:], 2)))
        elif re.fullmatch(r"[01]\S+", words[0]):
            changes.setdefault(words[0][1:], []).append((time, int(words[0][0])))
    return codes, changes


def sampled(changes: list[tuple[int, int]], times: list[int]) -> list[int]:
    """Return the value just before each time."""
    return [next((value for at, value in reversed(changes) if at < time), 0) for time in times]


def main(source: Path, target: Path) -> None:
    """Draw start, pointers, pushes, queues and done of a 2 x 2 array with a scan pointer a row."""
    codes, changes = read_vcd(source)
    edges = [time for time, value in changes[codes["TOP.clk"]] if value]

    def signal(name: str) -> list[int]:
        return sampled(changes[codes[f"{ARRAY}.{name}"]], edges)

    running, start, done = signal("running"), signal("start"), signal("done")
    first, last = start.index(1), done.index(1)
    shown = range(first, last + 1)
    rows: list[tuple[str, list[int], str]] = [("start", start, "bit"), ("running", running, "bit")]
    for row in range(2):
        rows.append((f"row {row} pointer", signal(f"g_group[{row}].u_group.pointer"), "number"))
        rows.append((f"row {row} advance", signal(f"g_group[{row}].u_group.advance"), "bit"))
        for col in range(2):
            queue = f"g_row[{row}].g_col[{col}].g_scanning.u_pe.u_queue"
            rows.append((f"PE ({row},{col}) held", signal(f"{queue}.held"), "number"))
            rows.append((f"PE ({row},{col}) pushed", signal(f"{queue}.pushed"), "number"))
    rows.append(("done", done, "bit"))

    figure, axes = plt.subplots(figsize=(9, 0.36 * len(rows) + 0.9), layout="constrained")
    for index, (name, values, kind) in enumerate(rows):
        base = -index
        colour = BLUE if "row 0" in name or "(0," in name else ORANGE if "row 1" in name or "(1," in name else "black"
        for at, clock in enumerate(shown):
            value = values[clock]
            if kind == "bit":
                level = base + 0.6 * value
                before = base + 0.6 * values[clock - 1] if at else level
                axes.plot([at, at, at + 1], [before, level, level], color=colour, lw=1.4)
            else:
                face = colour if value else "white"
                axes.fill_between([at + 0.04, at + 0.96], base, base + 0.6, facecolor=face, alpha=0.25, lw=0)
                axes.plot([at + 0.04, at + 0.96], [base, base], color=GREY, lw=0.6)
                axes.text(at + 0.5, base + 0.28, str(value), ha="center", va="center", fontsize=8)
    names = []
    cycle = 0
    for clock in shown:
        cycle += running[clock]
        names.append(str(cycle) if running[clock] else "")
    for at in range(len(shown) + 1):
        axes.axvline(at, color=GREY, lw=0.3, zorder=0)
    axes.set_xticks([at + 0.5 for at in range(len(shown))], names)
    axes.set_yticks([0.3 - index for index in range(len(rows))], [name for name, _, _ in rows], fontsize=8)
    axes.tick_params(length=0)
    axes.set_xlim(0, len(shown))
    axes.set_xlabel("cycle of the tile")
    axes.spines[:].set_visible(False)
    drawn = io.BytesIO()
    figure.savefig(drawn, dpi=130, format=target.suffix[1:])
    write_whole(target, drawn.getvalue())


if __name__ == "__main__":
    if len(sys.argv) != 3:
        sys.exit(__doc__)
    main(Path(sys.argv[1]), Path(sys.argv[2]))
