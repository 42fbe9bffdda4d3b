"""One table of all machines that the sweeps and searches simulated, and the winners by trace.

    python experiments/equal_area/tables.py [FOLDER]

reads the Parquet files that the commands of README.md leave in FOLDER (by default runs/equal_area), writes
`designs.csv` beside this file, a row per space and machine, and prints the best machines of all traces as Markdown.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from accelsim.files import write_whole

HERE = Path(__file__).parent
FILES = {"pes": "search", "machines": "search", "finalists": "sweep", "rows": "sweep"}
KEYS = [
    *("skipping.kind", "skipping.scan_width", "skipping.windows", "skipping.fifo_depth", "skipping.sync"),
    "skipping.outputs",
    *("array.rows", "array.cols", "array.lanes", "vector.lanes"),
    *("memory.buffers.weight_words_per_cycle", "memory.buffers.input_words_per_cycle"),
    *("memory.buffers.weight_kib", "memory.buffers.input_kib", "memory.buffers.output_kib"),
]


def geometric(values: pd.Series) -> float:
    """The geometric mean."""
    return float(np.exp(np.log(values.astype(float)).mean()))


def rows_of(table: pd.DataFrame) -> Iterator[dict[str, Any]]:
    """Yield one row per design: whole steps, other work included, over its traces, and each trace's speedup."""
    for _, design in table.groupby("design"):
        of_trace = design.groupby("trace")[["cycles", "equal_area_cycles", "energy_pj", "equal_area_energy_pj"]].sum()
        speedups = of_trace["equal_area_cycles"] / of_trace["cycles"]
        yield {
            **{key: design[key].iloc[0] for key in KEYS},
            "area_mm2": design["area_mm2"].iloc[0],
            "speedup_at_equal_area": geometric(speedups),
            "energy_ratio_at_equal_area": geometric(of_trace["equal_area_energy_pj"] / of_trace["energy_pj"]),
            **{Path(trace).stem: speedup for trace, speedup in speedups.items()},
        }


def name_of(row: pd.Series) -> str:
    """Name a machine in a word: `8×16`, `1×64×2` with lanes."""
    kind = {"inner_join": "join", "dense": "row"}[row["skipping.kind"]]
    lanes = "" if row["array.lanes"] == 1 else f"×{row['array.lanes']}"
    return f"{kind} {row['array.rows']}×{row['array.cols']}{lanes}"


def main() -> None:
    """Read, write, print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", nargs="?", type=Path, default=HERE.parents[1] / "runs" / HERE.name)
    folder = parser.parse_args().folder
    found = []
    for space, file in FILES.items():
        table = pd.DataFrame(rows_of(pd.read_parquet(folder / space / f"{file}.parquet")))
        table.insert(0, "space", space)
        table["skipping.kind"] = table["skipping.kind"].astype(object).fillna("dense")  # the default kind
        found.append(table.sort_values("speedup_at_equal_area", ascending=False))
    every = pd.concat(found, ignore_index=True)
    write_whole(HERE / "designs.csv", every.to_csv(index=False, float_format="%.4g"))
    lanes, outputs = every["vector.lanes"] == 32, every["skipping.outputs"].astype(bool)
    shown = (every["space"] == "finalists") & lanes | (every["space"] == "rows") & ~outputs & (
        every["array.lanes"] == 1
    )
    best = every[shown].sort_values("speedup_at_equal_area", ascending=False)
    traces = sorted(name for name in best.columns if name.startswith(("simclr_", "byol_", "moco_")))
    print("| | " + " | ".join(name_of(row) for _, row in best.iterrows()) + " |\n" + "|---" * (len(best) + 1) + "|")
    for name in (*traces, "speedup_at_equal_area", "energy_ratio_at_equal_area", "area_mm2"):
        cells = [f"{value:.2f}" for value in best[name]]
        if name in traces:
            cells = [
                f"**{cell}**" if value == best[name].max() else cell
                for cell, value in zip(cells, best[name], strict=True)
            ]
        print(f"| `{name}` | " + " | ".join(cells) + " |")


if __name__ == "__main__":
    main()
