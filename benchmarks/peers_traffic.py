"""DRAM bytes beside ZigZag's best mapping and SCALE-Sim's report: `python benchmarks/peers_traffic.py`.

Ten layers of ResNet-18 and ResNet-50 that have all three passes: accelsim on `dense16x16` with `mapping.search: best`,
the fewest bytes of the exhaustive search (`tests/oracle/traffic.py`), and what ZigZag and SCALE-Sim said when they were
measured, which experiments/peers_traffic holds. To measure them anew, each in an environment of its own:

    python benchmarks/peers_traffic.py --zigzag zigzag-venv/bin/python
    PYTHONPATH=. scalesim-venv/bin/python benchmarks/scalesim_peer.py --traffic experiments/peers_traffic/scalesim.csv

`--page docs/validation.md` writes the tables of that page.
"""

from __future__ import annotations

import argparse
import csv
import json
import math
import subprocess
import sys
from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import asdict, astuple, dataclass
from functools import cache
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]
sys.path[:0] = [str(ROOT), str(ROOT / "benchmarks")]  # the oracle is the tests'

from peers_layers import layers  # noqa: E402
from zigzag_peer import Axis, Problem  # noqa: E402

from accelsim import Hardware, OpTrace, load_hardware, synthesize  # noqa: E402
from accelsim.array import TiledGemm, time_tiled  # noqa: E402
from accelsim.files import write_whole  # noqa: E402
from accelsim.lowering import Pass, lower, passes_of  # noqa: E402
from accelsim.memory import Mover  # noqa: E402
from accelsim.pages import refresh_files  # noqa: E402
from tests.oracle import traffic as oracle  # noqa: E402

FOLDER = ROOT / "experiments" / "peers_traffic"
BATCH = 8
ANNEALINGS, ITERATIONS = 10, 1000
SEARCHES = (oracle.ALL, oracle.Rules(even=True), oracle.Rules(even=True, padded=True))
COLUMNS = ("network", "layer", "pass", "gemm", "a_words", "b_words", "spilled_sums", "across", "loops")


@dataclass(frozen=True)
class Moved:
    """DRAM bytes by operand: A, B, and the outputs, partial sums that leave and come back among them."""

    a: float
    b: float
    outputs: float

    @property
    def total(self) -> float:
        return self.a + self.b + self.outputs

    def __add__(self, other: Moved) -> Moved:
        return Moved(self.a + other.a, self.b + other.b, self.outputs + other.outputs)


