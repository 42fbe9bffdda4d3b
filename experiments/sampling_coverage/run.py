"""Whether 95 % intervals of sampled simulations hold what they promise.

    python experiments/sampling_coverage/run.py

takes passes of shipped traces and of made-up layers whose masks have structure, on several machines, simulates each in
full and then a sample of its tiles with many seeds, and counts how often the interval contains the full answer; once
with a share and once with `auto`. It writes `coverage.csv` beside this file and prints the table in README.md.
`--quick` does a little of it.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from functools import partial
from itertools import product
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pandas as pd

from accelsim import Hardware, OpTrace, load_hardware, open_trace
from accelsim.array import time_tiled
from accelsim.energy.load import load_table
from accelsim.files import write_whole
from accelsim.fleet import Fleet, PassOfFleet, Timer
from accelsim.lowering import PASSES, MaskedGemm, Pass, lower
from accelsim.results import PassAccount
from accelsim.sampling import Sampler, Variance, allocate, combine, is_sure

HERE = Path(__file__).parent
ROOT = HERE.parents[1]
TRACES = {  # trace: layers of its last recorded step but one
    "simclr_resnet18w16_photos": ("encoder.layer1.0.conv2", "encoder.layer2.0.conv1", "encoder.layer3.0.conv2"),
    "simclr_gmp_channel": ("encoder.layer1.0.conv2", "encoder.layer2.0.conv1"),
    "simclr_rigl_element": ("encoder.layer1.0.conv2", "encoder.layer2.0.conv1"),
}
MASKS = ("bands", "checkerboard", "corner", "channels", "images", "depthwise")
MACHINES = ("edge8x8", "pe16x16_rowsync", "pe16x16_rowsync, 12 B a cycle", "tensorcore8", "tensordash16x16")
QUANTITIES: dict[str, Callable[[PassAccount], float]] = {
    "cycles": lambda run: run.cycles,
    "array_cycles": lambda run: run.array_cycles,
    "energy_pj": lambda run: run.energy.total_pj,
}
Share = float | Literal["auto"]
SEEDS, SHARE = 60, 0.05
ERROR = 0.003  # that auto is to reach


@dataclass(frozen=True)
class Case:
    """One pass of one layer, lowered."""

    layer: str
    which: Pass
    gemms: Sequence[MaskedGemm]

    def run(self, hw: Hardware, timer: Timer) -> PassAccount:
        """Run the pass on a machine."""
        running = PassOfFleet(Fleet([hw]), timer)
        for gemm in self.gemms:
            running.add(gemm)
        return running.account(0, load_table(hw.energy))[0]


def machine(name: str) -> Hardware:
    """Load a machine; a number after a comma replaces its DRAM bandwidth, in bytes per cycle."""
    file, _, bandwidth = name.partition(", ")
    hw = load_hardware(ROOT / "hw_configs" / f"{file}.yaml")
    if not bandwidth:
        return hw
    narrow: dict[str, Any] = hw.model_dump()
    narrow["name"], narrow["memory"]["dram"]["bytes_per_cycle"] = name, float(bandwidth.split()[0])
    return Hardware.model_validate(narrow)


def cases(name: str) -> list[Case]:
    """Return all passes of a shipped trace's layers, or of a made-up layer."""
    if name not in TRACES:
        ops = [made_up(name)]
    else:
        reader = open_trace(ROOT / "traces" / f"{name}.pkl")
        chosen = reader.select(layers=list(TRACES[name]), steps=[sorted(reader.steps)[-2]])
        ops = [op for op in chosen if op.call == 0]
    return [Case(op.name, which, list(lower(op, which))) for op in ops for which in PASSES]


