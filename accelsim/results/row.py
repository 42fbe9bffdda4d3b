"""One operation and pass, accounted: a row of the `layers` table."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from typing import Any

from accelsim.array import Slots
from accelsim.energy.account import Actions, EnergyBreakdown
from accelsim.lowering.gemm import Pass
from accelsim.sampling.spread import Spread


@dataclass(frozen=True)
class PassAccount:
    """What one machine did in one pass.

    Attributes:
        cycles: array and memory together.
        array_cycles: the array alone, as if memory were ideal.
        working_cycles: cycles of all tiles; with several arrays summed over them.
        slots: where every lane of every cycle went; sums to R · C · L · cycles.
        dram_bytes: read and written.
        energy: by component, pJ; NaN for an idealised machine.
        actions: what the energy is charged for.
        spread: how far these may be off, if they were sampled.
        mapping: how its GEMMs were cut for the buffers, see `accelsim.memory.blocking.Blocking`.
        dataflow: what stayed in the PEs; several names if its GEMMs took several.
    """

    cycles: int
    array_cycles: int
    working_cycles: int
    slots: Slots
    dram_bytes: int
    energy: EnergyBreakdown
    actions: Actions
    spread: Spread = field(default_factory=lambda: Spread(0, 0, {}))
    mapping: str = ""
    dataflow: str = ""


@dataclass(frozen=True)
class PassResult:
    """One pass of one operation on the machine and on its dense baseline.

    Attributes:
        branch: "online" if the operation's gradients were computed, "forward_only" if not (a momentum encoder, a
            frozen network), "recomputed" for a forward that activation checkpointing ran again.
        trace: which of several trace files it came from, by its position among them, from 0.
        images: the operation's N, rows of the input where it is a linear layer's.
        m, n, k: extents of one group's GEMM, of its largest phase.
        macs: M · N · K summed over groups and phases.
        effectual_macs: those with both operands non-zero.
        machine, dense: what the machine did, and the same machine without skipping and compression.
        rivals: what dense machines of the same area did, if there are any.
        equal_area: what the best of them did.
    """

    step: int
    layer: str
    call: int
    which: Pass
    kind: str
    branch: str
    groups: int
    images: int
    m: int
    n: int
    k: int
    macs: int
    effectual_macs: int
    machine: PassAccount
    dense: PassAccount
    rivals: tuple[PassAccount, ...] = ()
    equal_area: PassAccount | None = None
    trace: int = 0

    def columns(self) -> dict[str, object]:
        """Return the row under the table's column names."""
        plain = ("step", "layer", "call", "trace", "kind", "branch", "groups", "images", "m", "n", "k")
        row: dict[str, object] = {name: getattr(self, name) for name in (*plain, "macs", "effectual_macs")}
        row["pass"] = self.which
        row["cycles"], row["array_cycles"] = self.machine.cycles, self.machine.array_cycles
        row["dense_cycles"], row["dense_array_cycles"] = self.dense.cycles, self.dense.array_cycles
        row["speedup"] = speedup(self.dense.cycles, self.machine.cycles)
        best = self.equal_area
        row["equal_area_cycles"] = math.nan if best is None else best.cycles
        row |= {f"slots_{part.name}": getattr(self.machine.slots, part.name) for part in fields(Slots)}
        row["dram_bytes"], row["dense_dram_bytes"] = self.machine.dram_bytes, self.dense.dram_bytes
        done = self.machine.actions
        row["working_cycles"] = self.machine.working_cycles
        row["weight_read_words"], row["input_read_words"] = done.buffer_a_read_words, done.buffer_b_read_words
        row |= port_rates(row)
        row["energy_pj"], row["dense_energy_pj"] = self.machine.energy.total_pj, self.dense.energy.total_pj
        row["equal_area_energy_pj"] = math.nan if best is None else best.energy.total_pj
        row |= {f"energy_{part.name}": getattr(self.machine.energy, part.name) for part in fields(EnergyBreakdown)}
        row["mapping"], row["dataflow"] = self.machine.mapping, self.machine.dataflow
        del row["energy_vector_pj"]  # which no pass of the array has
        first = ("step", "layer", "call", "pass", "trace")
        return {name: row[name] for name in first} | {name: row[name] for name in row if name not in first}


def port_rates(sums: Mapping[str, Any]) -> dict[str, float]:
    """Return the words per cycle that were read from either operand's buffer for an array while it ran, on average.

    They are named as the ports of a hardware file are: `weight_words_per_cycle` is operand A's, `input_words_per_cycle`
    operand B's.
    """
    cycles, words = sums["working_cycles"], {port: sums[f"{port}_read_words"] for port in ("weight", "input")}
    return {f"{port}_words_per_cycle": read / cycles if cycles else 0.0 for port, read in words.items()}


def known(number: float) -> float | None:
    """Return a number for JSON: None where there is none (an idealised machine's energy, an infinite ratio)."""
    return number if math.isfinite(number) else None


def speedup(dense_cycles: float, cycles: float) -> float:
    """Dense cycles over cycles; infinite where nothing was left to do, 1 where there was nothing from the start."""
    if cycles:
        return dense_cycles / cycles
    return float("inf") if dense_cycles else 1.0
