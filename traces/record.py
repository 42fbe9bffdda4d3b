"""Record the shipped traces again, all of them or those that are named.

    pip install '.[train]'
    python traces/record.py --out DIR [NAME ...]

needs no download: the photographs come with scikit-image. Writes `DIR/NAME.pkl` and, beside it, `DIR/NAME/` with the
loss, the mask updates and the results. A trace that is there already is left alone, so a broken-off series goes on.
"""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[1]

# Steps 25, 145 and 265 lie before, on and behind the ramp (30 to 225), and none of them updates the masks (every 10):
# a freshly pruned step is sparser than the average. Methods that grow weights add the growth step behind each.
SMALL = "--width 8 --batch 8 --steps 300 --knn-images 1000 --record-every 120 --record-start 25"
SCP = (
    "--width 8 --batch 16 --steps 600 --method scp --exchange 0.5 --exchange-final 0.005"
    " --record-every 270 --record-start 35"
)

TRACES = {
    "simclr_gmp_element": SMALL,
    "simclr_set_element": f"{SMALL} --method set",
    "simclr_rigl_element": f"{SMALL} --method rigl",
    "simclr_granet_element": f"{SMALL} --method granet",
    "byol_onebranch_element": f"{SMALL} --framework byol --method one-branch",
    "moco_scp_element": f"{SMALL} --framework moco --queue 256 --method scp --exchange 0.5 --exchange-final 0.005",
    "simclr_srste_2to4": f"{SMALL} --method sr-ste --pattern 2:4 --sparsity 0.5",
    "simclr_gmp_transposable2to4": f"{SMALL} --pattern transposable-2:4 --sparsity 0.5",
    "simclr_gmp_1x4": f"{SMALL} --pattern 1x4",
    "simclr_gmp_channel": f"{SMALL} --pattern channel --allocation uniform --sparsity 0.5",
    "simclr_gates1": f"{SMALL} --sparsity 0.0 --gate-channels 1",
    "simclr_gates8": f"{SMALL} --sparsity 0.0 --gate-channels 8",
    "simclr_gradients": f"{SMALL} --sparsity 0.0 --gradient-sparsity 0.9",
    "simclr_resnet18w16_photos": "--steps 600 --record-every 180 --record-start 35",
    "simclr_scp_element": SCP,
    "simclr_scp_2to4": f"{SCP} --pattern 2:4 --sparsity 0.5",
    "simclr_scp_8x8": f"{SCP} --pattern 8x8",
}


def record(name: str, out: Path) -> None:
    """Train one run in `out` and leave its trace and results there, both whole or not at all."""
    scratch = out / f".{name}"
    shutil.rmtree(scratch, ignore_errors=True)
    scratch.mkdir(parents=True)
    # Names without a folder, so that the command in the metadata is the same wherever it ran.
    options = [*TRACES[name].split(), "--out", name, "--record", f"{name}.pkl"]
    # One thread: sums that are split among threads round differently.
    environment = os.environ | {"OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT)}
    subprocess.run([sys.executable, "-m", "accelsim", "train", *options], cwd=scratch, env=environment, check=True)
    for leftover in ("checkpoint.pt", "loss.svg"):
        (scratch / name / leftover).unlink()
    shutil.rmtree(out / name, ignore_errors=True)
    (scratch / name).rename(out / name)
    (scratch / f"{name}.pkl").rename(out / f"{name}.pkl")
    scratch.rmdir()


def main() -> None:
    """Record what was asked for, one after another."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"all if none is given: {', '.join(TRACES)}")
    parser.add_argument("--out", type=Path, required=True)
    options = parser.parse_args()
    if unknown := sorted(set(options.names) - TRACES.keys()):
        parser.error(f"no shipped trace {', '.join(unknown)}, expected {', '.join(TRACES)}")
    for name in options.names or TRACES:
        if not (options.out / f"{name}.pkl").exists():
            record(name, options.out)


if __name__ == "__main__":
    main()
