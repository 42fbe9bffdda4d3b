"""What starting costs: `python benchmarks/startup.py`.

`accelsim --help` and a run of the shipped trace, each in a process of its own: with an empty kernel cache, with a full
one, with none that can be written (a copy of the package, files in the place of its cache directories) and with a cache
directory that is not there yet. Then ten machines by one `simulate_many` against ten `simulate`, processor time.
Processor time where it says so; wall time is what the machine was quiet enough for. Medians.
"""

from __future__ import annotations

import argparse
import os
import shutil
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
    given = {name: value for name, value in os.environ.items() if name != "NUMBA_CACHE_DIR"}
    before, start = os.times(), time.perf_counter()
    subprocess.run(command, cwd=root, env=given | environment, check=True, stdout=subprocess.DEVNULL)
    wall, after = time.perf_counter() - start, os.times()
    return Cost(wall, after.children_user + after.children_system - before.children_user - before.children_system)


def show(name: str, costs: list[Cost]) -> None:
    """Print a row of medians."""
    wall, cpu = (statistics.median(getattr(cost, field) for cost in costs) for field in ("wall", "cpu"))
    print(f"| {name} | {cpu:.2f} s | {wall:.2f} s |", flush=True)


def unwritable_copy(folder: Path) -> tuple[Path, dict[str, str]]:
    """Copy the package to where no kernel can be cached; return the copy's root, and the environment that sees to it.

    Files stand in the place of the cache directories: permissions would not stop an administrator.
    """
    root = folder / "readonly"
    shutil.copytree(ROOT / "accelsim", root / "accelsim", ignore=shutil.ignore_patterns("__pycache__"))
    for directory in [root / "accelsim", *(root / "accelsim").rglob("*/")]:
        if directory.is_dir():
            (directory / "__pycache__").touch()
    blocked = folder / "blocked"
    blocked.touch()
    return root, {"NUMBA_CACHE_DIR": str(blocked / "numba"), "XDG_CACHE_HOME": str(blocked), "HOME": str(blocked)}


def helping(repeats: int) -> None:
    """Print what `accelsim --help` costs."""
    print("| | processor time | wall time |\n|---|---|---|")
    run("--help")
    show("`accelsim --help`", [run("--help") for _ in range(2 * repeats + 1)])


def caches(repeats: int) -> None:
    """Print what a replay of the shipped trace costs with one kernel cache or another."""
    print("\n| `accelsim run` | processor time | wall time |\n|---|---|---|")
    replay = ["run", "--hw", str(ROOT / "hw_configs" / "pe16x16.yaml"), "--trace", str(TRACE)]
    first, second, none, missing = [], [], [], []
    for _ in range(repeats):
        with tempfile.TemporaryDirectory() as folder:
            first.append(run(*replay, NUMBA_CACHE_DIR=folder))
            second.append(run(*replay, NUMBA_CACHE_DIR=folder))
        with tempfile.TemporaryDirectory() as folder:
            root, environment = unwritable_copy(Path(folder))
            none.append(run(*replay, root=root, **environment))
        with tempfile.TemporaryDirectory() as folder:
            cache = Path(folder) / "not" / "there"
            missing.append(run(*replay, NUMBA_CACHE_DIR=str(cache)))
    show("first run, empty kernel cache", first)
    show("second run", second)
    show("no cache directory can be written", none)
    show("cache directory is not there yet", missing)


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
    parser.add_argument("--part", action="append", choices=("help", "caches", "sweep"), help="default: all")
    parser.add_argument("--quick", action="store_true", help="sweep over one layer of one step, to see that it runs")
    options = parser.parse_args()
    parts = options.part or ["help", "caches", "sweep"]
    if "help" in parts:
        helping(options.repeats)
    if "caches" in parts:
        caches(options.repeats)
    if "sweep" in parts:
        sweep(options.repeats, options.quick)


if __name__ == "__main__":
    main()
