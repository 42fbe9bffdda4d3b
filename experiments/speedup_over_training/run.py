"""How the speedup moves over a training run, by pass and machine.

    python experiments/speedup_over_training/run.py

replays the shipped trace on three machines and writes `speedup.csv`, `speedup.svg` and `speedup.png` beside this file.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import pandas as pd

from accelsim import load_hardware, open_trace, simulate
from accelsim.files import write_whole
from accelsim.show.speedup_figure import Panel, draw_speedup

HERE = Path(__file__).parent
ROOT = HERE.parents[1]
TRACE = ROOT / "traces" / "simclr_resnet18w16_photos.pkl"
MACHINES = {
    "join8x16": "8×16 PEs with inner joins",
    "pe16x16": "16×16 PEs with queues",
    "edge8x8": "8×8 PEs, narrow DRAM",
}


def measure(
    trace: Path, machines: list[str], steps: int | None
) -> tuple[pd.DataFrame, dict[str, tuple[float | None, float | None]]]:
    """Return one row per machine, step and pass, and each machine's speedups of the whole training, if they are known.

    The second speedup is beside the best dense machine of the same area.
    """
    tables, whole = [], {}
    for machine in machines:
        reader = open_trace(trace)
        result = simulate(
            load_hardware(ROOT / "hw_configs" / f"{machine}.yaml"),
            reader.select(steps=reader.steps[:steps]),
        )
        table = result.steps.drop(columns=["stands_for", "energy_pj", "dense_energy_pj"])
        table.insert(0, "machine", machine)
        tables.append(table)
        total = result.training["total"]
        whole[machine] = (total["speedup"], total["speedup_at_equal_area"]) if total else (None, None)
    return pd.concat(tables), whole


def main() -> None:
    """Measure and draw."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--trace", type=Path, default=TRACE, help="another one needs --out")
    parser.add_argument(
        "--out", type=Path, help="default: beside this file; with --quick, runs/speedup_over_training/quick"
    )
    parser.add_argument("--quick", action="store_true", help="one machine, one step")
    options = parser.parse_args()
    if options.trace != TRACE and not options.out:
        parser.error("--trace needs --out DIR: beside this file lie the results of the shipped trace")
    out = options.out or (ROOT / "runs" / HERE.name / "quick" if options.quick else HERE)
    table, whole = measure(options.trace, list(MACHINES)[: 1 if options.quick else None], 1 if options.quick else None)
    out.mkdir(parents=True, exist_ok=True)
    write_whole(out / "speedup.csv", table.to_csv(index=False))
    panels = [Panel(MACHINES[machine], table[table["machine"] == machine], *whole[machine]) for machine in whole]
    draw_speedup(panels, out / "speedup")
    print(table[table["pass"] == "all passes"].to_string(index=False))


if __name__ == "__main__":
    main()
