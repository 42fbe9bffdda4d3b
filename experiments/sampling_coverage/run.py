"""Whether 95 % intervals of sampled simulations hold what they promise.

    python experiments/sampling_coverage/run.py

takes passes of the shipped trace on machines that wait for the array or for memory, simulates each in full and then a
sample of its tiles with 200 seeds, and counts how often the interval contains the full answer. It writes
`coverage.csv` beside this file and the table in README.md. `--quick` does a little of it.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from accelsim import Hardware, load_hardware, open_trace
from accelsim.energy.load import load_table
from accelsim.files import write_whole
from accelsim.fleet import Fleet, PassOfFleet, Timer
from accelsim.lowering import MaskedGemm, Pass, lower
from accelsim.results import MachineRun
from accelsim.sampling import Sampler, Variance, combine
from accelsim.timing import time_gemm

HERE = Path(__file__).parent
ROOT = HERE.parents[1]
TRACE = ROOT / "traces" / "simclr_resnet18w16_photos.pkl"
STEP = 395
CASES: tuple[tuple[str, Pass], ...] = (
    ("encoder.layer1.0.conv2", "forward"),
    ("encoder.layer1.1.conv1", "input_grad"),
    ("encoder.layer2.0.conv1", "input_grad"),  # four stride phases
    ("encoder.layer2.1.conv2", "forward"),
    ("encoder.layer3.0.conv2", "input_grad"),
    ("encoder.layer3.1.conv2", "weight_grad"),
)
QUANTITIES: dict[str, Callable[[MachineRun], float]] = {
    "cycles": lambda run: run.cycles,
    "array_cycles": lambda run: run.array_cycles,
    "energy_pj": lambda run: run.energy.total_pj,
    "slots_effectual": lambda run: run.slots.effectual,
    "slots_barrier": lambda run: run.slots.barrier,
    "slots_memory": lambda run: run.slots.memory,
}
SEEDS, SHARE = 200, 0.05
TOLERANCE = 1e-5  # of a quantity: an interval narrower than that is called exact


@dataclass(frozen=True)
class Case:
    """One pass of one layer, lowered."""

    layer: str
    which: Pass
    gemms: Sequence[MaskedGemm]

    def run(self, hw: Hardware, timer: Timer) -> MachineRun:
        """Run the pass on a machine."""
        running = PassOfFleet(Fleet([hw]), timer)
        for gemm in self.gemms:
            running.add(gemm)
        return running.account(0, load_table(hw.energy))[0]


def machines() -> Iterator[tuple[str, Hardware]]:
    """Yield machines, and what they wait for."""
    wide = load_hardware(ROOT / "hw_configs" / "pe16x16.yaml")
    yield "array", wide
    for bound, bytes_per_cycle in (("both", 12.0), ("memory", 5.0)):
        narrow: dict[str, Any] = wide.model_dump()
        narrow["name"] = f"pe16x16, {bytes_per_cycle:g} B a cycle"
        narrow["memory"]["dram"]["bytes_per_cycle"] = bytes_per_cycle
        yield bound, Hardware.model_validate(narrow)


def measure(cases: Sequence[Case], bound: str, hw: Hardware, seeds: int, share: float) -> Iterator[dict[str, object]]:
    """Yield a row a pass and quantity, and those of all passes together."""
    exact = [case.run(hw, time_gemm) for case in cases]
    sampled: list[list[MachineRun]] = []
    for seed in range(seeds):
        sampler = Sampler(share, seed, pays=lambda _strips, _drawn: True)
        timers = [partial(sampler.time, key=(number,)) for number in range(len(cases))]
        sampled.append([case.run(hw, timer) for case, timer in zip(cases, timers, strict=True)])
    for name, value in QUANTITIES.items():
        for number, case in enumerate(cases):
            runs = [passes[number] for passes in sampled]
            variances = [run.spread.variances.get(name, Variance()) for run in runs]
            estimates, truth = [value(run) for run in runs], value(exact[number])
            what = {"machine": hw.name, "bound": bound, "layer": case.layer, "pass": case.which}
            share_drawn = runs[0].spread.simulated / runs[0].spread.tiles
            yield what | {"quantity": name, "share": share_drawn} | _judge(truth, estimates, variances)
        sums = [sum(map(value, passes)) for passes in sampled]
        spreads = [combine([run.spread for run in passes])[name] for passes in sampled]
        what = {"machine": hw.name, "bound": bound, "layer": "all", "pass": "all"}
        drawn = sum(run.spread.simulated for run in sampled[0]) / sum(run.spread.tiles for run in sampled[0])
        yield what | {"quantity": name, "share": drawn} | _judge(sum(map(value, exact)), sums, spreads)


def _measured(
    cases: Sequence[Case], seeds: int, share: float, machine: tuple[str, Hardware]
) -> list[dict[str, object]]:
    return list(measure(cases, *machine, seeds, share))


def _judge(truth: float, estimates: Sequence[float], variances: Sequence[Variance]) -> dict[str, object]:
    """Compare estimates with the truth, in per cent of it."""
    off, halves = np.array(estimates) - truth, np.array([variance.half_width for variance in variances])
    if truth == 0 or halves.mean() <= TOLERANCE * truth:
        return {"exact": truth, "largest_error_percent": 100 * np.abs(off).max() / truth if truth else 0.0}
    return {
        "exact": truth,
        "bias_percent": 100 * off.mean() / truth,
        "deviation_percent": 100 * off.std(ddof=1) / truth,
        "half_width_percent": 100 * halves.mean() / truth,
        "largest_error_percent": 100 * np.abs(off).max() / truth,
        "coverage": float((np.abs(off) <= halves).mean()),
    }


def table(rows: pd.DataFrame) -> str:
    """Coverage by machine and quantity, in Markdown: all passes together, and the mean over passes."""
    lines = [
        "| machine | waits for | quantity | all passes: ± | covered | single passes: covered, mean |",
        "|---" * 6 + "|",
    ]
    for (machine, bound, name), part in rows.groupby(["machine", "bound", "quantity"], sort=False):
        whole, single = part[part["layer"] == "all"].iloc[0], part[part["layer"] != "all"]["coverage"].dropna()
        if pd.notna(whole["coverage"]):
            parts = f"{100 * single.mean():.1f} % of {len(single)}" if len(single) else "–"
            lines.append(
                f"| {machine} | {bound} | {name} | {whole['half_width_percent']:.2f} % |"
                f" {100 * whole['coverage']:.1f} % | {parts} |"
            )
    return "\n".join(lines)


def main() -> None:
    """Measure and write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, default=SEEDS, help="other than the default needs --out")
    parser.add_argument("--share", type=float, default=SHARE, help="other than the default needs --out")
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument(
        "--out", type=Path, help="default: beside this file; with --quick, runs/sampling_coverage/quick"
    )
    parser.add_argument("--quick", action="store_true", help="two passes, one machine, five seeds")
    options = parser.parse_args()
    if (options.seeds, options.share) != (SEEDS, SHARE) and not options.out:
        parser.error(f"--seeds and --share need --out DIR: beside this file lie the results of {SEEDS} and {SHARE}")
    out = options.out or (ROOT / "runs" / HERE.name / "quick" if options.quick else HERE)
    names = CASES[:3:2] if options.quick else CASES
    reader = open_trace(TRACE).select(layers=[layer for layer, _ in names], steps=[STEP])
    ops = {op.name: op for op in reader if op.call == 0}
    cases = [Case(layer, which, list(lower(ops[layer], which))) for layer, which in names]
    chosen = list(machines())[: 1 if options.quick else None]
    work = partial(_measured, cases, 5 if options.quick else options.seeds, options.share)
    with ProcessPoolExecutor(options.workers) as pool:
        measured = pd.DataFrame([row for rows in pool.map(work, chosen) for row in rows])
    out.mkdir(parents=True, exist_ok=True)
    write_whole(out / "coverage.csv", measured.to_csv(index=False, float_format="%.6g"))
    print(table(measured))


if __name__ == "__main__":
    main()