def made_up(name: str) -> OpTrace:
    """Make a 3 x 3 convolution of 16 images of 32 x 32; activations of structure, which input_grad needs only.

    bands and checkerboard: squares or stripes of 4 pixels that are nearly full, others nearly empty. corner: one
    corner of each image is full, the rest nearly empty. channels: weights and activations of pruned channels. images:
    they differ in density. depthwise: eight groups of one channel, in bands.
    """
    images, channels, outputs, side = 16, 8 if name == "depthwise" else 32, 8 if name == "depthwise" else 32, 32
    rng, line = np.random.default_rng(0), np.arange(side) // 4
    density = np.full((images, channels, side, side), 0.5)
    match name:
        case "bands" | "depthwise":
            density[:] = np.where(line % 2 == 0, 0.95, 0.05)[:, None]
        case "checkerboard":
            density[:] = np.where(np.add.outer(line, line) % 2 == 0, 0.95, 0.05)
        case "corner":
            density[:] = 0.02
            density[:, :, :6, :6] = 1
        case "channels":
            density[:] = rng.random((channels, 1, 1)) ** 3
        case "images":
            density[:] = rng.random((images, 1, 1, 1)) ** 2
    shown = rng.random(density.shape) < density
    weight = rng.random((outputs, 1 if name == "depthwise" else channels, 3, 3)) < 0.3
    if name == "channels":
        weight &= (rng.random((outputs, channels, 1, 1)) < 0.5) & (rng.random((outputs, 1, 1, 1)) < 0.7)
    return OpTrace(
        name=name,
        step=0,
        weight=weight,
        input=shown,
        grad_output=rng.random((images, outputs, side, side)) < 0.2 + 0.6 * density[:, :1],
        padding=(1, 1),
        groups=channels if name == "depthwise" else 1,
        input_grad_needed=shown,
    )


def measure(seeds: int, what: tuple[str, str, Share]) -> list[dict[str, object]]:
    """Return a row per pass and quantity, and those of all passes together.

    Args:
        what: machine, trace or made-up layer, and the share to sample.
    """
    machine_name, name, share = what
    hw, passes = machine(machine_name), cases(name)
    exact = [case.run(hw, time_tiled) for case in passes]
    sampled: list[list[PassAccount]] = []
    drawn: dict[Any, Any] = {}
    for seed in range(seeds):
        sampler = Sampler(0.0 if share == "auto" else share, seed, pays=lambda _strips, _drawn: True)
        sampler.drawn = drawn  # of all seeds: a strip is simulated once
        sampled.append(_run(hw, passes, sampler, ERROR if share == "auto" else None))
    found = []
    for quantity, value in QUANTITIES.items():
        labels = {"machine": machine_name, "masks": name, "share_asked": share, "quantity": quantity}
        for number, case in enumerate(passes):
            runs = [of_all[number] for of_all in sampled]
            variances = [run.spread.variances.get(quantity, Variance()) for run in runs]
            row = _judge(value(exact[number]), [value(run) for run in runs], variances)
            share_drawn = np.mean([run.spread.simulated / run.spread.tiles for run in runs])
            found.append(labels | {"layer": case.layer, "pass": case.which, "share": share_drawn} | row)
        sums = [sum(map(value, of_all)) for of_all in sampled]
        spreads = [combine([run.spread for run in of_all])[quantity] for of_all in sampled]
        share_drawn = np.mean(
            [sum(r.spread.simulated for r in of_all) / sum(r.spread.tiles for r in of_all) for of_all in sampled]
        )
        row = _judge(sum(map(value, exact)), sums, spreads)
        found.append(labels | {"layer": "all", "pass": "all", "share": share_drawn} | row)
    return found


def _run(hw: Hardware, passes: Sequence[Case], sampler: Sampler, error: float | None) -> list[PassAccount]:
    """Run all passes on a sample; with an error to reach, on larger ones until it is, as `simulate` does."""
    timers = [partial(sampler.time, key=(number,)) for number in range(len(passes))]
    while True:
        runs = [case.run(hw, timer) for case, timer in zip(passes, timers, strict=True)]
        spreads, cycles = [run.spread for run in runs], sum(run.cycles for run in runs)
        if error is None or is_sure(spreads, cycles, error):
            return runs
        sampler.enlarge(hw, allocate(spreads, cycles, error))


