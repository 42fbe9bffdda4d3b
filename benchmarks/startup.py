"""What starting costs: `python benchmarks/startup.py`.

`accelsim --help` and runs of the shipped trace, each in a process of its own: the first one after an installation, when
Python has compiled no module yet, and later ones. Then ten machines by one `simulate_many` against ten `simulate`.
Processor time where it says so; wall time is what the machine was quiet enough for. Medians.
"""

from __future__ import annotations

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[1]
TRACE = ROOT / "traces" / "simclr_resnet18w16_photos.pkl"


@dataclass(frozen=True)
class Cost:
    """Seconds of a process."""

    wall: float
    cpu: float


def run(*arguments: str, root: Path = ROOT, **environment: str) -> Cost:
    """Run the command line from a directory that holds the package."""
    command = [sys.executable, "-m", "accelsim", *arguments]
    before, start = os.times(), time.perf_counter()
    subprocess.run(command, cwd=root, env=dict(os.environ) | environment, check=True, stdout=subprocess.DEVNULL)
    wall, after = time.perf_counter() - start, os.times()
    return Cost(wall, after.children_user + after.children_system - before.children_user - before.children_system)


def show(name: str, costs: list[Cost]) -> None:
    """Print a row of medians."""
    wall, cpu = (statistics.median(getattr(cost, field) for cost in costs) for field in ("wall", "cpu"))
    print(f"| {name} | {cpu:.2f} s | {wall:.2f} s |", flush=True)


def helping(repeats: int) -> None:
    """Print what `accelsim --help` costs."""
    print("| | processor time | wall time |\n|---|---|---|")
    run("--help")
    show("`accelsim --help`", [run("--help") for _ in range(2 * repeats + 1)])


def replays(repeats: int) -> None:
    """Print what the first and later replays of the shipped trace cost."""
    print("\n| `accelsim run` | processor time | wall time |\n|---|---|---|")
    replay = ["run", "--hw", str(ROOT / "hw_configs" / "pe16x16.yaml"), "--trace", str(TRACE)]
    first, later, one_step = [], [], []
    for _ in range(repeats):
        with tempfile.TemporaryDirectory() as folder:
            first.append(run(*replay, PYTHONPYCACHEPREFIX=folder))
        later.append(run(*replay))
        one_step.append(run(*replay, "--step", "575"))
    show("first run, no Python module compiled yet", first)
    show("later runs, four steps", later)
    show("one step", one_step)


def sweep(repeats: int, quick: bool) -> None:
    """Print what ten machines cost at once and one by one."""
    from accelsim import Hardware, load_hardware, open_trace, simulate, simulate_many

    base = load_hardware(ROOT / "hw_configs" / "pe16x16.yaml").model_dump()

    def machine(part: str, key: str, value: object) -> Hardware:
        return Hardware.model_validate(base | {part: base[part] | {key: value}})

    kinds = {
        "ten DRAM bandwidths": [
            machine("memory", "dram", base["memory"]["dram"] | {"bytes_per_cycle": 2.0**exponent})
            for exponent in range(10)
        ],
        "ten queue depths": [machine("skipping", "fifo_depth", 16 + 2 * more) for more in range(10)],
    }
    trace = open_trace(TRACE)
    chosen = trace.select(steps=list(trace.steps)[:1], layers=["encoder.conv1"]) if quick else trace
    print("\n| ten machines | `simulate_many` | ten `simulate` | share |\n|---|---|---|---|")
    for name, machines in kinds.items():
        simulate_many(machines, chosen, workers=1)
        pairs = []
        for _ in range(repeats):
            start = time.process_time()
            simulate_many(machines, chosen, workers=1)
            middle = time.process_time()
            for hw in machines:
                simulate(hw, chosen, workers=1)
            pairs.append((middle - start, time.process_time() - middle))
        many, single = (statistics.median(column) for column in zip(*pairs, strict=True))
        share = statistics.median(many / single for many, single in pairs)
        print(f"| {name} | {many:.2f} s | {single:.2f} s | {share:.2f} |", flush=True)


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--part", action="append", choices=("help", "replays", "sweep"), help="default: all")
    parser.add_argument("--quick", action="store_true", help="sweep over one layer of one step, to see that it runs")
    options = parser.parse_args()
    parts = options.part or ["help", "replays", "sweep"]
    if "help" in parts:
        helping(options.repeats)
    if "replays" in parts:
        replays(options.repeats)
    if "sweep" in parts:
        sweep(options.repeats, options.quick)


if __name__ == "__main__":
    main()
