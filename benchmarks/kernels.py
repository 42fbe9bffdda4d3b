"""How fast the kernels that time a GEMM are, on one core: `python benchmarks/kernels.py`.

Mask-MACs a second (M · N · K over processor time, medians of several runs) of `time_gemm` on random masks:

1. scanning PEs in every sync mode, by scan width and by array, masks dense (90 % of each operand) and sparse (20 % and
   50 %), all outputs needed or every second one, at random;
2. the same by K, so that what a tile costs before its first window shows;
3. TensorDash, and the PEs that are counted in closed form (dense, systolic).

The roof is measured in the same run: a loop that reads words from the first-level cache, ANDs them with another and
counts the bits, nothing else. Every mask-MAC needs that once unless equal rows are timed once. Random rows all differ,
so nothing here gains from that.
"""

from __future__ import annotations

import argparse
import statistics
import time
from dataclasses import dataclass

import numpy as np

from accelsim import Hardware, OpTrace, kernel
from accelsim.array import time_gemm
from accelsim.lowering import MaskedGemm, lower

SYNCS = ("pe", "row", "column", "array")
WIDTHS = (4, 8, 16, 32, 64)
ARRAYS = (4, 8, 16, 32, 64, 128)
DENSITIES = {"dense": (0.9, 0.9), "sparse": (0.2, 0.5)}
LONG = 4608  # K of a 3x3 convolution of 512 channels
SHORT = (64, 144, 288, 576, 1152, 4608)


@dataclass(frozen=True)
class Sizes:
    """Extents of the GEMMs, and how often each is timed."""

    m: int
    n: int
    repeats: int
    quick: bool


def roof(repeats: int) -> float:
    """Mask-MACs a second of AND and popcount alone: every row with every other one, all in the first-level cache."""
    rows, words, rounds = 64, 16, 2_000
    a, b = np.random.default_rng(0).integers(0, 2**63, (2, rows, words), dtype=np.uint64)
    every = np.full((rows, 1), ~np.uint64(0))
    seconds = []
    for _ in range(repeats + 1):
        start = time.process_time()
        for _ in range(rounds):
            kernel.compiled.effectual_where_needed(a, b, None, 1, rows, rows, words, every)
        seconds.append(time.process_time() - start)
    return rounds * rows * rows * words * 64 / statistics.median(seconds[1:])


def gemm_of(m: int, n: int, k: int, densities: tuple[float, float], masked: bool) -> MaskedGemm:
    """A forward pass with random masks."""
    rng = np.random.default_rng([m, n, k])
    op = OpTrace(
        name="random",
        step=0,
        weight=rng.random((m, k), np.float32) < densities[0],
        input=rng.random((n, k), np.float32) < densities[1],
        output_needed=rng.random((n, m), np.float32) < 0.5 if masked else None,
    )
    (gemm,) = lower(op, "forward")
    return gemm


def machine(rows: int, *, lanes: int = 1, systolic: bool = False, **skipping: object) -> Hardware:
    """A square array with ideal memory; skipping as in a hardware file."""
    array = {"rows": rows, "cols": rows, "lanes": lanes, "interconnect": "systolic" if systolic else "broadcast"}
    return Hardware.model_validate({"name": "benchmark", "array": array, "skipping": skipping})


def scanning(sync: str, width: int, rows: int) -> Hardware:
    """Scanning PEs that see both operands' zeros and leave out outputs that nobody needs."""
    return machine(rows, tensors=["weight", "activation"], scan_width=width, sync=sync, outputs=True)


def rate(hw: Hardware, gemm: MaskedGemm, repeats: int) -> float:
    """Mask-MACs a second; the first run is not counted."""
    seconds = []
    for _ in range(repeats + 1):
        start = time.process_time()
        time_gemm(hw, gemm)
        seconds.append(time.process_time() - start)
    return gemm.macs / statistics.median(seconds[1:])


def table(title: str, columns: list[str], rows: list[list[str]]) -> None:
    """Print a Markdown table."""
    print(f"\n{title}\n\n| {' | '.join(columns)} |\n|{'---|' * len(columns)}")
    for row in rows:
        print(f"| {' | '.join(row)} |", flush=True)


