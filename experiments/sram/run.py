"""Energy and area of SRAMs by capacity and width, from CACTI: writes `table.csv` and `accelsim/area/sram.csv`.

    git clone https://github.com/HewlettPackard/cacti && make -C cacti
    python experiments/sram/run.py cacti [--quick] [--out DIR]

Scratch memories of one bank with one port that reads or writes, at 45 nm, low operating power transistors (itrs-lop),
330 K, the organisation with the least energy x delay squared. Every other setting is that of CACTI's own cache.cfg.
"""

from __future__ import annotations

import argparse
import csv
import re
import subprocess
from pathlib import Path

from accelsim.files import temporary_folder, whole_file, write_whole

HERE = Path(__file__).parent
ROOT = HERE.parents[1]
READ = ROOT / "accelsim" / "area" / "sram.csv"
CAPACITIES_KIB = (1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1024)
WIDTHS_BITS = (16, 32, 64, 128, 256, 512, 1024)
LEAST_WORDS = 32
SETTINGS = {
    "-technology (u)": "0.045",
    "-cache type": '"ram"',
    "-associativity": "1",
    "-Data array cell type -": '"itrs-lop"',
    "-Data array peripheral type -": '"itrs-lop"',
    "-operating temperature (K)": "330",
    "-Add ECC -": '"false"',
    "-Print level (DETAILED, CONCISE) -": '"CONCISE"',
}


def sram(cacti: Path, kib: int, bits: int) -> tuple[float, float]:
    """Run CACTI on one memory: pJ of a read of its whole width, and mm2."""
    settings = SETTINGS | {
        "-size (bytes)": str(1024 * kib),
        "-block size (bytes)": str(bits // 8),
        "-output/input bus width": str(bits),
    }
    lines = []
    for line in (cacti / "cache.cfg").read_text(encoding="utf-8").splitlines():
        key = next((key for key in settings if line.startswith(key)), None)
        lines.append(f"{key} {settings[key]}" if key else line)
    with temporary_folder("accelsim-sram-") as folder:
        file = folder / "sram.cfg"
        file.write_text("\n".join(lines) + "\n", encoding="utf-8")
        command = [str(cacti.resolve() / "cacti"), "-infile", str(file)]
        said = subprocess.run(command, cwd=cacti, capture_output=True, text=True, check=True).stdout
    read = re.search(r"dynamic read energy per access \(nJ\): ([\d.e+-]+)", said)
    sides = re.search(r"Cache height x width \(mm\): ([\d.e+-]+) x ([\d.e+-]+)", said)
    if read is None or sides is None:
        raise SystemExit(f"CACTI found no organisation for {kib} KiB, {bits} bits wide")
    return 1000 * float(read[1]), float(sides[1]) * float(sides[2])


def main() -> None:
    """Run CACTI on all memories and write the table whole."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("cacti", type=Path, help="folder of CACTI, built")
    parser.add_argument("--quick", action="store_true", help="the two smallest capacities only")
    parser.add_argument("--out", type=Path, help="default: beside this file; with --quick, runs/sram/quick")
    options = parser.parse_args()
    out = options.out or (ROOT / "runs" / HERE.name / "quick" if options.quick else HERE)
    out.mkdir(parents=True, exist_ok=True)
    with whole_file(out / "table.csv") as beside, beside.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(("kib", "bits", "read_pj", "mm2"))
        for kib in CAPACITIES_KIB[:2] if options.quick else CAPACITIES_KIB:
            for bits in WIDTHS_BITS:
                if 8192 * kib >= LEAST_WORDS * bits:
                    read_pj, mm2 = sram(options.cacti, kib, bits)
                    writer.writerow((kib, bits, f"{read_pj:.4g}", f"{mm2:.4g}"))
    if out == HERE:
        write_whole(READ, (out / "table.csv").read_text(encoding="utf-8"))


if __name__ == "__main__":
    main()
