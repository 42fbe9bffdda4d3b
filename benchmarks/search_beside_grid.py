"""How often a search finds the front of the full grid, and from how many simulations.

    accelsim synth --network resnet18-cifar --batch 1 --weight-density 0.2 --activation-density 0.5 \
        --gradient-density 0.6 --pattern 1x8 --out search.pkl
    python benchmarks/search_beside_grid.py benchmarks/spaces/scanning.yaml --out out/scanning --seeds 20

The space is swept in full first (a sweep goes on where it was); then each search reads its points from there. The same
front is the same set of costs: designs that cost exactly the same in everything count once.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from statistics import mean

import numpy as np
import pandas as pd

from accelsim.explore import Processes, front, load_space, search, sweep
from accelsim.explore.search import OBJECTIVES


def _points(costs: pd.DataFrame) -> set[tuple[float, ...]]:
    """Return the different costs, energies rounded to where sums over passes in another order agree."""
    return {(cycles, float(f"{energy:.12g}"), area) for cycles, energy, area in costs.itertuples(index=False)}


def main() -> None:
    """Sweep, search with every method and seed, print a row a method."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("space", type=Path)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--seeds", type=int, default=20)
    arguments = parser.parse_args()
    space = load_space(arguments.space)
    swept = sweep(space, arguments.out, Processes())
    sums = {"cycles": "sum", "energy_pj": "sum", "area_mm2": "first"}
    designs = swept.table.groupby("design").agg(sums)[list(OBJECTIVES)]
    on_front = _points(designs[front(np.asarray(designs))])
    budget = len(designs) // 5
    print(f"{len(designs)} designs, {len(on_front)} points on the front, budget {budget}")
    print("| method | same front | points of it found, least to most | simulated, mean |\n|---|---|---|---|")
    for method in ("model", "tpe", "nsga2"):
        runs = [
            search(space, arguments.out, budget=budget, method=method, seed=seed, workers=Processes(1))
            for seed in range(arguments.seeds)
        ]
        points = [_points(run.front[list(OBJECTIVES)]) for run in runs]
        found = [on_front & one for one in points]
        same = sum(one == on_front for one in points)
        least, most = min(map(len, found)), max(map(len, found))
        simulated = mean(run.simulated for run in runs)
        share = f"{simulated:.0f} ({simulated / len(designs):.1%})"
        print(f"| {method} | {same} of {len(runs)} | {least} to {most} | {share} |", flush=True)


if __name__ == "__main__":
    main()
