"""What recording costs: `python benchmarks/tracer_cost.py`.

A ResNet-18 for CIFAR (3x3 stem, standard widths unless --width says otherwise) trains on random images. Each figure
is the median over interleaved pairs of steps, one of either kind, so that a machine's drift falls on both; time is
processor time, so that other processes count less. Memory is what the process's peak grows by (Linux).
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
import time
import warnings
from collections.abc import Callable
from pathlib import Path

import torch
from torch import nn

from accelsim.errors import AccelsimWarning
from accelsim.trace import TraceReader
from accelsim.tracing import Tracer


class Block(nn.Module):
    def __init__(self, c_in: int, c_out: int, stride: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(c_in, c_out, 3, stride, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(c_out)
        self.conv2 = nn.Conv2d(c_out, c_out, 3, 1, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(c_out)
        self.relu = nn.ReLU(inplace=True)
        self.shortcut = (
            nn.Sequential(nn.Conv2d(c_in, c_out, 1, stride, bias=False), nn.BatchNorm2d(c_out))
            if stride > 1 or c_in != c_out
            else nn.Identity()
        )

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        y = self.bn2(self.conv2(self.relu(self.bn1(self.conv1(x)))))
        return self.relu(y + self.shortcut(x))


def resnet18(width: int) -> nn.Sequential:
    """ResNet-18 with a CIFAR stem."""
    stages = [(width, width, 1), (width, 2 * width, 2), (2 * width, 4 * width, 2), (4 * width, 8 * width, 2)]
    return nn.Sequential(
        nn.Conv2d(3, width, 3, 1, 1, bias=False),
        nn.BatchNorm2d(width),
        nn.ReLU(inplace=True),
        *[nn.Sequential(Block(c_in, c_out, stride), Block(c_out, c_out, 1)) for c_in, c_out, stride in stages],
        nn.AdaptiveAvgPool2d(1),
        nn.Flatten(),
        nn.Linear(8 * width, 128),
    )


class Run:
    """A model in training."""

    def __init__(self, width: int, batch: int) -> None:
        torch.manual_seed(0)
        self.model = resnet18(width)
        self.optimizer = torch.optim.SGD(self.model.parameters(), 0.01, momentum=0.9)
        self.images = torch.randn(batch, 3, 32, 32)

    def step(self) -> None:
        self.optimizer.zero_grad()
        self.model(self.images).square().mean().backward()
        self.optimizer.step()

    def seconds(self) -> float:
        start = time.process_time()
        self.step()
        return time.process_time() - start


def compare(one: Callable[[], float], other: Callable[[], float], pairs: int) -> tuple[float, float, float]:
    """Return the medians of both and of the ratio other / one over interleaved pairs."""
    times = [(one(), other()) if pair % 2 else (other(), one())[::-1] for pair in range(pairs)]
    ratios = [second / first for first, second in times]
    return statistics.median(t for t, _ in times), statistics.median(t for _, t in times), statistics.median(ratios)


def peak_mib() -> float:
    """Peak resident memory since the last reset, MiB (Linux)."""
    status = Path("/proc/self/status").read_text()
    return int(status.split("VmHWM:")[1].split()[0]) / 1024


def reset_peak() -> None:
    """Let the kernel forget the peak (Linux)."""
    Path("/proc/self/clear_refs").write_text("5")


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--width", type=int, default=64, help="channels of the first stage (64: ResNet-18)")
    parser.add_argument("--batch", type=int, default=32)
    parser.add_argument("--pairs", type=int, default=7)
    parser.add_argument("--threads", type=int, default=1)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    warnings.filterwarnings("ignore", ".* is empty", AccelsimWarning)  # half of the tracers are to record nothing
    run = Run(options.width, options.batch)
    for _ in range(2):
        run.step()

    with tempfile.TemporaryDirectory() as directory:
        path = Path(directory) / "run.pkl"

        def within(start: int) -> Callable[[], float]:
            """A step of a tracer that records it (start 0) or not; entering and leaving are not measured."""

            def seconds() -> float:
                with Tracer(run.model, path, start=start):
                    return run.seconds()

            return seconds

        unrecorded, recorded, ratio = compare(within(1), within(0), options.pairs)
        bare, idle, idle_ratio = compare(run.seconds, within(1), 3 * options.pairs)

        def peak(start: int) -> Callable[[], float]:
            """Peak memory of a step of a tracer that records it (start 0) or not."""

            def mib() -> float:
                with Tracer(run.model, path, start=start):
                    reset_peak()
                    run.step()
                    return peak_mib()

            return mib

        without, with_tracer, _ = compare(peak(1), peak(0), options.pairs)
        with Tracer(run.model, path):
            run.step()
        size = path.stat().st_size
        masks = sum(mask.bits.nbytes for op in TraceReader(path) for mask in op.masks.values())

    setting = f"width {options.width}, batch {options.batch}, {options.threads} thread(s), torch {torch.__version__}"
    print(f"ResNet-18, {setting}")
    print(f"step recorded      {recorded:7.3f} s, not recorded {unrecorded:7.3f} s: × {ratio:.3f}")
    print(f"step not recorded  {idle:7.3f} s, no tracer    {bare:7.3f} s: × {idle_ratio:.3f}")
    print(f"one step's masks   {masks / 2**20:7.1f} MiB packed, {size / 2**20:.1f} MiB in the file")
    print(
        f"peak memory        {with_tracer:7.0f} MiB recorded, {without:.0f} MiB not: + {with_tracer - without:.1f} MiB"
    )


if __name__ == "__main__":
    main()
