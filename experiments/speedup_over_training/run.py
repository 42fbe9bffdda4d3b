"""How the speedup moves over a training run, by pass and machine.

    python experiments/speedup_over_training/run.py

replays the shipped trace on three machines and writes `speedup.csv`, `speedup.svg` and `speedup.png` beside this file.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import matplotlib.pyplot as plt
import pandas as pd
from matplotlib.ticker import FuncFormatter

from accelsim import load_hardware, open_trace, simulate

HERE = Path(__file__).parent
ROOT = HERE.parents[1]
MACHINES = {
    "pe16x16": "16×16 PEs, a scan pointer a row",
    "pe32x32": "32×32 PEs, a scan pointer a row",
    "edge8x8": "8×8 PEs, narrow DRAM",
}
STYLES = {  # distinguishable in print and by the colour-blind: hue, marker and dash differ
    "forward": ("#0072b2", "o", "-"),
    "input_grad": ("#d55e00", "s", "--"),
    "weight_grad": ("#009e73", "^", ":"),
    "all passes": ("black", "D", "-"),
}


def measure(trace: Path, machines: list[str], steps: int | None) -> pd.DataFrame:
    """Return cycles and speedup per machine, step and pass."""
    rows = []
    for machine in machines:
        hw = load_hardware(ROOT / "hw_configs" / f"{machine}.yaml")
        reader = open_trace(trace)
        layers = simulate(hw, reader.select(steps=reader.steps[:steps])).layers
        grouped = layers.groupby(["step", "pass"])[["cycles", "dense_cycles", "macs", "effectual_macs"]].sum()
        whole = layers.groupby("step")[["cycles", "dense_cycles", "macs", "effectual_macs"]].sum()
        whole.index = pd.MultiIndex.from_product([whole.index, ["all passes"]], names=["step", "pass"])
        table = pd.concat([grouped, whole]).reset_index()
        table.insert(0, "machine", machine)
        rows.append(table)
    table = pd.concat(rows)
    table["speedup"] = table["dense_cycles"] / table["cycles"]
    return table


def draw(table: pd.DataFrame, target: Path) -> None:
    """Draw a panel a machine."""
    machines = list(dict.fromkeys(table["machine"]))
    figure, axes = plt.subplots(1, len(machines), figsize=(3.4 * len(machines), 3.2), sharey=True, squeeze=False)
    for axis, machine in zip(axes[0], machines, strict=True):
        part = table[table["machine"] == machine]
        for name, (colour, marker, dash) in STYLES.items():
            line = part[part["pass"] == name]
            width = 2.4 if name == "all passes" else 1.4
            axis.plot(line["step"], line["speedup"], dash, color=colour, marker=marker, lw=width, ms=5, label=name)
        axis.axhline(1, color="grey", lw=0.8)
        axis.set_title(MACHINES[machine], fontsize=9)
        axis.set_xlabel("training step")
        axis.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}×"))
        axis.spines[["top", "right"]].set_visible(False)
    axes[0, 0].set_ylabel("speedup over the same\nmachine without skipping")
    axes[0, 0].set_ylim(0)
    axes[0, 0].legend(frameon=False, fontsize=7.5, loc="lower right", ncols=2)
    figure.tight_layout()
    for kind in ("svg", "png"):
        figure.savefig(target.with_suffix(f".{kind}"), dpi=160, metadata={"Date": None} if kind == "svg" else None)
    plt.close(figure)


def main() -> None:
    """Measure and draw."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--trace", type=Path, default=ROOT / "traces" / "simclr_resnet18w16_photos.pkl")
    parser.add_argument("--out", type=Path, default=HERE)
    parser.add_argument("--quick", action="store_true", help="one machine, one step")
    options = parser.parse_args()
    table = measure(options.trace, list(MACHINES)[: 1 if options.quick else None], 1 if options.quick else None)
    options.out.mkdir(parents=True, exist_ok=True)
    table.to_csv(options.out / "speedup.csv", index=False)
    draw(table, options.out / "speedup")
    print(table[table["pass"] == "all passes"].to_string(index=False))


if __name__ == "__main__":
    main()
