"""A training step against its simulation: `python benchmarks/whole_step.py`.

SimCLR trains a CIFAR ResNet-18, its weights pruned in one shot, for some steps of a smaller batch; then a step of the
full batch is recorded (two views, all three passes, all sparse layers and the dense ones). Steps of that batch and
simulations of the recorded one, with the comparison at equal area and without, are timed in turn on the same threads;
ratios are the medians over the rounds. On one thread processor time is the one to look at on a machine with other work;
wall time needs a quiet one. The first simulation is not counted.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from accelsim import Hardware, Tracer, load_hardware, open_trace, simulate
from accelsim.ssl.config import TrainConfig
from accelsim.ssl.data import load_data
from accelsim.ssl.training import Training


def build(options: argparse.Namespace, batch: int) -> Training:
    """Return a run of this batch; the same seed makes the same weights."""
    config = TrainConfig(
        width=options.width,
        batch=batch,
        sparsity=options.sparsity,
        steps=1_000,
        prune_start=0.0,
        prune_end=0.002,
        prune_every=1,
        learning_rate=3e-4,
        threads=options.threads,
        data=options.data,
    )
    return Training(config, load_data(options.data))


def record(options: argparse.Namespace, path: Path) -> Training:
    """Train a while on small batches, then record one step of the full one; return the run of full batches."""
    small = build(options, options.warm_batch)
    for _ in range(options.warm_steps):
        small.advance()
    full = build(options, options.batch)
    full.load_state(small.state() | {"config": full.state()["config"]})
    with Tracer(full.model, path, first_step=full.step):
        full.advance()
    return full


def seconds(work: Callable[[], object]) -> tuple[float, float]:
    """Processor and wall time of one call."""
    cpu, wall = time.process_time(), time.perf_counter()
    work()
    return time.process_time() - cpu, time.perf_counter() - wall


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--width", type=int, default=64, help="channels of the first stage (64: ResNet-18)")
    parser.add_argument("--batch", type=int, default=128, help="images of the step, each seen twice")
    parser.add_argument("--sparsity", type=float, default=0.8)
    parser.add_argument("--warm-steps", type=int, default=20)
    parser.add_argument("--warm-batch", type=int, default=16)
    parser.add_argument("--data", default="photos", help="photos, or cifar10:DIR")
    parser.add_argument("--threads", type=int, default=1, help="of PyTorch, and workers of the simulator")
    parser.add_argument("--pairs", type=int, default=3, help="rounds of a step and its simulations")
    parser.add_argument("--hw", type=Path, default=Path("hw_configs/pe16x16.yaml"))
    parser.add_argument("--sync", action="append", choices=("pe", "row", "column", "array"), help="default: row, array")
    parser.add_argument("--keep", type=Path, help="record into this file, or take it if it is there")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as directory:
        path = options.keep or Path(directory) / "step.pkl"
        run = build(options, options.batch) if path.exists() else record(options, path)
        base = load_hardware(options.hw)
        print(
            f"ResNet-18 width {options.width}, batch {options.batch} x 2 views, {100 * options.sparsity:.0f} % pruned,"
            f" {options.hw.stem}, {options.threads} thread(s)"
        )
        for sync in options.sync or ("row", "array"):
            skipping = base.skipping.model_copy(update={"sync": sync})
            hw: Hardware = base.model_copy(update={"skipping": skipping})

            def replay(hw: Hardware = hw) -> None:
                simulate(hw, open_trace(path), workers=options.threads)

            def replay_alone(hw: Hardware = hw) -> None:
                simulate(hw, open_trace(path), workers=options.threads, equal_area=False)

            replay()
            rounds = [[seconds(work) for work in (run.advance, replay, replay_alone)] for _ in range(options.pairs)]
            for clock, name in enumerate(("processor", "wall")):
                step, compared, alone = ([times[work][clock] for times in rounds] for work in range(3))
                print(f"sync {sync:6}  {name:9} time: training step {statistics.median(step):6.2f} s", end="")
                for what, simulated in (("simulating it", compared), ("without equal area", alone)):
                    ratio = statistics.median(after / before for after, before in zip(simulated, step, strict=True))
                    print(f", {what} {statistics.median(simulated):.2f} s: x {ratio:.3f}", end="")
                print(flush=True)


if __name__ == "__main__":
    main()
