"""What a scanning PE costs beside a dense one: cells after generic synthesis of rtl/.

    python experiments/rtl_area/run.py [--quick] [--out DIR]

synthesises one PE at a time with Yosys (`synth -flatten`, no technology library) and writes `table.csv`. Cells are
gates of two inputs, multiplexers and flip-flops, each counted as one.
"""

from __future__ import annotations

import argparse
import csv
import re
import shutil
import subprocess
import sys
from dataclasses import asdict, dataclass, fields
from pathlib import Path

from accelsim.files import whole_file

HERE = Path(__file__).parent
ROOT = HERE.parents[1]
RTL = ROOT / "rtl"
OPERAND_BITS = 8
SUM_BITS = 32


@dataclass(frozen=True)
class Pe:
    """One PE: scan width S, queue depth D, lanes L; S = L and D = 0 on a dense one."""

    kind: str
    scan_width: int
    fifo_depth: int
    lanes: int


PES = (
    *(Pe("dense", lanes, 0, lanes) for lanes in (1, 2, 4)),
    *(
        Pe("scanning", width, depth, 1)
        for width, depth in ((4, 4), (4, 8), (4, 16), (8, 8), (8, 16), (16, 16), (16, 32))
    ),
    *(Pe("scanning", width, depth, lanes) for width, depth, lanes in ((4, 4, 2), (8, 8, 4), (16, 16, 4))),
)


@dataclass(frozen=True)
class Cells:
    """Cells of one part after synthesis."""

    cells: int
    flip_flops: int


def synthesise(pe: Pe) -> Cells:
    """Run Yosys on one PE."""
    sizes = {"L": pe.lanes, "W": OPERAND_BITS, "ACC": SUM_BITS}
    if pe.kind == "scanning":
        sizes |= {"S": pe.scan_width, "D": pe.fifo_depth}
    top = f"{pe.kind}_pe"
    sources = " ".join(str(RTL / f"{name}.sv") for name in ("mac_lanes", "scan_queue", "scanning_pe", "dense_pe"))
    given = " ".join(f"-set {name} {value}" for name, value in sizes.items())
    script = "; ".join(
        (
            f"read_verilog -sv {sources}",
            f"chparam {given} {top}",
            f"synth -flatten -top {top}",
            "check -assert",
            "select -assert-none t:$_DLATCH*",  # no latches
            "tee -o /dev/stdout stat",
        )
    )
    done = subprocess.run(["yosys", "-q", "-p", script], capture_output=True, text=True, check=True)
    counts = {name: int(number) for name, number in re.findall(r"^ +(\$_\w+) +(\d+)$", done.stdout, re.MULTILINE)}
    return Cells(sum(counts.values()), sum(number for name, number in counts.items() if "DFF" in name))


def main() -> None:
    """Synthesise every PE and write the table whole."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="only the smallest of each kind")
    parser.add_argument("--out", type=Path, help="default: beside this file; with --quick, runs/rtl_area/quick")
    options = parser.parse_args()
    out = options.out or (ROOT / "runs" / HERE.name / "quick" if options.quick else HERE)
    if shutil.which("yosys") is None:
        sys.exit("Yosys is not installed; get it with apt-get install yosys")
    chosen = [next(pe for pe in PES if pe.kind == kind) for kind in ("dense", "scanning")] if options.quick else PES
    out.mkdir(parents=True, exist_ok=True)
    with whole_file(out / "table.csv") as beside, beside.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow([field.name for kind in (Pe, Cells) for field in fields(kind)])
        for pe in chosen:
            row = asdict(pe) | asdict(synthesise(pe))
            writer.writerow(row.values())
            print(*row.values(), flush=True)


if __name__ == "__main__":
    main()
