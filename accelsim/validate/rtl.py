"""accelsim compared with the RTL: the same GEMMs with real values on both, tile by tile.

A machine's skipping is split: what is hardware (array, lanes, scan width, queue, sync) is synthesised, what belongs to
a pass (which operand shows its mask or drops its windows, which outputs are needed) is set a tile at a time.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from accelsim.array import pe_of, time_gemm
from accelsim.array.windowed import SYNC
from accelsim.hardware.model import Hardware
from accelsim.lowering import MaskedGemm, Pass, lower, passes_of
from accelsim.trace.record import OpTrace
from accelsim.validate.rtl_bench import COUNTERS, Parameters, Tile, TileRun, run_tiles

Mask = NDArray[np.bool_]
_TENSORS = ("weight", "activation", "gradient")
_DENSITIES = (0.0, 0.1, 0.3, 0.5, 0.9, 1.0)
UNHINDERED = {"weight_words_per_cycle": "unlimited", "input_words_per_cycle": "unlimited"}
"""Ports of the buffers as the RTL has them."""


@dataclass(frozen=True)
class Case:
    """One GEMM on one machine, with values.

    Attributes:
        a, b: int32 [M, K], int32 [N, K]: non-zero exactly where the GEMM's masks are set.
    """

    hw: Hardware
    gemm: MaskedGemm
    a: NDArray[np.int32]
    b: NDArray[np.int32]

    @property
    def needed(self) -> Mask:
        """Outputs that the machine computes, bool [M, N]."""
        if self.gemm.needed is None or not self.hw.skipping.outputs:
            return np.ones((self.gemm.m, self.gemm.n), bool)
        return unpack(self.gemm.needed, self.gemm.n)


@dataclass(frozen=True)
class Outcome:
    """One case on both.

    Attributes:
        tiles: how many it has.
        cycles: of all tiles, on the RTL.
        sync: slots in which a group was blocked or draining, on the RTL.
        off: what differs, in words; empty if nothing does.
    """

    tiles: int
    cycles: int
    sync: int
    off: tuple[str, ...]


def random_machines(seed: int, count: int) -> list[Hardware]:
    """Draw arrays: in ten, scanning ones of every sync group, two inner-join and two TensorDash ones are among them."""
    rng = np.random.default_rng((seed, 0))
    syncs = ("row", "pe", "dense", "column", "array", "systolic", "inner_join", "tensordash")
    order = (*syncs, "inner_join", "tensordash")
    return [_random_machine(rng, order[index % len(order)], index) for index in range(count)]


def _random_machine(rng: np.random.Generator, sync: str, index: int) -> Hardware:
    """Draw an array; scanning PEs mostly have fewer lanes than their windows may offer pairs, so that queues fill."""
    rows, cols, lanes = (int(rng.integers(1, most + 1)) for most in (5, 5, 4))
    width = int(rng.choice([1, 2, 3, 4, 5, 8, 12, 16]))
    array: dict[str, object] = {"rows": rows, "cols": cols, "lanes": 1 if sync == "systolic" else lanes}
    skipping: dict[str, object] = {}
    if sync == "systolic":
        array |= {"interconnect": "systolic"}
    elif sync == "tensordash":
        advance = {"stage_depth": int(rng.choice([1, 2, 3, 3])), "advance": ("together", "alone")[index // 2 % 2]}
        array["lanes"], skipping = 16, {"kind": sync, "tensors": ["weight"], **advance}
    elif sync == "inner_join":
        shared = {"sync": str(rng.choice(SYNC)), "windows": int(rng.choice([1, 2, 2, 4]))}
        skipping = {"kind": sync, "tensors": ["weight"], "scan_width": max(width, lanes), **shared}
    elif sync != "dense":
        if rng.random() < 0.8:
            width = max(width, 2 * lanes)
        depth = width + int(rng.choice([0, 0, 1, 3, 8]))
        skipping = {"tensors": ["weight"], "scan_width": width, "fifo_depth": depth, "sync": sync}
    precision = {"operand_bits": int(rng.choice([4, 8, 16]))}
    return Hardware.model_validate(
        {
            "name": f"machine {index + 1}",
            "array": array,
            "skipping": skipping,
            "precision": precision,
            "memory": {"buffers": UNHINDERED},
        }
    )


def _with_ports(hw: Hardware, rng: np.random.Generator) -> Hardware:
    """Draw a machine's ports, and how results leave."""
    rtl = pe_of(hw).rtl()
    assert rtl is not None

    def width(lines: int) -> int | str:
        drawn = int(rng.integers(1, 3 * lines * rtl.width + 1))
        return (drawn, "window", "unlimited")[int(rng.choice(3, p=(0.5, 0.25, 0.25)))]

    changes: dict[str, object] = {
        "array": hw.array.model_copy(update={"drain": str(rng.choice(["overlapped", "free"]))})
    }
    if hw.array.interconnect == "broadcast":
        ports = {"weight_words_per_cycle": width(hw.array.rows), "input_words_per_cycle": width(hw.array.cols)}
        buffers = hw.memory.buffers.model_copy(update=ports)
        changes["memory"] = hw.memory.model_copy(update={"buffers": buffers})
    return hw.model_copy(update=changes)


