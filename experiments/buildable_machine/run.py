"""What each idealisation of the first model adds to an answer: pe16x16 as first described, each removed alone.

    python experiments/buildable_machine/run.py [--quick] [--trace FILE] [--hw FILE] [--out DIR]

replays a trace's last step, writes `table.csv` and prints it as Markdown. Speedups are against the same machine without
skipping. The machine has a scan pointer for each row (pe16x16_rowsync.yaml). As first described its ports were
unlimited, its results left in no time, nothing was done between the products, a word that several scan pointers read
was charged once, only the pairs that pass a queue were charged for it, there was no crossbar, no scanner and no mask to
charge, SRAM cost what 64 bits at a time cost, and DRAM 30.5 pJ per bit. Only leakage is today's throughout.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any

import pandas as pd

from accelsim import Hardware, Result, load_hardware, open_trace, simulate
from accelsim.area.buffers import buffer_shapes, keeps_masks
from accelsim.area.sram import width_factor
from accelsim.energy.account import Actions
from accelsim.energy.actions import ACTIONS
from accelsim.energy.load import table_of
from accelsim.energy.table import EnergyTable
from accelsim.files import write_whole

HERE = Path(__file__).parent
ROOT = HERE.parents[1]
Run = Callable[[Hardware, bool], Result]
"""Simulates a machine, with other work or without."""


@dataclass(frozen=True)
class Given:
    """What the energy is charged for; each of these was given away at first.

    Attributes:
        pointers: each scan pointer's reads, not one for all.
        clock: all registers of the queues, not only those that a pair enters and leaves.
        switching: gates of crossbars, scanners and filters, registers of lanes, the way of results out.
        masks: mask bits beside the words.
        widths: SRAM by the width of an access.
    """

    pointers: bool = False
    clock: bool = False
    switching: bool = False
    masks: bool = False
    widths: bool = False


ALL = Given(*[True] * len(fields(Given)))


def changed(hw: Hardware, **keys: Any) -> Hardware:
    """Return a machine with some keys of its sections changed: `array={"drain": "free"}`."""
    given = hw.model_dump(mode="json")
    for section, values in keys.items():
        for key, value in values.items():
            given[section][key] = given[section][key] | value if isinstance(value, dict) else value
    return Hardware.model_validate(given | {"skipping": given["skipping"] | {"kind": None}})


def energy_pj(hw: Hardware, table: EnergyTable, did: Actions, shared: Actions, given: Given) -> float:
    """Energy of what a machine did, with some of it given away.

    Args:
        shared: what it would have done if scan pointers shared their reads.
    """
    counted = (
        did
        if given.pointers
        else replace(
            did, buffer_a_read_words=shared.buffer_a_read_words, buffer_b_read_words=shared.buffer_b_read_words
        )
    )
    word, stored = hw.precision.operand_bits, hw.precision.operand_bits + keeps_masks(hw)
    weight, inputs, output = (width_factor(buffer.kib, buffer.bits) for buffer in buffer_shapes(hw))
    width_of = {
        "weight_buffer": weight,
        "input_buffer": inputs,
        "operand_buffers": (weight + inputs) / 2,
        "output_buffer": output,
    }
    total = 0.0
    for action in ACTIONS:
        pj = action.pj(table, hw)
        if action.component in width_of:
            pj /= 1.0 if given.widths else width_of[action.component]
            pj *= word / stored if not given.masks and action.component != "output_buffer" else 1.0
        if action.component == "logic" and not (given.clock if action.names == ("cycle",) else given.switching):
            pj = 0.0
        total += len(action.names) * action.count(hw, counted) * pj
    pairs = did.macs_effectual + did.macs_ineffectual
    queued_pj = 0.0 if given.clock or not hw.skips else pairs * 2 * 2 * word * table.logic.flip_flop.value
    return total + queued_pj


def summed(done: list[Actions]) -> Actions:
    """Add up what was done."""
    return Actions(**{part.name: sum(getattr(one, part.name) for one in done) for part in fields(Actions)})


def row(
    what: str, hw: Hardware, run: Callable[[Hardware, bool], Result], given: Given, vector_work: bool
) -> dict[str, Any]:
    """Simulate a machine and charge it."""
    result, table = run(hw, vector_work), table_of(hw)
    assert result.energy_range is not None
    own, dense = summed(list(result.energy_range.own)), summed(list(result.energy_range.dense))
    together = changed(hw, skipping={"sync": "array"})
    shared = run(together, vector_work).energy_range
    assert shared is not None
    total, other = result.summary["total"], result.other_work.sums()
    more = Actions(cycles=other["cycles"], vector_ops=other["ops"], dram_read_bytes=other["dram_bytes"])
    energies = [
        energy_pj(machine, table, summed([did, more]), summed([once, more]), given)
        for machine, did, once in ((hw, own, summed(list(shared.own))), (hw.dense(), dense, dense))
    ]
    return {"what": what, "speedup": total["speedup"], "energy_ratio": energies[1] / energies[0]}


def rows(shipped: Hardware, run: Run) -> list[dict[str, Any]]:
    """Return the machine as first described, each idealisation removed, and all of them."""
    free = {"weight_words_per_cycle": "unlimited", "input_words_per_cycle": "unlimited"}
    first = changed(
        shipped,
        array={"drain": "free"},
        skipping={"sync": "row"},
        memory={"buffers": free, "dram": {"kind": "ddr3"}},
    )
    nothing = Given()
    found = [row("as first described", first, run, nothing, False)]
    for words in (16, 32, 64):
        ports = {"weight_words_per_cycle": words, "input_words_per_cycle": words}
        narrow = changed(first, memory={"buffers": ports})
        found.append(row(f"ports of {words} words per operand and cycle", narrow, run, nothing, False))
    window = {"weight_words_per_cycle": "window", "input_words_per_cycle": "window"}
    found.append(
        row("ports of one window per line and cycle", changed(first, memory={"buffers": window}), run, nothing, False)
    )
    for drain in ("overlapped", "exposed"):
        found.append(row(f"drain {drain}", changed(first, array={"drain": drain}), run, nothing, False))
    found.append(row("other work counted", first, run, nothing, True))
    lpddr4 = changed(first, memory={"dram": {"kind": "lpddr4"}})
    found.append(row("DRAM is LPDDR4", lpddr4, run, nothing, False))
    for name, what in (
        ("pointers", "each scan pointer's reads charged"),
        ("clock", "all registers of queues clocked"),
        ("switching", "crossbars, scanners, lanes' registers charged"),
        ("masks", "mask bits read"),
        ("widths", "SRAM by width"),
    ):
        found.append(row(what, first, run, replace(nothing, **{name: True}), False))
    built = changed(shipped, skipping={"sync": "row"}, memory={"buffers": window}, array={"drain": "overlapped"})
    found.append(row("all of it, a scan pointer per row", built, run, ALL, True))
    found.append(row("all of it, as shipped", shipped, run, ALL, True))
    return found


def main() -> None:
    """Simulate, write the table, print it."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="a small trace")
    parser.add_argument("--trace", type=Path, help="default: the README's")
    parser.add_argument("--hw", type=Path, default=ROOT / "hw_configs" / "pe16x16.yaml", help="default: pe16x16")
    parser.add_argument("--out", type=Path, help="default: beside this file; with --quick, in runs/")
    options = parser.parse_args()
    out = options.out or (ROOT / "runs" / HERE.name / "quick" if options.quick else HERE)
    trace = ROOT / "traces" / ("simclr_gmp_element.pkl" if options.quick else "simclr_resnet18w16_photos.pkl")
    reader = open_trace(options.trace or trace)
    last = [op for op in reader if op.step == reader.steps[-1]]
    known: dict[str, Result] = {}

    def run(hw: Hardware, vector_work: bool) -> Result:
        key = f"{hw.model_dump_json()} {vector_work}"
        if key not in known:
            known[key] = simulate(hw, last, vector_work=vector_work)
        return known[key]

    table = pd.DataFrame(rows(load_hardware(options.hw), run))
    out.mkdir(parents=True, exist_ok=True)
    write_whole(out / "table.csv", table.to_csv(index=False))
    print("| removed alone | speedup | energy ratio |\n|---|---|---|")
    for what, speedup, ratio in table.itertuples(index=False):
        print(f"| {what} | {speedup:.2f}× | {ratio:.2f}× |")


if __name__ == "__main__":
    main()
