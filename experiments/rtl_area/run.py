"""Cells of the parts that PEs are made of: synthesises rtl/, and fits the formulas that the area model reads.

    python experiments/rtl_area/run.py [--quick] [--only PART ...] [--fit] [--out DIR]

Every part (a module of rtl/) is synthesised with Yosys (`synth -flatten`, no technology library) over its sizes, which
gives `table.csv`: gates (of one and two inputs, and multiplexers), their area in NAND gates of two inputs, and
flip-flops. Then the coefficients of `accelsim.hardware.logic` are fitted and written to `accelsim/hardware/logic.json`.
`--fit` only fits again, from the table as it is; `--only` synthesises some parts anew and keeps the other rows.
"""

from __future__ import annotations

import argparse
import csv
import json
import re
import shutil
import subprocess
import sys
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from itertools import product
from pathlib import Path

import numpy as np

from accelsim.files import whole_file, write_whole
from accelsim.hardware.logic import derived_sizes, term

HERE = Path(__file__).parent
ROOT = HERE.parents[1]
RTL = ROOT / "rtl"
FITS = ROOT / "accelsim" / "hardware" / "logic.json"
SIZES = ("S", "D", "V", "L", "W", "ACC", "MEMBERS")
COLUMNS = ("part", *SIZES, "gates", "gate_equivalents", "flip_flops")


@dataclass(frozen=True)
class Module:
    """A module of rtl/ with its sizes; a size that it does not have is left out."""

    part: str
    sizes: tuple[tuple[str, int], ...]

    @property
    def key(self) -> tuple[str, ...]:
        """Its cells in the table's first columns."""
        given = dict(self.sizes)
        return (self.part, *(str(given.get(size, "")) for size in SIZES))


def _grid(part: str, **values: Iterable[int]) -> Iterator[Module]:
    for chosen in product(*values.values()):
        sizes = dict(zip(values, chosen, strict=True))
        if sizes.get("D", 1 << 30) >= sizes.get("S", 0):  # a queue takes a whole window
            yield Module(part, tuple(sizes.items()))


QUEUES = ((4, 4), (4, 8), (4, 16), (8, 8), (8, 16), (8, 32), (16, 16), (16, 32), (32, 32))  # S and D
MODULES = (
    *_grid("mac_lanes", L=(1, 2, 4, 8, 16), W=(8, 16), ACC=(16, 32)),
    *_grid("mac_lanes", L=(1, 4, 8, 16), W=(4,), ACC=(16, 32)),
    *_grid("mac_lanes", L=(1, 4), W=(32,), ACC=(32,)),
    *(module for s, d in QUEUES for module in _grid("scanner", S=(s,), D=(d,), L=(1, 4))),
    *(module for s, d in QUEUES for module in _grid("crossbar", S=(s,), D=(d,), W=(8, 16))),
    *_grid("crossbar", S=(8,), D=(8,), W=(4, 32)),
    *_grid("pair_queue", D=(4, 8, 16, 32), L=(1, 2, 4), W=(8, 16)),
    *_grid("window_filter", S=(4, 8, 16, 32), LINES=(1,)),
    *_grid("window_join", S=(4,), V=(2, 4), L=(1,)),
    *_grid("window_join", S=(8, 16, 32), V=(1, 2, 4), L=(1,)),
    *_grid("window_join", S=(8, 16), V=(1, 2, 4), L=(2, 4)),
    *_grid("operand_pick", S=(4, 8, 16, 32), V=(1, 2, 4), L=(1,), W=(16,)),
    *_grid("operand_pick", S=(8,), V=(1, 2), L=(1, 4), W=(8,)),
    *_grid("join_group", V=(2, 4), MEMBERS=(64, 256, 1024)),
    *_grid("lane_scheduler", V=(2, 3)),  # with one window a lane has no choice
    *_grid("schedule", V=(2, 3)),
    *_grid("staged_windows", V=(2, 3), W=(4, 8, 16, 32)),
    *_grid("lane_pick", V=(2, 3), W=(4, 8, 16, 32)),
    *_grid("stage_group", V=(1, 2, 3), MEMBERS=(1, 8, 32, 128)),
    *_grid("tensordash_pe", V=(2, 3), W=(8, 16), ACC=(32,)),
    *_grid("inner_join_pe", S=(4, 8, 16), V=(1, 2, 4), L=(1,), W=(16,), ACC=(32,)),
    *_grid("inner_join_pe", S=(8, 16), V=(1, 2), L=(4,), W=(16,), ACC=(32,)),
    *(
        Module("scanning_pe", (("S", s), ("D", d), ("L", n), ("W", 16), ("ACC", 32)))
        for s, d in QUEUES[:7]
        for n in (1, 4)
    ),
)