@dataclass(frozen=True)
class Chosen:
    """ZigZag's mapping of one GEMM.

    Attributes:
        across: the dimension along the array's columns, and positions of it.
        loops: temporal loops, innermost first: dimension, size, operands whose SRAM holds what it runs over.
    """

    a_words: int
    b_words: int
    spilled_sums: int
    across: tuple[str, int]
    loops: tuple[tuple[str, int, str], ...]

    def inside(self, dim: str, operand: str) -> int:
        """Return how many positions of a dimension an operand's SRAM holds at a time."""
        size = self.across[1] if self.across[0] == dim else 1
        return size * math.prod(count for name, count, held in self.loops if name == dim and operand in held)

    def loads_of_b(self) -> int:
        """Return how many times each window of B is loaded: for each block of rows but those that come innermost."""
        outer = [(name, count) for name, count, held in self.loops if "I" not in held]
        while outer and outer[0][0] == "K":
            outer.pop(0)
        return math.prod(count for name, count in outer if name == "K")

    def b_counted(self, problem: Problem) -> int:
        """Return B's words as ZigZag counts them: all windows are alike, and padding is part of them."""
        words = self.loads_of_b() * problem.images * problem.channels
        for name, axis in (("Y", problem.y), ("X", problem.x)):
            window, taps = self.inside(f"O{name}", "I"), self.inside(f"F{name}", "I")
            positions = min(axis.source, window * taps - max(0, taps - axis.step) * (window - 1))
            words *= positions * (axis.grid // window) * (axis.taps // taps)
        return words


def machine(name: str = "dense16x16") -> Hardware:
    """One of the shipped machines, with searched cuts."""
    told = load_hardware(ROOT / "hw_configs" / f"{name}.yaml").model_dump()
    return Hardware.model_validate(told | {"mapping": {"search": "best"}})


@cache
def operation(network: str, name: str, batch: int = BATCH) -> OpTrace:
    """One of the layers, without a zero."""
    (layer,) = (layer for of, layer in layers() if (of, layer.name) == (network, name))
    (op,) = synthesize([layer], batch=batch, relu=False, sparse_weight_grad=False)
    return op


def passes() -> Iterator[tuple[str, str, Pass]]:
    """Yield network, layer and pass of each row."""
    for network, layer in layers():
        for which in passes_of(operation(network, layer.name)):
            yield network, layer.name, which


def moved(hw: Hardware, op: OpTrace, which: Pass) -> Moved:
    """What accelsim moves in a pass of an operation without a zero, all stored uncompressed."""
    mover = Mover(hw)
    for gemm in lower(op, which):
        tiled = TiledGemm.of(hw, gemm)
        mover.add(tiled, time_tiled(hw, tiled))
    steps, word = mover.steps, hw.precision.operand_bits // 8
    a, b = int(steps.loaded_a.sum()) * word, int((steps.loaded_elements - steps.loaded_a).sum()) * word
    if a + b != steps.load_bytes.sum():
        raise AssertionError(f"{op.name} {which}: the operands do not add up to what is loaded")
    return Moved(a, b, int((steps.store_bytes + steps.return_bytes).sum()))


def problems(hw: Hardware, op: OpTrace, which: Pass) -> Iterator[tuple[Problem, oracle.Nest]]:
    """Yield the GEMMs of a pass as ZigZag is asked for them; a strided input_grad has one for each stride phase."""
    room = oracle.Room.of(hw)
    for nest in oracle.nests(op, which):
        y, x = (Axis(axis.grid, len(axis.taps), axis.step, axis.source) for axis in (nest.y, nest.x))
        yield (
            Problem(
                rows=nest.rows,
                images=nest.images,
                y=y,
                x=x,
                channels=nest.channels,
                grid_is_k=nest.grid_is_k,
                a_bits=int(8 * room.a),
                b_bits=int(8 * room.b),
                output_bits=int(8 * room.outputs),
                word_bits=hw.precision.operand_bits,
                sum_bits=hw.precision.accumulator_bits,
                annealings=ANNEALINGS,
                iterations=ITERATIONS,
            ),
            nest,
        )


def measure_zigzag(python: Path) -> None:
    """Ask ZigZag for its best mapping of every GEMM, the same one once, and write what it says."""
    hw = machine()
    asked: dict[Problem, dict[str, Any]] = {}
    rows = [
        (key, number, problem)
        for key in passes()
        for number, (problem, _) in enumerate(problems(hw, operation(*key[:2]), key[2]))
    ]
    command = [str(python), str(ROOT / "benchmarks" / "zigzag_peer.py")]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as peer:
        assert peer.stdin is not None
        assert peer.stdout is not None
        lines = []
        for key, number, problem in rows:
            if problem not in asked:
                print(json.dumps(asdict(problem)), file=peer.stdin, flush=True)
                asked[problem] = json.loads(peer.stdout.readline())
            told = asked[problem]
            loops = " ".join(f"{dim}{size}{':' if held else ''}{held}" for dim, size, held in told["loops"])
            across = "{}{}".format(*told["across"])
            lines.append((*key, number, told["a"], told["b"], told["spilled"], across, loops))
            print(*lines[-1], file=sys.stderr, flush=True)
        peer.stdin.close()
    write_table(FOLDER / "zigzag.csv", COLUMNS, lines)


def read_zigzag() -> dict[tuple[str, str, str], list[Chosen]]:
    """Read what ZigZag said, GEMM by GEMM of each pass."""
    found: dict[tuple[str, str, str], list[Chosen]] = {}
    with (FOLDER / "zigzag.csv").open(encoding="utf-8", newline="") as file:
        for row in csv.DictReader(file):
            loops = (word.partition(":") for word in row["loops"].split())
            chosen = Chosen(
                a_words=int(row["a_words"]),
                b_words=int(row["b_words"]),
                spilled_sums=int(row["spilled_sums"]),
                across=_loop(row["across"]),
                loops=tuple((*_loop(loop), held) for loop, _, held in loops),
            )
            found.setdefault((row["network"], row["layer"], row["pass"]), []).append(chosen)
    return found


def _loop(word: str) -> tuple[str, int]:
    dim = word.rstrip("0123456789")
    return dim, int(word[len(dim) :])


@dataclass(frozen=True)
class Row:
    """One pass of one layer, beside ZigZag.

    Attributes:
        exhaustive: bytes of the exhaustive search.
        even: the same, if it cuts each loop in equal blocks only.
        padded: the same, if it moreover counts padding as ZigZag does.
    """

    layer: str
    which: Pass
    accelsim: Moved
    exhaustive: float
    even: float
    padded: float
    zigzag: Moved


def zigzag_rows(only: Collection[str] = ()) -> Iterator[Row]:
    """Yield a row for each pass, of some layers or of all."""
    hw, said = machine(), read_zigzag()
    word, total, room = hw.precision.operand_bits / 8, hw.precision.accumulator_bits / 8, oracle.Room.of(hw)
    for network, name, which in passes():
        if only and f"{network} {name}" not in only:
            continue
        op, theirs = operation(network, name), Moved(0, 0, 0)
        for (_, nest), chosen in zip(problems(hw, op, which), said[network, name, which], strict=True):
            outputs = nest.outputs * word + 2 * chosen.spilled_sums * total
            theirs += Moved(chosen.a_words * word, chosen.b_words * word, outputs)
        searched = (oracle.fewest_bytes(op, which, room, rules) for rules in SEARCHES)
        yield Row(f"{network} {name}", which, moved(hw, op, which), *searched, theirs)


def zigzag_table(rows: Iterable[Row]) -> str:
    """Return the rows as a Markdown table."""
    lines = [
        "| MB | accelsim: A + B + outputs | all | exhaustive | in equal blocks | and with padding "
        "| ZigZag: A + B + outputs | all | accelsim / ZigZag |",
        "|---" * 9 + "|",
    ]
    for row in rows:
        searched = " | ".join(_mb(count) for count in (row.exhaustive, row.even, row.padded))
        ratio = f"{row.accelsim.total / row.zigzag.total:.2f}"
        lines.append(f"| {row.layer} {row.which} | {_sum(row.accelsim)} | {searched} | {_sum(row.zigzag)} | {ratio} |")
    return "\n".join(lines)


def zigzag_summary(rows: Sequence[Row]) -> str:
    """Say how all rows compare."""
    ratios = [row.accelsim.total / row.zigzag.total for row in rows]
    mean = math.exp(sum(map(math.log, ratios)) / len(ratios))
    fewer, more = sum(ratio < 0.995 for ratio in ratios), sum(ratio > 1.005 for ratio in ratios)
    spilled = sum(row.zigzag.outputs > row.accelsim.outputs for row in rows)
    same = sum(abs(row.zigzag.total / row.padded - 1) <= 0.001 for row in rows)
    return (
        f"Of {len(rows)} passes accelsim moves fewer bytes than ZigZag's best mapping in {fewer}, more in {more}, and "
        f"as many, within 0.5 %, in {len(rows) - fewer - more}: geometric mean {mean:.3f}, from {min(ratios):.2f} to "
        f"{max(ratios):.2f}. ZigZag's sums spill in {spilled}; its bytes are those of the search *and with padding*, "
        f"within 0.1 %, in {same}."
    )


def _sum(moved: Moved) -> str:
    return f"{' + '.join(map(_mb, astuple(moved)))} | {_mb(moved.total)}"


def _mb(count: float) -> str:
    return f"{count / 1e6:.2f}"


def write_table(path: Path, columns: Iterable[str], rows: Iterable[Iterable[object]]) -> None:
    """Write a CSV."""
    text = "".join(",".join(map(str, row)) + "\n" for row in (columns, *rows))
    write_whole(path, text)


def scalesim_table(only: Collection[str] = ()) -> str:
    """Return the forward passes of batch 1 beside SCALE-Sim's report as a Markdown table, megabytes."""
    hw = machine("systolic16x16")
    word = hw.precision.operand_bits / 8
    lines = [
        "| MB | accelsim: filter + image + outputs | all | SCALE-Sim: filter + image + outputs | all "
        "| accelsim / SCALE-Sim |",
        "|---" * 6 + "|",
    ]
    for row in read_scalesim():
        if only and f"{row['network']} {row['layer']}" not in only:
            continue
        ours = moved(hw, operation(row["network"], row["layer"], batch=1), "forward")
        theirs = Moved(*(int(row[name]) * word for name in ("filter_words", "ifmap_words", "ofmap_words")))
        ratio = f"{ours.total / theirs.total:.2f}"
        lines.append(f"| {row['network']} {row['layer']} | {_sum(ours)} | {_sum(theirs)} | {ratio} |")
    return "\n".join(lines)


def read_scalesim() -> list[dict[str, str]]:
    """Read what SCALE-Sim reported."""
    with (FOLDER / "scalesim.csv").open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def part(name: str) -> str:
    """Return a part of the page by name."""
    if name == "scalesim":
        return scalesim_table()
    rows = list(zigzag_rows())
    return f"{zigzag_table(rows)}\n\n{zigzag_summary(rows)}"


def main() -> None:
    """Measure, or print, or write the page."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--zigzag", type=Path, metavar="PYTHON", help="measure ZigZag anew, with its interpreter")
    parser.add_argument("--page", metavar="FILE", help="write the tables of a page anew instead of printing them")
    parser.add_argument("--layer", action="append", default=[], help="only this one, as 'resnet18 layer1.0.conv1'")
    options = parser.parse_args()
    if options.zigzag:
        measure_zigzag(options.zigzag)
    if options.page:
        refresh_files([options.page], part)
        return
    rows = list(zigzag_rows(options.layer))
    print(zigzag_table(rows), zigzag_summary(rows), sep="\n\n", end="\n\n")
    print(scalesim_table(options.layer))


if __name__ == "__main__":
    main()