def array_words(hw: Hardware) -> str:
    """Name an array by what it is synthesised for."""
    made = Parameters.of(hw, 1)
    words = [made.kind, f"{made.rows}x{made.cols}"]
    if hw.array.interconnect == "broadcast":
        words.append(f"L={made.lanes}")
    if hw.skipping.tensors:
        own = f"D={made.fifo_depth}" if made.kind == "scanning" else f"V={made.held_windows}"
        words += [f"S={made.width}", own, f"sync={made.sync}"]
    return " ".join([*words, f"{made.operand_bits} bit"])


def most_random_k(hw: Hardware) -> int:
    """Return the most K positions of random GEMMs for an array: a dozen windows or more."""
    return max(96, 12 * Parameters.of(hw, 1).width)


def random_cases(hw: Hardware, index: int, seed: int, count: int) -> Iterator[Case]:
    """Draw GEMMs of a few tiles for one array, each with its own tensors, blocks and output mask."""
    parameters = Parameters.of(hw, most_random_k(hw))
    for number in range(count):
        rng = np.random.default_rng((seed, 1, index, number))
        skipping = hw.skipping
        if hw.array.interconnect == "broadcast":
            chosen = [tuple(name for name in _TENSORS if rng.random() < 0.6) for _ in range(2)]
            tensors = (chosen[0] or _TENSORS) if skipping.tensors else ()
            blocks = chosen[1] if rng.random() < 0.5 else ()
            skipping = skipping.model_copy(
                update={"tensors": tensors, "blocks": blocks, "outputs": bool(rng.random() < 0.5)}
            )
        machine = _with_ports(hw.model_copy(update={"skipping": skipping}), rng)
        yield _with_values(machine, _random_gemm(rng, hw), parameters, rng)


