"""Accuracy and speedup against sparsity and granularity, a training run a row.

    python experiments/sparsity_and_granularity/run.py --data cifar10:DIR

trains the rows of `config.yaml` that have no file in `results/` yet, one after another (Ctrl-C stops; the same command
goes on). After each row it writes `table.csv` (a line a row, missing ones included), `seeds.csv` (a line a setting,
with the spread over seeds), `accuracy_and_speedup.svg` and `.png` beside this file.
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path

from figure import draw
from measure import measure
from rows import Plan, read_plan
from tables import row_table, seed_table

from accelsim.errors import AccelsimError, TrainingError
from accelsim.files import write_whole

HERE = Path(__file__).parent
ROOT = HERE.parents[1]


def collect(plan: Plan, out: Path) -> None:
    """Write tables and figure of the rows measured so far."""
    (out / "results").mkdir(parents=True, exist_ok=True)
    table = row_table(plan, out / "results")
    seeds = seed_table(table)
    write_whole(out / "table.csv", table.to_csv(index=False, float_format="%.6g"))
    write_whole(out / "seeds.csv", seeds.to_csv(index=False, float_format="%.6g"))
    draw(seeds, out / "accuracy_and_speedup")


def run(plan: Plan, data: str, only: list[str], out: Path, runs: Path) -> None:
    """Measure the rows that have no result yet.

    Raises:
        TrainingError: images of another kind than the plan's.
    """
    if data.partition(":")[0] != plan.data:
        raise TrainingError(f"--data is {data}, but this table is about {plan.data}")
    for row in plan.only(only):
        path = out / "results" / f"{row.name}.json"
        if path.exists():
            continue
        print(f"{row.name} ...", file=sys.stderr, flush=True)
        found = measure(plan, row, data, runs)
        if found is None:
            raise KeyboardInterrupt
        path.parent.mkdir(parents=True, exist_ok=True)
        write_whole(path, json.dumps(found, indent=2) + "\n")
        collect(plan, out)


def main() -> int:
    """Measure what is missing, then write tables and figure."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", help="cifar10:DIR; without it, tables and figure of what there is")
    parser.add_argument("--only", action="append", default=[], metavar="WILDCARD", help="rows by name: 'simclr-*-s0'")
    parser.add_argument("--quick", action="store_true", help="quick.yaml on photographs")
    parser.add_argument(
        "--out", type=Path, help="default: beside this file; with --quick, runs/sparsity_and_granularity/quick"
    )
    parser.add_argument("--runs", type=Path, help="where checkpoints and traces go")
    options = parser.parse_args()
    out = options.out or (ROOT / "runs" / HERE.name / "quick" if options.quick else HERE)
    runs = options.runs or (out / "runs" if options.quick else ROOT / "runs" / HERE.name)
    data = "photos" if options.quick else options.data
    try:
        plan = read_plan(HERE / ("quick.yaml" if options.quick else "config.yaml"))
        if data is not None:
            run(plan, data, options.only, out, runs)
        collect(plan, out)
    except AccelsimError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("stopped; the same command goes on", file=sys.stderr)
        return 130
    return 0


if __name__ == "__main__":
    sys.exit(main())
