"""How often a larger buffer costs cycles or bytes: `python benchmarks/larger_buffers.py`.

Random passes of convolutions on random dense machines, each twice: as drawn, and with one buffer 1 to 64 KiB larger.
With --compressed, tensors have random zeros and are stored compressed.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

import numpy as np

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT))

from accelsim import Hardware, OpTrace, synthesize  # noqa: E402
from accelsim.array import TiledGemm, time_tiled  # noqa: E402
from accelsim.lowering import PASSES, Pass, lower  # noqa: E402
from accelsim.memory import Movement, Mover  # noqa: E402
from accelsim.synth.topology import Layer  # noqa: E402

TENSORS = ("weight", "activation", "gradient")
BUFFERS = ("weight_kib", "input_kib", "output_kib")


def random_layer(rng: np.random.Generator) -> Layer:
    """Draw a convolution."""
    kernel = int(rng.choice((1, 3, 3, 5)))
    image = int(rng.integers(kernel, 33))
    return Layer(
        name="layer",
        c_in=int(rng.integers(1, 129)),
        c_out=int(rng.integers(1, 129)),
        kernel=(kernel, kernel),
        stride=(int(rng.integers(1, 3)),) * 2,
        padding=(kernel // 2,) * 2,
        image=(image, image),
    )


def random_machine(rng: np.random.Generator, compression: tuple[str, ...]) -> Hardware:
    """Draw a dense machine whose buffers hold a tile of its array at least."""
    rows, cols = (int(extent) for extent in rng.choice((4, 8, 16), 2))
    array = {"rows": rows, "cols": cols, "lanes": int(rng.choice((1, 4)))}
    dram = {"bytes_per_cycle": int(rng.choice((4, 8, 16, 32, 64))), "latency_cycles": 100}
    buffers = {name: int(rng.integers(4, 129)) for name in BUFFERS}
    memory = {"dram": dram, "buffers": buffers, "compression": compression}
    return Hardware.model_validate({"name": "random", "array": array, "memory": memory, "skipping": {"tensors": []}})


def larger(hw: Hardware, name: str, more_kib: int) -> Hardware:
    """Return the machine with one buffer enlarged."""
    buffers = hw.memory.buffers
    buffers = buffers.model_copy(update={name: getattr(buffers, name) + more_kib})
    return hw.model_copy(update={"memory": hw.memory.model_copy(update={"buffers": buffers})})


def moved(hw: Hardware, op: OpTrace, which: Pass) -> Movement:
    """Run one pass."""
    mover = Mover(hw)
    for gemm in lower(op, which):
        tiled = TiledGemm.of(hw, gemm)
        mover.add(tiled, time_tiled(hw, tiled))
    return mover.movement()


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--passes", type=int, default=10_000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--compressed", action="store_true")
    options = parser.parse_args()
    rng = np.random.default_rng(options.seed)
    of_cycles, of_bytes = np.empty((2, options.passes))
    for number in range(options.passes):
        batch = int(rng.integers(1, 5))
        densities = rng.uniform(0.05, 1, 3) if options.compressed else np.ones(3)
        (op,) = synthesize(
            [random_layer(rng)],
            batch=batch,
            weight_density=float(densities[0]),
            activation_density=float(densities[1]),
            gradient_density=float(densities[2]),
            relu=False,
            sparse_weight_grad=False,
            seed=number,
        )
        which = PASSES[rng.integers(len(PASSES))]
        hw = random_machine(rng, TENSORS if options.compressed else ())
        before = moved(hw, op, which)
        after = moved(larger(hw, str(rng.choice(BUFFERS)), int(rng.integers(1, 65))), op, which)
        of_cycles[number] = after.cycles / before.cycles
        of_bytes[number] = (after.dram_read_bytes + after.dram_write_bytes) / (
            before.dram_read_bytes + before.dram_write_bytes
        )
    columns = ("less", "as much", "more", "by 1 %", "by 5 %", "geometric mean", "99th percentile", "most")
    print(f"| {options.passes:,} passes | " + " | ".join(columns) + " |")
    print("|---" * (len(columns) + 1) + "|")
    for name, ratio in (("bytes", of_bytes), ("cycles", of_cycles)):
        shares = (ratio < 1, ratio == 1, ratio > 1, ratio > 1.01, ratio > 1.05)
        numbers = " | ".join(f"{share.mean():.2%}" for share in shares)
        mean, high = np.exp(np.log(ratio).mean()), np.quantile(ratio, 0.99)
        print(f"| {name} | {numbers} | {mean:.3f} | {high:.3f} | {ratio.max():.3f} |")


if __name__ == "__main__":
    main()