GATE_AREAS_UM2 = {
    "NOT": 0.532,
    "NAND": 0.798,
    "NOR": 0.798,
    "AND": 1.064,
    "OR": 1.064,
    "ANDNOT": 1.064,
    "ORNOT": 1.064,
    "XOR": 1.596,
    "XNOR": 1.596,
    "MUX": 1.862,
}
"""Smallest cell of each kind in the NanGate 45 nm Open Cell Library (INV_X1, NAND2_X1, ..., MUX2_X1), um2. It has no
AND with one input inverted; those count as an AND."""
NAND2_UM2 = GATE_AREAS_UM2["NAND"]


@dataclass(frozen=True)
class Cells:
    """What a module is made of.

    Attributes:
        gates: gates of one and two inputs, and multiplexers.
        gate_equivalents: the area of these gates, in NAND gates of two inputs.
        flip_flops: those in addition.
    """

    gates: int
    gate_equivalents: int
    flip_flops: int


def synthesise(module: Module) -> Cells:
    """Run Yosys on one module."""
    given = " ".join(f"-set {name} {value}" for name, value in module.sizes)
    script = "; ".join(
        (
            f"read_verilog -sv {' '.join(str(path) for path in sorted(RTL.glob('*.sv')))}",
            f"chparam {given} {module.part}",
            f"synth -flatten -top {module.part}",
            "check -assert",
            "select -assert-none t:$_DLATCH*",  # no latches
            "tee -o /dev/stdout stat",
        )
    )
    done = subprocess.run(["yosys", "-q", "-p", script], capture_output=True, text=True, check=True)
    counts = {name: int(number) for name, number in re.findall(r"^ +\$_(\w+)_ +(\d+)$", done.stdout, re.MULTILINE)}
    flip_flops = sum(number for name, number in counts.items() if "DFF" in name)
    gates = {name: number for name, number in counts.items() if "DFF" not in name}
    um2 = sum(number * GATE_AREAS_UM2[name] for name, number in gates.items())
    return Cells(sum(gates.values()), round(um2 / NAND2_UM2), flip_flops)


TERMS: Mapping[str, tuple[str, ...]] = {
    "mac_lanes": ("L*LOW", "L*HIGH", "L*ACC"),
    "scanner": ("S*T", "N"),
    "crossbar": ("S*D*W", "S*D"),
    "pair_queue": ("MOVES*W", "L"),
    "window_filter": ("S",),
    "window_join": ("S*V", "RANKS", "ENCODED", "ACROSS"),
    "operand_pick": ("L*W*INPUTS",),
    "join_group": ("MEMBERS*V", "V*V", "ONE"),
    "lane_scheduler": ("AHEAD",),
    "schedule": ("AHEAD",),
    "staged_windows": ("AHEAD*V*W",),
    "lane_pick": ("CHOICES*W",),
    "stage_group": ("MEMBERS*V", "V*V", "ONE"),
}
"""Of each part's gates: a sum of these products of sizes (`derived_sizes`), each times a coefficient."""
FLIP_FLOPS: Mapping[str, Mapping[str, int]] = {
    "mac_lanes": {"L*W": 2, "L": 1, "ACC": 1},
    "scanner": {"N": 1},
    "crossbar": {},
    "pair_queue": {"D*W": 2},
    "window_filter": {},
    "window_join": {"S*V": 1},
    "operand_pick": {},
    "join_group": {"V": 3, "ONE": 8},
    "lane_scheduler": {},
    "schedule": {"V": 16},
    "staged_windows": {"V*W": 16},
    "lane_pick": {},
    "stage_group": {"V": 2, "ONE": 7},
}
"""Flip-flops of each part, exactly."""


