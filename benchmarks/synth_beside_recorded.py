"""Speedup by pass of recorded traces, beside traces made up in their likeness: docs/synth.md has the result.

    python benchmarks/synth_beside_recorded.py traces/simclr_resnet18w16_photos.pkl --hw hw_configs/pe16x16.yaml

Columns: the recording; shapes, densities and clustering from it; a clustering of 0.5 in all layers; independent zeros.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import pandas as pd
import typer

from accelsim import load_hardware, open_trace, simulate, synthesize


def main(
    traces: Annotated[list[Path], typer.Argument(help="Recorded traces.")],
    hw: Annotated[list[Path], typer.Option(help="Machines. Repeatable.")],
    seed: Annotated[int, typer.Option(help="Of the masks made up.")] = 0,
) -> None:
    """Print a table of speedups for each trace and machine."""
    for path in traces:
        recorded = open_trace(path)
        kinds = {"recorded": recorded, "like it": synthesize(recorded, seed=seed)}
        for clustering in (0.5, 0.0):
            kinds[f"c = {clustering:g}"] = synthesize(recorded, activation_clustering=clustering, seed=seed)
        for machine in hw:
            speedups = {}
            for name, trace in kinds.items():
                layers = simulate(load_hardware(machine), trace).layers
                cycles = layers.groupby("pass")[["cycles", "dense_cycles"]].sum()
                cycles.loc["all"] = cycles.sum()
                speedups[name] = cycles["dense_cycles"] / cycles["cycles"]
            print(f"{path.name}, {machine.stem}\n{pd.DataFrame(speedups).round(3).to_string()}\n", flush=True)


if __name__ == "__main__":
    typer.run(main)