class Report:
    """Prints rates in units of 1e9 mask-MACs a second, each with its share of the goal's machine's."""

    def __init__(self, sizes: Sizes) -> None:
        self.sizes = sizes
        self.gemms = {
            (kind, masked): gemm_of(sizes.m, sizes.n, 576 if sizes.quick else LONG, densities, masked)
            for kind, densities in DENSITIES.items()
            for masked in (False, True)
        }
        self.top = roof(sizes.repeats)
        self.goal = rate(scanning("array", 16, 16), self.gemms["sparse", False], sizes.repeats)
        self.slowest: list[tuple[float, str]] = []

    def cells(self, hw: Hardware, name: str) -> list[str]:
        """A cell for each kind of masks."""
        texts = []
        for (kind, masked), gemm in self.gemms.items():
            found = rate(hw, gemm, self.sizes.repeats)
            self.slowest.append((found, f"{name}, {kind}{', masked' if masked else ''}"))
            texts.append(f"{found / 1e9:.0f} ({found / self.goal:.2f})")
        return texts


def report(sizes: Sizes) -> None:
    """Measure and print everything."""
    found = Report(sizes)
    print(
        f"roof (AND + popcount): {found.top / 8 / 1e9:.0f}e9 byte pairs/s = {found.top:.3g} mask-MACs/s\n"
        f"scanning 16x16, S = 16, sync array, sparse: {found.goal:.3g} mask-MACs/s = {found.goal / found.top:.2f} of"
        f" the roof\n"
        f"M = {sizes.m}, N = {sizes.n}, K = {found.gemms['dense', False].k}; cells: 1e9 mask-MACs/s (over that of"
        f" 16x16, S = 16, sync array, sparse)"
    )
    kinds = [f"{kind}{', masked' if masked else ''}" for kind, masked in found.gemms]
    widths, arrays = (WIDTHS[1:2], ARRAYS[1:2]) if sizes.quick else (WIDTHS, ARRAYS)
    rows = [
        [sync, f"{width}", *found.cells(scanning(sync, width, 16), f"{sync}, S = {width}, 16x16")]
        for sync in SYNCS
        for width in widths
    ]
    table("Scanning 16x16, by scan width", ["sync", "S", *kinds], rows)
    rows = [
        [sync, f"{extent}x{extent}", *found.cells(scanning(sync, 16, extent), f"{sync}, S = 16, {extent}x{extent}")]
        for sync in SYNCS
        for extent in arrays
    ]
    table("Scanning, S = 16, by array", ["sync", "array", *kinds], rows)
    rows = [
        [
            f"{extent}x{extent}",
            advance,
            *found.cells(
                machine(
                    extent,
                    lanes=16,
                    tensors=["weight", "activation"],
                    scheduler="tensordash",
                    advance=advance,
                    outputs=True,
                ),
                f"tensordash, {advance}, {extent}x{extent}",
            ),
        ]
        for extent in arrays
        for advance in ("together", "alone")
    ]
    table("TensorDash: one operand is scheduled, once for all its partners", ["array", "advance", *kinds], rows)
    by_k(found)
    whole = found.gemms["sparse", False]
    rows = [
        [name, f"{rate(hw, whole, sizes.repeats):.2g}"]
        for name, hw in (("dense 16x16", machine(16)), ("systolic 16x16", machine(16, systolic=True)))
    ]
    table("Closed form: no mask is looked at but to count pairs", ["PE", "mask-MACs/s"], rows)
    print("\nSlowest of all:")
    for value, name in sorted(found.slowest)[:8]:
        print(f"- {name}: {value:.3g} mask-MACs/s, {found.goal / value:.1f} x slower")


def by_k(found: Report) -> None:
    """Print rates by K, at the same number of rows and columns."""
    sizes, rows = found.sizes, []
    lengths = SHORT[:1] if sizes.quick else SHORT
    for masked in (False, True):
        gemms = [gemm_of(sizes.m, sizes.n, k, DENSITIES["sparse"], masked) for k in lengths]
        for sync in SYNCS:
            cells = [f"{rate(scanning(sync, 16, 16), gemm, sizes.repeats) / 1e9:.0f}" for gemm in gemms]
            rows.append([sync, "every second" if masked else "all", *cells])
    table(
        "Scanning 16x16, S = 16, sparse, by K: 1e9 mask-MACs/s",
        ["sync", "outputs", *(f"K = {k}" for k in lengths)],
        rows,
    )


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--m", type=int, default=256)
    parser.add_argument("--n", type=int, default=1024)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--quick", action="store_true", help="few cases, to see that it runs")
    options = parser.parse_args()
    report(Sizes(options.m, options.n, options.repeats, options.quick))


if __name__ == "__main__":
    main()
