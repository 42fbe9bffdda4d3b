"""How the cost of a simulation grows: `python benchmarks/scaling.py`.

Made-up traces of CIFAR ResNet-18 (or of equal layers, for their number) are written to a file and replayed on one
worker, each case in a process of its own: processor time (the median of several runs, the first not counted) by batch,
layers, network, array and density. Then one and two workers, in wall time and in turn, and the peak of resident memory
(Linux) against 300 MB and twice the packed masks of the largest operation.
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
import time
from dataclasses import asdict, dataclass
from pathlib import Path

BATCHES = (8, 16, 32, 64, 128)
LAYERS = (4, 8, 16, 32)
ARRAYS = (8, 16, 32, 64, 128)
DENSITIES = (0.1, 0.2, 0.4, 0.8)
MEMORY_BATCHES = (32, 128)


@dataclass(frozen=True)
class Case:
    """A trace and a machine.

    Attributes:
        batch: images.
        network: as `accelsim synth` names it.
        layers: how many equal layers in its place; 0: none.
        array: rows and columns.
        density: of weights and activations.
        sync: PEs that share a scan pointer.
        workers: how many; several are compared by wall time.
        repeats: timed runs.
        once: replay once only, for memory.
    """

    batch: int = 32
    network: str = "resnet18-cifar"
    layers: int = 0
    array: int = 16
    density: float = 0.4
    sync: str = "row"
    workers: tuple[int, ...] = (1,)
    repeats: int = 3
    once: bool = False


def write_trace(case: Case, path: Path) -> int:
    """Write the case's trace; return the bytes of the largest operation's packed masks."""
    from accelsim.synth import synthesize
    from accelsim.synth.topology import Layer
    from accelsim.trace import TraceWriter

    equal = Layer(name="", c_in=64, c_out=64, kernel=(3, 3), padding=(1, 1), image=(32, 32), after_relu=True)
    layers = [Layer(**(vars(equal) | {"name": f"conv{number}"})) for number in range(case.layers)]
    made = synthesize(
        layers or case.network,
        batch=case.batch,
        weight_density=case.density,
        activation_density=case.density,
    )
    largest = 0
    with TraceWriter(path, made.meta) as writer:
        for op in made:
            writer.write(op)
            largest = max(largest, sum(mask.bits.nbytes for mask in op.masks.values()))
    return largest


def run(case: Case, path: Path) -> dict[str, float]:
    """Replay in this process: the medians of processor and wall time, and the peak of resident memory in bytes."""
    from accelsim import load_hardware, open_trace, simulate

    base = load_hardware(Path(__file__).parents[1] / "hw_configs" / "pe16x16.yaml")
    array = base.array.model_copy(update={"rows": case.array, "cols": case.array})
    skipping = base.skipping.model_copy(update={"sync": case.sync})
    hw = base.model_copy(update={"array": array, "skipping": skipping})
    found: dict[str, list[float]] = {f"{kind}{workers}": [] for workers in case.workers for kind in ("cpu", "wall")}
    for _ in range(1 if case.once else case.repeats + 1):
        for workers in case.workers:
            cpu, wall = time.process_time(), time.perf_counter()
            simulate(hw, open_trace(path), workers=workers)
            found[f"cpu{workers}"].append(time.process_time() - cpu)
            found[f"wall{workers}"].append(time.perf_counter() - wall)
    if len(case.workers) > 1:  # pairs side by side, so that a machine's drift falls on both
        one, other = (found[f"wall{workers}"][1:] for workers in case.workers[:2])
        found["gain"] = [0.0, *(first / second for first, second in zip(one, other, strict=True))]
    medians = {name: statistics.median(values[0 if case.once else 1 :]) for name, values in found.items()}
    peak = Path("/proc/self/status").read_text(encoding="ascii").split("VmHWM:")[1].split()[0]
    return medians | {"peak": 1024 * int(peak)}


def measure(case: Case) -> dict[str, float]:
    """Write a case's trace here and replay it in a process of its own."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "trace.pkl"
        largest = write_trace(case, path)
        command = [sys.executable, __file__, "--case", json.dumps(asdict(case)), "--trace", str(path)]
        done = subprocess.run(command, capture_output=True, text=True, check=True)
    found: dict[str, float] = json.loads(done.stdout)
    return found | {"largest": largest}