def fit(table: Mapping[tuple[str, ...], Cells]) -> dict[str, dict[str, object]]:
    """Fit each part's gates so that the largest relative error is as small as can be."""
    fits: dict[str, dict[str, object]] = {}
    for part, terms in TERMS.items():
        shares, rows = gate_shares(table, part), [cells for key, cells in table.items() if key[0] == part]
        factors = least_worst(shares)
        per_gate = sum(cells.gate_equivalents for cells in rows) / sum(cells.gates for cells in rows)
        fits[part] = {
            "gates": {name: round(float(factor), 4) for name, factor in zip(terms, factors, strict=True)},
            "flip_flops": dict(FLIP_FLOPS[part]),
            "equivalents_per_gate": round(float(per_gate), 4),
        }
        print(f"{part}: {len(rows)} sizes, largest error {largest_error(shares, factors):.1%}")
    return fits


def gate_shares(table: Mapping[tuple[str, ...], Cells], part: str) -> np.ndarray:
    """Return each term of a part's formula over its gates: float64 [sizes, terms]."""
    rows = [(_sizes(key), cells.gates) for key, cells in table.items() if key[0] == part]
    return np.array([[term(name, sizes) / gates for name in TERMS[part]] for sizes, gates in rows], float)


def largest_error(shares: np.ndarray, factors: np.ndarray) -> float:
    """Return the largest relative error of a fit."""
    return float(np.abs(shares @ factors - 1).max())


def least_worst(shares: np.ndarray) -> np.ndarray:
    """Return factors, none negative, for which each row's sum is as near to 1 as the worst row allows.

    By Lawson's algorithm: least squares, whose weights grow where the error is large.
    """
    weights, best, smallest = np.ones(len(shares)), np.zeros(shares.shape[1]), np.inf
    for _ in range(2000):
        root = np.sqrt(weights)
        factors = np.maximum(np.linalg.lstsq(shares * root[:, None], root)[0], 0.0)
        errors = np.abs(shares @ factors - 1)
        if errors.max() < smallest:
            best, smallest = factors, errors.max()
        weights = weights * (errors + 1e-12)
        weights /= weights.sum()
    return best


def _sizes(key: tuple[str, ...]) -> dict[str, int]:
    return derived_sizes({size: int(value) for size, value in zip(SIZES, key[1:], strict=True) if value})


def read_table(path: Path) -> dict[tuple[str, ...], Cells]:
    """Read a table that this command wrote."""
    rows = csv.DictReader(path.open(encoding="utf-8"))
    counts = ("gates", "gate_equivalents", "flip_flops")
    return {(row["part"], *(row[size] for size in SIZES)): Cells(*(int(row[name]) for name in counts)) for row in rows}


def main() -> None:
    """Synthesise the parts that were asked for, write the table whole, and fit."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="the smallest module of each part, nothing fitted")
    parser.add_argument("--only", nargs="+", metavar="PART", help="synthesise these parts, keep the table's other rows")
    parser.add_argument("--fit", action="store_true", help="synthesise nothing")
    parser.add_argument("--out", type=Path, help="of the table; default: beside this file, with --quick in runs/")
    options = parser.parse_args()
    out = options.out or (ROOT / "runs" / HERE.name / "quick" if options.quick else HERE)
    out.mkdir(parents=True, exist_ok=True)
    keeps = (options.only or options.fit) and (out / "table.csv").exists()
    table = read_table(out / "table.csv") if keeps else {}
    chosen = [module for module in MODULES if not options.only or module.part in options.only]
    if options.quick:
        chosen = list({module.part: module for module in reversed(chosen)}.values())
    if not options.fit:
        if shutil.which("yosys") is None:
            sys.exit("Yosys is not installed; get it with apt-get install yosys")
        for module in chosen:
            table[module.key] = synthesise(module)
            print(*module.key, table[module.key], flush=True)
    with whole_file(out / "table.csv") as beside, beside.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(COLUMNS)
        order = {module.key: number for number, module in enumerate(MODULES)}
        for key in sorted(table, key=lambda key: order.get(key, len(order))):
            cells = table[key]
            writer.writerow((*key, cells.gates, cells.gate_equivalents, cells.flip_flops))
    if not options.quick:
        write_whole(FITS, json.dumps(fit(table), indent=2) + "\n", OSError)


if __name__ == "__main__":
    main()