def _judge(truth: float, estimates: Sequence[float], variances: Sequence[Variance]) -> dict[str, object]:
    """Compare estimates with the truth, in per cent of it; without coverage where all are exact."""
    off, halves = np.array(estimates) - truth, np.array([variance.half_width for variance in variances])
    row: dict[str, object] = {"exact": truth, "seeds": len(estimates)}
    if not halves.any() and (np.abs(off) <= 1e-9 * truth).all():
        return row
    return row | {
        "bias_percent": 100 * off.mean() / truth,
        "deviation_percent": 100 * off.std(ddof=1) / truth,
        "half_width_percent": 100 * halves.mean() / truth,
        "largest_error_percent": 100 * np.abs(off).max() / truth,
        "coverage": float((np.abs(off) <= halves + 1e-9 * truth).mean()),
        "covered": int((np.abs(off) <= halves + 1e-9 * truth).sum()),
    }


def binomial_interval(successes: int, trials: int) -> tuple[float, float]:
    """Return the 95 % interval of a share: Wilson, JASA 22 (1927)."""
    z, share = 1.96, successes / trials
    middle = (share + z**2 / (2 * trials)) / (1 + z**2 / trials)
    half = z / (1 + z**2 / trials) * np.sqrt(share * (1 - share) / trials + z**2 / (4 * trials**2))
    return middle - half, middle + half


def table(rows: pd.DataFrame) -> str:
    """Coverage by share, machine, kind of masks and quantity, in Markdown; of single passes, also that of the worst."""
    lines = [
        "| share | machine | masks | quantity | all passes: ± | covered | single passes: covered | worst |",
        "|---" * 8 + "|",
    ]
    rows = rows.dropna(subset=["covered"])
    rows = rows.assign(group=["made-up masks" if name in MASKS else "shipped traces" for name in rows["masks"]])
    for (share, name, group, quantity), part in rows.groupby(
        ["share_asked", "machine", "group", "quantity"], sort=False
    ):
        if quantity == "array_cycles":  # in the file
            continue
        whole, single = part[part["layer"] == "all"], part[part["layer"] != "all"]
        worst = (single["covered"] / single["seeds"]).min()
        asked = share if share == "auto" else f"{100 * float(str(share)):g} %"
        lines.append(
            f"| {asked} | {name} | {group} | {quantity} | {whole['half_width_percent'].mean():.2g} % |"
            f" {_covered(whole)} | {_covered(single)} | {100 * worst:.0f} % |"
        )
    return "\n".join(lines)


def _covered(rows: pd.DataFrame) -> str:
    successes, trials = int(rows["covered"].sum()), int(rows["seeds"].sum())
    low, high = binomial_interval(successes, trials)
    return f"{100 * successes / trials:.1f} % ({100 * low:.0f} to {100 * high:.0f})"


def _work(quick: bool, share: float) -> Iterator[tuple[str, str, Share]]:
    if quick:
        yield "edge8x8", "bands", share
        return
    masks = (*TRACES, *MASKS)
    yield from product(MACHINES, masks, (share,))
    yield from product(("edge8x8", "pe16x16_rowsync"), masks, ("auto",))


def main() -> None:
    """Measure and write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, default=SEEDS, help="other than the default needs --out")
    parser.add_argument("--share", type=float, default=SHARE, help="other than the default needs --out")
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument(
        "--out", type=Path, help="default: beside this file; with --quick, runs/sampling_coverage/quick"
    )
    parser.add_argument("--quick", action="store_true", help="one layer, one machine, five seeds")
    options = parser.parse_args()
    if (options.seeds, options.share) != (SEEDS, SHARE) and not options.out:
        parser.error(f"--seeds and --share need --out DIR: beside this file lie the results of {SEEDS} and {SHARE}")
    out = options.out or (ROOT / "runs" / HERE.name / "quick" if options.quick else HERE)
    work, found = list(_work(options.quick, options.share)), []
    with ProcessPoolExecutor(options.workers) as pool:
        measured = pool.map(partial(measure, 5 if options.quick else options.seeds), work)
        for number, rows in enumerate(measured, 1):
            found += rows
            print(f"{number} of {len(work)}", file=sys.stderr)
    measured_rows = pd.DataFrame(found)
    out.mkdir(parents=True, exist_ok=True)
    write_whole(out / "coverage.csv", measured_rows.to_csv(index=False, float_format="%.6g"))
    print(table(measured_rows))


if __name__ == "__main__":
    main()
