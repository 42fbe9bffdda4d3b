"""Run the real SCALE-Sim and keep what it printed: experiments/scalesim/measured.csv is this script's output.

In an environment of its own, because SCALE-Sim refuses newer NumPy:

    python -m venv scalesim-venv && scalesim-venv/bin/pip install scalesim==3.0.0 'numpy<2.4'
    PYTHONPATH=. scalesim-venv/bin/python benchmarks/scalesim_peer.py experiments/scalesim/measured.csv

All 21 layers of CIFAR ResNet-18 (batch 1, forward, input_grad, weight_grad) in three dataflows on 32x32 PEs, and random
GEMMs on arrays of any shape. Runs that the file holds already are kept, so an interrupted measurement goes on.
"""

from __future__ import annotations

import random
import sys
from importlib.metadata import version
from pathlib import Path

from accelsim.files import write_whole
from accelsim.synth.networks import resnet18_cifar
from accelsim.validate.networks import PASS_NAMES
from accelsim.validate.scalesim import DATAFLOWS, Run, measure, read_table, runs_of, table_lines

ARRAY = 32
RANDOM_RUNS = 150


def wanted() -> list[Run]:
    """Every distinct run, the quick ones first."""
    rng = random.Random(0)
    runs = [
        Run(
            rng.randint(1, 20), rng.randint(1, 20), dataflow, rng.randint(1, 60), rng.randint(1, 60), rng.randint(1, 60)
        )
        for _ in range(RANDOM_RUNS // len(DATAFLOWS))
        for dataflow in DATAFLOWS
    ]
    for which in PASS_NAMES:
        for layer in resnet18_cifar():
            for dataflow in DATAFLOWS:
                runs += runs_of(ARRAY, ARRAY, dataflow, layer, which)
    return list(dict.fromkeys(runs))


def main() -> None:
    """Measure what is missing; the file is written anew, whole, after each run."""
    path = Path(sys.argv[1])
    known = read_table(path) if path.exists() else {}
    comment = f"SCALE-Sim {version('scalesim')}: PYTHONPATH=. python benchmarks/scalesim_peer.py {path}"
    runs = wanted()
    for position, run in enumerate(runs):
        if run in known:
            continue
        known[run] = measure(run)
        write_whole(path, "".join(table_lines(comment, known.items())))
        print(f"{position + 1} of {len(runs)}: {run} {known[run]}", file=sys.stderr, flush=True)


if __name__ == "__main__":
    main()
