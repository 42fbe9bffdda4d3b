"""Run the real SCALE-Sim and keep what it printed: experiments/scalesim/measured.csv is this script's output.

In an environment of its own, because SCALE-Sim refuses newer NumPy:

    python -m venv scalesim-venv && scalesim-venv/bin/pip install scalesim==3.0.0 'numpy<2.4'
    PYTHONPATH=. scalesim-venv/bin/python benchmarks/scalesim_peer.py experiments/scalesim/measured.csv

All 21 layers of CIFAR ResNet-18 (batch 1, forward, input_grad, weight_grad) in three dataflows on 32x32 PEs, and random
GEMMs on arrays of any shape. Runs that the file holds already are kept, so an interrupted measurement goes on.

    PYTHONPATH=. scalesim-venv/bin/python benchmarks/scalesim_peer.py --traffic experiments/peers_traffic/scalesim.csv

writes the DRAM words that it reports for the forward passes of ten layers (batch 1) on an output-stationary array of
16x16, with scratchpads of as many words as the buffers of hw_configs/systolic16x16.yaml hold.
"""

from __future__ import annotations

import argparse
import random
import sys
from importlib.metadata import version
from pathlib import Path

from peers_layers import layers

from accelsim.files import write_whole
from accelsim.synth.networks import resnet18_cifar
from accelsim.validate.networks import PASS_NAMES
from accelsim.validate.scalesim import (
    DATAFLOWS,
    Run,
    SramKiwords,
    measure,
    measure_traffic,
    read_table,
    runs_of,
    table_lines,
)

ARRAY = 32
RANDOM_RUNS = 150
SRAM = SramKiwords(ifmap=64, filter=64, ofmap=32)  # 128, 128 and 64 KiB of 16 bit words


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


def write_traffic(path: Path) -> None:
    """Measure the DRAM words of the ten layers."""
    lines = ["network,layer,m,n,k,topology,ifmap_words,filter_words,ofmap_words"]
    for network, layer in layers():
        (run,) = runs_of(16, 16, "output_stationary", layer, "forward")
        words = measure_traffic(run, SRAM)
        counts = (run.m, run.n, run.k, run.topology, words.ifmap, words.filter, words.ofmap)
        lines.append(",".join(map(str, (network, layer.name, *counts))))
        print(lines[-1], file=sys.stderr, flush=True)
    write_whole(path, "".join(f"{line}\n" for line in lines))


def write_cycles(path: Path) -> None:
    """Measure what is missing; the file is written anew, whole, after each run."""
    known = read_table(path) if path.exists() else {}
    comment = f"SCALE-Sim {version('scalesim')}: PYTHONPATH=. python benchmarks/scalesim_peer.py {path}"
    runs = wanted()
    for position, run in enumerate(runs):
        if run in known:
            continue
        known[run] = measure(run)
        write_whole(path, "".join(table_lines(comment, known.items())))
        print(f"{position + 1} of {len(runs)}: {run} {known[run]}", file=sys.stderr, flush=True)


def main() -> None:
    """Measure cycles, or traffic."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("file", type=Path, help="the table to be written")
    parser.add_argument("--traffic", action="store_true", help="DRAM words instead of cycles")
    options = parser.parse_args()
    (write_traffic if options.traffic else write_cycles)(options.file)


if __name__ == "__main__":
    main()