def series(title: str, cases: dict[str, tuple[float, Case]]) -> None:
    """Print the processor time of some cases; each has a size that the time is set against."""
    print(f"\n{title}\n\n| | processor time | time over the first's | size over the first's |\n|---|---|---|---|")
    first: tuple[float, float] | None = None
    for name, (size, case) in cases.items():
        seconds = measure(case)["cpu1"]
        first = first or (seconds, size)
        print(f"| {name} | {seconds:.3f} s | {seconds / first[0]:.2f} | {size / first[1]:.2f} |", flush=True)


def growth(repeats: int, quick: bool) -> None:
    """Print the cost by batch, layers, network, array and density."""
    from accelsim.synth import NETWORKS

    few, batch, batches = (1, 1, (1,)) if quick else (None, 32, BATCHES)
    series("ResNet-18 by batch, 16x16", {f"batch {n}": (n, Case(batch=n, repeats=repeats)) for n in batches})
    series(
        f"Equal layers (64 channels, 32x32), batch {batch}",
        {f"{n} layers": (n, Case(batch=batch, layers=n, repeats=repeats)) for n in LAYERS[:few]},
    )
    networks = ("resnet18-cifar",) if quick else ("resnet18", "resnet50", "mobilenet-v2")
    sizes = {name: sum(layer.macs for layer in NETWORKS[name]()) for name in networks}
    series(
        "By network, 224x224 images, batch 1 (size: multiply-accumulates)",
        {name: (size, Case(batch=1, network=name, repeats=repeats)) for name, size in sizes.items()},
    )
    for sync in ("row",) if quick else ("row", "array"):
        series(
            f"ResNet-18, batch {batch}, sync {sync}, by array (size: PEs)",
            {f"{n}x{n}": (n * n, Case(batch=batch, array=n, sync=sync, repeats=repeats)) for n in ARRAYS[:few]},
        )
    series(
        f"ResNet-18, batch {batch}, 16x16, by density of weights and activations (size: density)",
        {f"{d:g}": (d, Case(batch=batch, density=d, repeats=repeats)) for d in DENSITIES[:few]},
    )


def two_workers(repeats: int, quick: bool) -> None:
    """Print what a second worker gains."""
    batch = 1 if quick else 32
    print(f"\nTwo workers, ResNet-18, batch {batch}, wall time\n\n| sync | one | two | gain |\n|---|---|---|---|")
    for sync in ("row",) if quick else ("row", "array"):
        both = measure(Case(batch=batch, sync=sync, workers=(1, 2), repeats=2 * repeats - 1))
        print(f"| {sync} | {both['wall1']:.3f} s | {both['wall2']:.3f} s | {both['gain']:.2f} |", flush=True)


def peaks(repeats: int, quick: bool) -> None:
    """Print the peak of resident memory by batch and workers; a process replays once, `repeats` plays no part."""
    cases = {
        f"batch {n}, {workers} worker{'s' * (workers > 1)}": Case(batch=n, workers=(workers,), once=True)
        for n in ((1,) if quick else MEMORY_BATCHES)
        for workers in ((1,) if quick else (1, 2))
    }
    print("\nPeak of resident memory, MB (1e6 bytes)\n")
    print("| | peak | largest operation's masks | 300 MB + twice these |\n|---|---|---|---|")
    for name, case in cases.items():
        found = measure(case)
        peak, largest = found["peak"] / 1e6, found["largest"] / 1e6
        print(f"| {name} | {peak:.0f} | {largest:.1f} | {300 + 2 * largest:.0f} |", flush=True)


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--quick", action="store_true", help="few and small cases, to see that it runs")
    parser.add_argument("--part", action="append", choices=("growth", "workers", "memory"), help="default: all")
    parser.add_argument("--case", help=argparse.SUPPRESS)
    parser.add_argument("--trace", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.case:
        given = json.loads(options.case)
        print(json.dumps(run(Case(**(given | {"workers": tuple(given["workers"])})), options.trace)))
        return
    parts = {"growth": growth, "workers": two_workers, "memory": peaks}
    for name in options.part or parts:
        parts[name](options.repeats, options.quick)


if __name__ == "__main__":
    main()
