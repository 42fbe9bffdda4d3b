"""What gates cost a training step on one thread: SimCLR on photographs, width 16, batch 32, processor time.

    python benchmarks/gate_cost.py

Steps without gates, with a gate for each output and with gates for 8 channels are run in turns; the medians count.
"""

from __future__ import annotations

import argparse
from statistics import median
from time import process_time

from accelsim.ssl.config import TrainConfig
from accelsim.ssl.data import load_data
from accelsim.ssl.training import Training


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--steps", type=int, default=15, help="timed steps of each kind, behind one to warm up")
    steps = parser.parse_args().steps
    data = load_data("photos")
    runs = {channels: Training(TrainConfig(sparsity=0, gate_channels=channels), data) for channels in (0, 1, 8)}
    seconds: dict[int, list[float]] = {channels: [] for channels in runs}
    for _ in range(steps + 1):
        for channels, run in runs.items():
            before = process_time()
            run.advance()
            seconds[channels].append(process_time() - before)
    ungated = median(seconds[0][1:])
    print(f"no gates: {1e3 * ungated:.0f} ms a step")
    for channels in (1, 8):
        print(f"{channels} channel(s) a gate: {median(seconds[channels][1:]) / ungated:.2f} x")


if __name__ == "__main__":
    main()
