"""How pruned weight gradients pack into tiles: `python benchmarks/packing.py`.

For layers of ResNet-18's sizes whose weights are pruned at random, and for the last step of recorded traces: cycles of
dense PEs (tiles x K) over those of tiles that leave nothing out, on 16 x 16 PEs run as 16 x 16, 8 x 32 and 4 x 64 with
ports that never wait, rows as they come and packed; what no order of rows can beat; and the speedup of machines on the
random layers, with as many segments and rows packed.
"""

from __future__ import annotations

import argparse
import math
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from accelsim import Hardware, OpTrace, load_hardware, open_trace, simulate
from accelsim.array.row_order import pack_rows
from accelsim.lowering import lower
from accelsim.lowering.bits import as_words

ROOT = Path(__file__).parents[1]
PES = 256
HEIGHTS = (16, 8, 4)
TRACES = ("simclr_rigl_element", "simclr_gmp_element", "simclr_granet_element", "simclr_gmp_1x4", "simclr_gmp_channel")
RANDOM = ((64, 32, 1), (128, 16, 4), (256, 8, 8))  # channels, image, batch of 3 x 3 convolutions
DENSITY = 0.2
Mask = NDArray[np.bool_]


def column_tiles(needed: Mask, rows: int, order: Sequence[int] | NDArray[np.int64]) -> int:
    """Tiles of rows taken in an order, by PES / rows columns that one of these rows needs."""
    blocks = (needed[order[first : first + rows]] for first in range(0, len(order), rows))
    return sum(-(-int(block.any(axis=0).sum()) * rows // PES) for block in blocks)


def fewest_tiles(needed: Mask, rows: int, *, random: bool = False) -> int:
    """Return a number of tiles that no order of rows can beat.

    A column that c rows need is in ceil(c / rows) row tiles at least. Where each output is needed or not at random,
    also by Chernoff's bound: the chance that any choice of `rows` rows needs fewer columns together is below 1 / 1000.
    """
    m, n = needed.shape
    each = -(-needed.sum(axis=0) // rows)
    least = -(-int(each.sum()) * rows // PES)
    if random and m >= rows:
        p = 1 - (1 - needed.mean()) ** rows
        choices = math.lgamma(m + 1) - math.lgamma(rows + 1) - math.lgamma(m - rows + 1) + math.log(1000)
        wanted = next(count for count in range(1, n + 1) if count >= p * n or n * _divergence(count / n, p) <= choices)
        least = max(least, m // rows * -(-wanted * rows // PES))
    return least


def _divergence(q: float, p: float) -> float:
    """Return the relative entropy of two biased coins."""
    return q * math.log(q / p) + ((1 - q) * math.log((1 - q) / (1 - p)) if q < 1 else 0.0)


def recorded(name: str) -> list[OpTrace]:
    """Return the operations of a trace's last step that want only some weight gradients."""
    ops = list(open_trace(ROOT / "traces" / f"{name}.pkl"))
    last = max(op.step for op in ops)
    return [op for op in ops if op.step == last and op.weight_grad_needed is not None]


def weight_gradients(ops: Sequence[OpTrace]) -> Iterator[tuple[Mask, int]]:
    """Yield the needed outputs, and K, of each weight gradient."""
    for op in ops:
        for gemm in lower(op, "weight_grad"):
            needed = np.ones((gemm.m, gemm.n), bool)
            if gemm.needed is not None:
                bits = np.unpackbits(gemm.needed.view(np.uint8), axis=1, count=gemm.n, bitorder="little")
                needed = bits.astype(bool)
            yield needed, gemm.k


def random_layers() -> list[OpTrace]:
    """Draw convolutions with pruned weights, half of the activations zero, and dense gradients."""
    rng, layers = np.random.default_rng(0), []
    for channels, image, batch in RANDOM:
        weight = rng.random((channels, channels, 3, 3)) < DENSITY
        shape = (batch, channels, image, image)
        layers.append(
            OpTrace(
                name=f"{channels} channels",
                step=0,
                weight=weight,
                input=rng.random(shape) < 0.5,
                grad_output=np.ones(shape),
                padding=(1, 1),
                weight_grad_needed=weight,
            )
        )
    return layers


def ratios(ops: Sequence[OpTrace], *, random: bool = False) -> dict[str, float]:
    """Return the cycles of all tiles over those of tiles that are run, by height and order."""
    masks = list(weight_gradients(ops))
    whole = sum(column_tiles(np.ones_like(needed), 16, range(len(needed))) * k for needed, k in masks)
    cycles: dict[str, int] = {}
    for rows in HEIGHTS:
        for needed, k in masks:
            packed = pack_rows(np.array([as_words(np.packbits(row, bitorder="little")) for row in needed]), rows)
            natural = column_tiles(needed, rows, range(len(needed)))
            for name, tiles in (
                ("natural", natural),
                ("packed", min(natural, column_tiles(needed, rows, packed))),
                ("bound", fewest_tiles(needed, rows, random=random)),
            ):
                key = f"{rows} × {PES // rows} {name}"
                cycles[key] = cycles.get(key, 0) + tiles * k
    return {name: whole / count for name, count in cycles.items()}


def speedup(hw: Hardware, segments: int, order: str, port: float) -> float:
    """Return the speedup of a machine over its dense baseline on the random layers' weight gradients.

    Args:
        port: width of operand B's port, in what `window` is.
    """
    machine = hw.model_dump()
    machine["array"]["segments"], machine["mapping"]["row_order"] = segments, order
    window = hw.array.cols * machine["skipping"]["scan_width"]
    machine["memory"]["buffers"]["input_words_per_cycle"] = round(port * window)
    total = simulate(Hardware.model_validate(machine), random_layers(), passes=["weight_grad"]).layers.sum()
    return float(total["dense_cycles"] / total["cycles"])


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--hw", action="append", choices=("pe16x16", "join8x16"), help="default: both")
    options = parser.parse_args()
    table = {name: ratios(recorded(name)) for name in TRACES}
    table[f"random, {DENSITY:.0%}"] = ratios(random_layers(), random=True)
    names = list(table[TRACES[0]])
    print("| masks | " + " | ".join(names) + " |")
    print("|---" * (len(names) + 1) + "|")
    for name, row in table.items():
        print(f"| {name} | " + " | ".join(f"{row[column]:.2f}" for column in names) + " |")
    for name in options.hw or ("pe16x16", "join8x16"):
        hw = load_hardware(ROOT / "hw_configs" / f"{name}.yaml")
        print(f"\n{name}, random layers:", flush=True)
        for segments, order, port in (
            *((1, "natural", 1.0), (1, "packed", 1.0), (2, "packed", 1.0), (4, "packed", 1.0), (4, "packed", 2.0)),
        ):
            found = speedup(hw, segments, order, port)
            print(f"{segments} segments, rows {order}, port of {port:g} windows: {found:.2f}x", flush=True)


if __name__ == "__main__":
    main()
