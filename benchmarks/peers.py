"""accelsim beside SCALE-Sim, in time: `python benchmarks/peers.py scalesim-venv/bin/python`.

Forward passes of CIFAR ResNet-18's layers (batch 1, no zeros) on a systolic array. SCALE-Sim runs in an environment of
its own (`python -m venv scalesim-venv && scalesim-venv/bin/pip install scalesim==3.0.0 'numpy<2.4'`), accelsim in this
one; processor time of each layer, imports not counted, accelsim's the median of several runs behind one to warm up.
SCALE-Sim steps through every address its array asks for, and accelsim counts systolic cycles in closed form, from masks
that it lowers as for any other array; the counts are equal, which is what the last column checks.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import time
from pathlib import Path

from accelsim.synth.networks import resnet18_cifar
from accelsim.synth.topology import Layer
from accelsim.validate.scalesim import Dataflow, measure, runs_of

ARRAY = 32
DATAFLOW: Dataflow = "weight_stationary"


def wanted(few: int | None) -> tuple[Layer, ...]:
    """The first layers, or all."""
    return resnet18_cifar()[:few]


def run_scalesim(few: int | None) -> None:
    """Print a line a layer, as JSON: cycles, folds counted whole, and seconds. For SCALE-Sim's environment."""
    for layer in wanted(few):
        runs = runs_of(ARRAY, ARRAY, DATAFLOW, layer, "forward")
        start = time.process_time()
        cycles = sum(measure(run) + 1 for run in runs)
        print(json.dumps([cycles, time.process_time() - start]), flush=True)


def run_accelsim(layer: Layer, repeats: int) -> tuple[int, float]:
    """Cycles and seconds of a layer."""
    from accelsim import Hardware, simulate
    from accelsim.validate.networks import dense_operation

    array = {"rows": ARRAY, "cols": ARRAY, "dataflow": DATAFLOW, "interconnect": "systolic"}
    hw, op, seconds, cycles = (
        Hardware.model_validate({"name": "systolic", "array": array}),
        dense_operation(layer),
        [],
        0,
    )
    for _ in range(repeats + 1):
        start = time.process_time()
        cycles = int(simulate(hw, [op], passes=["forward"], workers=1).layers["array_cycles"].sum())
        seconds.append(time.process_time() - start)
    return cycles, statistics.median(seconds[1:])


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("python", type=Path, nargs="?", help="SCALE-Sim's interpreter; without, accelsim's half only")
    parser.add_argument("--layers", type=int, help="only the first so many")
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--inside", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.inside:
        run_scalesim(options.layers)
        return
    print(f"ResNet-18 for CIFAR, batch 1, forward, {ARRAY}x{ARRAY}, {DATAFLOW}\n")
    print("| layer | cycles | accelsim | SCALE-Sim | ratio | same cycles |\n|---|---|---|---|---|---|")
    theirs = None
    if options.python is not None:
        command = [str(options.python), __file__, "--inside"]
        command += [] if options.layers is None else ["--layers", str(options.layers)]
        environment = os.environ | {"PYTHONPATH": str(Path(__file__).parents[1])}
        theirs = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment)
    sums = [0.0, 0.0]
    for layer in wanted(options.layers):
        cycles, seconds = run_accelsim(layer, options.repeats)
        row = ["–"] * 3
        sums[0] += seconds
        if theirs is not None and theirs.stdout is not None:
            printed, took = json.loads(theirs.stdout.readline())
            sums[1] += took
            row = [f"{took:.2f} s", f"{took / seconds:.0f}", "yes" if printed == cycles else f"no, {printed}"]
        print(f"| {layer.name} | {cycles} | {1e3 * seconds:.2f} ms | {' | '.join(row)} |", flush=True)
    both = [f"{sums[1]:.1f} s", f"{sums[1] / sums[0]:.0f}"] if theirs is not None else ["–", "–"]
    print(f"| all | | {1e3 * sums[0]:.1f} ms | {' | '.join(both)} | |")
    if theirs is not None and theirs.wait():
        sys.exit("SCALE-Sim failed")


if __name__ == "__main__":
    main()
