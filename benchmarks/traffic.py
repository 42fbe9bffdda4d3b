"""DRAM bytes beside those of the best mapping: `python benchmarks/traffic.py`.

For layers of ResNet-18 and ResNet-50 and each pass: what accelsim moves on a dense machine; the fewest that any tiling
and order moves (`tests/oracle/traffic.py`, exhaustive); both again with one buffer as large as all of them together;
and the three tensors once.
"""

from __future__ import annotations

import argparse
import math
import sys
from collections.abc import Iterator, Sequence
from dataclasses import astuple, dataclass, fields
from pathlib import Path

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT))  # the oracle is the tests'

from accelsim import Hardware, OpTrace, load_hardware, synthesize  # noqa: E402
from accelsim.array import TiledGemm, time_tiled  # noqa: E402
from accelsim.lowering import Pass, lower, passes_of  # noqa: E402
from accelsim.memory import Mover  # noqa: E402
from accelsim.synth import NETWORKS  # noqa: E402
from tests.oracle.traffic import Room, fewest_bytes, once_bytes  # noqa: E402

LAYERS = {
    "resnet18": (
        *("conv1", "layer1.0.conv1", "layer2.0.conv1", "layer2.0.downsample.0", "layer2.0.conv2", "layer3.0.conv1"),
        *("layer3.0.conv2", "layer4.0.conv1", "layer4.0.conv2"),
    ),
    "resnet50": (
        *("layer1.0.conv1", "layer1.0.conv3", "layer2.0.conv2", "layer2.1.conv1", "layer3.0.conv1", "layer3.1.conv2"),
        *("layer3.1.conv3", "layer4.1.conv1", "layer4.1.conv2", "layer4.1.conv3"),
    ),
}


@dataclass(frozen=True)
class Traffic:
    """DRAM bytes of one pass of one layer."""

    accelsim: float
    exhaustive: float
    accelsim_unified: float
    exhaustive_unified: float
    once: float


def traffic(hw: Hardware, op: OpTrace, which: Pass) -> Traffic:
    """Measure one pass of one operation."""
    buffers = hw.memory.buffers
    kib = buffers.weight_kib + buffers.input_kib + buffers.output_kib
    memory = hw.memory.model_copy(update={"buffers": buffers.model_copy(update={"unified_kib": kib})})
    found: list[float] = []
    for machine in (hw, hw.model_copy(update={"memory": memory})):
        found += [moved_bytes(machine, op, which), fewest_bytes(op, which, Room.of(machine))]
    return Traffic(*found, once_bytes(op, hw.precision.operand_bits / 8))


def moved_bytes(hw: Hardware, op: OpTrace, which: Pass) -> int:
    """DRAM bytes of one pass on one machine, the array's time aside."""
    mover = Mover(hw.model_copy(update={"memory": hw.memory.model_copy(update={"dram": None})}))
    for gemm in lower(op, which):
        tiled = TiledGemm.of(hw, gemm)
        mover.add(tiled, time_tiled(hw, tiled))
    movement = mover.movement()
    return movement.dram_read_bytes + movement.dram_write_bytes


def passes(networks: Sequence[str], layers: int, batch: int) -> Iterator[tuple[str, OpTrace, Pass]]:
    """Yield the passes to be measured, with a name for each layer."""
    for network in networks:
        chosen = [layer for layer in NETWORKS[network]() if layer.name in LAYERS[network]][:layers]
        for op in synthesize(chosen, batch=batch, relu=False, sparse_weight_grad=False):
            for which in passes_of(op):
                yield f"{network} {op.name}", op, which


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--hw", type=Path, default=ROOT / "hw_configs" / "dense16x16.yaml")
    parser.add_argument("--batch", type=int, default=8)
    parser.add_argument("--layers", type=int, help="the first few of each network only")
    parser.add_argument("--network", action="append", choices=tuple(LAYERS), help="default: both")
    options = parser.parse_args()
    hw = load_hardware(options.hw).dense()
    print("| MB | " + " | ".join(field.name for field in fields(Traffic)) + " | accelsim / exhaustive | unified |")
    print("|---" * (len(fields(Traffic)) + 3) + "|")
    found: list[Traffic] = []
    for name, op, which in passes(options.network or tuple(LAYERS), options.layers, options.batch):
        one = traffic(hw, op, which)
        found.append(one)
        numbers = " | ".join(f"{count / 1e6:.1f}" for count in astuple(one))
        ratios = one.accelsim / one.exhaustive, one.accelsim_unified / one.exhaustive_unified
        print(f"| {name} {which} | {numbers} | {ratios[0]:.3f} | {ratios[1]:.3f} |", flush=True)
    print(f"\naccelsim over exhaustive, geometric mean of {len(found)} passes (worst):")
    for buffers, ratio in (
        ("three buffers", [one.accelsim / one.exhaustive for one in found]),
        ("one buffer", [one.accelsim_unified / one.exhaustive_unified for one in found]),
    ):
        print(f"{buffers} {math.exp(sum(map(math.log, ratio)) / len(ratio)):.3f} ({max(ratio):.3f})")


if __name__ == "__main__":
    main()