def _random_gemm(rng: np.random.Generator, hw: Hardware) -> MaskedGemm:
    """Draw a linear layer's pass, of up to two by three tiles; windows are empty more often than by chance."""
    which: Pass = ("forward", "input_grad", "weight_grad")[int(rng.integers(3))]
    m, n = int(rng.integers(1, 2 * hw.array.rows + 1)), int(rng.integers(1, 3 * hw.array.cols + 1))
    k = int(rng.integers(1, most_random_k(hw) + 1))
    run = int(rng.choice([1, 4, 16]))  # K positions that share their fate

    def mask(lines: int) -> Mask:
        density, kept = rng.choice(_DENSITIES), rng.choice((0.3, 1.0))
        alike = np.repeat(rng.random(-(-k // run)) < kept, run)[:k]
        drawn: Mask = (rng.random((lines, k)) < density) & alike
        return drawn

    a, b, needed = mask(m), mask(n), rng.random((m, n)) < rng.choice((0.1, 0.5, 1.0))
    match which:
        case "forward":
            op = OpTrace(name="fc", step=0, weight=a, input=b, output_needed=needed.T)
        case "input_grad":
            seen = np.ones((n, m), bool)
            op = OpTrace(name="fc", step=0, weight=a.T, input=seen, grad_output=b, input_grad_needed=needed.T)
        case "weight_grad":
            weight = np.ones((m, n), bool)
            op = OpTrace(name="fc", step=0, weight=weight, input=b.T, grad_output=a.T, weight_grad_needed=needed)
    (gemm,) = lower(op, which)
    return gemm


def recorded_cases(
    hw: Hardware, op: OpTrace, most_tiles: int, most_k: int, seed: int
) -> Iterator[tuple[Pass, MaskedGemm, Case]]:
    """Cut a case out of every pass of a recorded operation.

    Of the pass's largest GEMM it keeps two neighbouring row tiles if there are as many, `most_tiles` tiles in all, from
    a place that the seed draws, and the first `most_k` positions of K.

    Yields:
        The pass, the whole GEMM, and the case.
    """
    for number, which in enumerate(passes_of(op)):
        rng = np.random.default_rng((seed, 2, number))
        gemm = max(lower(op, which), key=lambda one: one.macs)
        rows, cols = hw.array.rows, hw.array.cols
        row_tiles = min(2, most_tiles, -(-gemm.m // rows))
        col_tiles = min(most_tiles // row_tiles, -(-gemm.n // cols))
        first_row = rows * int(rng.integers(-(-gemm.m // rows) - row_tiles + 1))
        first_col = cols * int(rng.integers(-(-gemm.n // cols) - col_tiles + 1))
        k = min(gemm.k, most_k)
        part = _cut(
            gemm, slice(first_row, first_row + row_tiles * rows), slice(first_col, first_col + col_tiles * cols), k
        )
        yield which, gemm, _with_values(hw, part, Parameters.of(hw, k), rng)


def _cut(gemm: MaskedGemm, rows: slice, cols: slice, k: int) -> MaskedGemm:
    a, b = unpack(gemm.a[rows], gemm.k)[:, :k], unpack(gemm.columns[cols], gemm.k)[:, :k]
    needed = None if gemm.needed is None else pack(unpack(gemm.needed[rows], gemm.n)[:, cols])
    return replace(gemm, m=len(a), n=len(b), k=k, a=pack(a), b=pack(b), b_of=None, needed=needed)


def _with_values(hw: Hardware, gemm: MaskedGemm, parameters: Parameters, rng: np.random.Generator) -> Case:
    def values(mask: Mask) -> NDArray[np.int32]:
        drawn = rng.integers(1, parameters.largest + 1, mask.shape) * rng.choice([-1, 1], mask.shape)
        return np.where(mask, drawn, 0).astype(np.int32)

    return Case(hw, gemm, values(unpack(gemm.a, gemm.k)), values(unpack(gemm.columns, gemm.k)))


def worked_example() -> Case:
    """Return the example of docs/timing.md: 2 x 2 PEs of one lane, windows and queues of four, sync row."""
    hw = Hardware.model_validate(
        {
            "name": "worked example",
            "array": {"rows": 2, "cols": 2, "drain": "free"},
            "memory": {"buffers": UNHINDERED},
            "skipping": {"tensors": ["weight", "activation"], "scan_width": 4, "fifo_depth": 4, "sync": "row"},
            "precision": {"operand_bits": 8},
        }
    )
    weight = [[1, 1, 1, 1, 1, 1, 0, 0], [1, 0, 0, 0, 1, 0, 0, 0]]
    image = [[1, 1, 1, 1, 1, 1, 1, 1], [1, 0, 1, 0, 1, 1, 1, 1]]
    (gemm,) = lower(OpTrace(name="fc", step=0, weight=np.array(weight, bool), input=np.array(image, bool)), "forward")
    return _with_values(hw, gemm, Parameters.of(hw, gemm.k), np.random.default_rng(0))


def tiles_of(case: Case) -> Iterator[tuple[Tile, NDArray[np.int64]]]:
    """Cut a case into tiles by the rules alone; yields each tile and the outputs it must leave, int64 [R, C]."""
    hw, gemm = case.hw, case.gemm
    rows, cols, needed, made = hw.array.rows, hw.array.cols, case.needed, Parameters.of(hw, gemm.k)
    kinds, schedules_b = (gemm.a_kind, gemm.b_kind), pe_of(hw).scheduled_operand(gemm) == "b"
    shown, dropped = ((kinds[0] in listed, kinds[1] in listed) for listed in (hw.skipping.tensors, hw.skipping.blocks))
    outputs = np.where(needed, case.a.astype(np.int64) @ case.b.astype(np.int64).T, 0)
    for top in range(0, gemm.m, rows):
        height = min(rows, gemm.m - top)
        columns = np.flatnonzero(needed[top : top + height].any(axis=0))
        for left in range(0, len(columns), cols):
            taken = columns[left : left + cols]
            spare = ((0, rows - height), (0, cols - len(taken)))
            tile = Tile(
                rows_used=np.arange(rows) < height,
                cols_used=np.arange(cols) < len(taken),
                needed=np.pad(needed[top : top + height, taken], spare),
                schedules_b=schedules_b,
                shown=shown,
                dropped=dropped,
                a=np.pad(case.a[top : top + height], (spare[0], (0, 0))),
                b=np.pad(case.b[taken], (spare[1], (0, 0))),
                ports=made.ports(hw, height, len(taken)),
                overlapped=hw.array.drain == "overlapped",
            )
            yield tile, np.pad(outputs[top : top + height, taken], spare)


def run_cases(parameters: Parameters, cases: list[Case], vcd: Path | None = None) -> list[Outcome]:
    """Run cases of one array on the RTL and compare outputs, cycles of each tile and of all, slots and activity.

    A case's last tile runs before the first one, too: its results are those that leave while the first one runs.

    Args:
        vcd: where to write a waveform.

    Raises:
        AccelsimError: Verilator or the sources are missing, or the bench fails.
    """
    cut = [list(tiles_of(case)) for case in cases]
    ran = iter(run_tiles(parameters, [tile for tiles in cut for tile, _ in (*tiles[-1:], *tiles)], vcd))
    return [
        compare(case, [next(ran) for _ in (*tiles[-1:], *tiles)][1:], [outputs for _, outputs in tiles])
        for case, tiles in zip(cases, cut, strict=True)
    ]


def compare(case: Case, ran: list[TileRun], outputs: list[NDArray[np.int64]]) -> Outcome:
    """Compare what the RTL did with a case's tiles with what the simulator says and what the GEMM gives."""
    timing = time_gemm(case.hw, case.gemm)
    off = []
    expected = timing.tile_cycles.tolist()
    cycles = [tile.cycles for tile in ran]
    if len(cycles) != len(expected):
        off.append(f"{len(cycles)} tiles, accelsim has {len(expected)}")
    for number, (ours, theirs) in enumerate(zip(expected, cycles, strict=False)):
        if ours != theirs:
            off.append(f"tile {number}: {theirs} cycles, accelsim counts {ours}")
    if sum(cycles) != timing.cycles:
        off.append(f"{sum(cycles)} cycles in all, accelsim counts {timing.cycles}")
    for number, (tile, right) in enumerate(zip(ran, outputs, strict=True)):
        if not np.array_equal(tile.sums, right):
            off.append(f"tile {number}: {int((tile.sums != right).sum())} outputs are not the GEMM's")
    for name in COUNTERS:
        counted = sum(tile.counts[name] for tile in ran)
        ours = getattr(timing if hasattr(timing, name) else timing.slots, name)
        if counted != ours:
            off.append(f"{counted} {name}, accelsim counts {ours}")
    return Outcome(len(ran), sum(cycles), sum(tile.counts["sync"] for tile in ran), tuple(off))


def unpack(words: NDArray[np.uint64], bits: int) -> Mask:
    """Unpack a bit matrix: words [rows, words] to bool [rows, bits]."""
    return np.unpackbits(words.view(np.uint8), axis=1, count=bits, bitorder="little").astype(bool)


def pack(mask: Mask) -> NDArray[np.uint64]:
    """Pack bool [rows, bits] to words [rows, ceil(bits / 64)]."""
    packed = np.packbits(np.pad(mask, ((0, 0), (0, -mask.shape[1] % 64))), axis=1, bitorder="little")
    return np.ascontiguousarray(packed).view(np.uint64)
