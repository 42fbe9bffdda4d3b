"""Parts of logic: gates and flip-flops of what arrays are made of, by formulas fitted to the RTL's cells.

A PE kind says which parts it has (`accelsim.array.PE.parts`); area, leakage and energy are computed from them. The
coefficients are those of `logic.json`, which `experiments/rtl_area/run.py` writes from its table of Yosys's cells.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache
from importlib.resources import files
from math import prod
from typing import Any

EVENTS = {
    "cycle": "a cycle of a PE whose group runs",
    "window": "a window that a PE looks at",
    "pair": "a pair that a lane consumes",
    "product": "a pair whose multiplier toggles",
    "output": "an output that leaves the array",
    "word": "a word of an operand that comes from the buffers",
}
"""What makes logic switch."""

GATE_EQUIVALENTS = 1.45
"""Area of a gate of one or two inputs or a multiplexer, in NAND gates of two inputs: the mean of the RTL's cells, for
parts without a figure of their own."""
MULTIPLEXER_EQUIVALENTS = 1.862 / 0.798
"""Of a multiplexer of two inputs: MUX2_X1 beside NAND2_X1 in the NanGate 45 nm Open Cell Library."""
FLIP_FLOP_EQUIVALENTS = 4.522 / 0.798
"""Of a flip-flop: DFF_X1 beside NAND2_X1 there."""


CANDIDATE_STEPS = (0, 1, 2, 1, 1, 2, 2, 1)
"""Windows ahead of each of the candidates of a TensorDash lane (rtl/lane_scheduler.sv)."""


@dataclass(frozen=True)
class Logic:
    """Equal pieces of logic in an array.

    Attributes:
        name: what tables call it.
        count: pieces in an array.
        gates: of one piece, generic cells of one or two inputs and multiplexers.
        flip_flops: of one piece.
        equivalents_per_gate: area of a gate, in NAND gates of two inputs.
        switching: gates of a piece that see new inputs, for each of `EVENTS` at that piece.
        clocked: flip-flops of a piece that are clocked, likewise; the others are clock-gated.
    """

    name: str
    count: int
    gates: float
    flip_flops: float = 0.0
    equivalents_per_gate: float = GATE_EQUIVALENTS
    switching: Mapping[str, float] = field(default_factory=dict)
    clocked: Mapping[str, float] = field(default_factory=dict)

    @property
    def gate_equivalents(self) -> float:
        """Area of all pieces, in NAND gates of two inputs."""
        piece = self.gates * self.equivalents_per_gate + self.flip_flops * FLIP_FLOP_EQUIVALENTS
        return self.count * piece


@dataclass(frozen=True)
class Cells:
    """Gates and flip-flops of one piece, and the area of a gate in NAND gates of two inputs."""

    gates: float
    flip_flops: float
    equivalents_per_gate: float


def cells(part: str, **sizes: int) -> Cells:
    """Return what a module of rtl/ is made of, by its fitted formula.

    Args:
        part: the module's name.
        sizes: its parameters that matter: S, D, V, L, W, ACC, MEMBERS as rtl/ has them.

    Raises:
        KeyError: no formula for that part, or a size of it is missing.
    """
    fit, known = _fits()[part], derived_sizes(sizes)
    gates, flip_flops = (
        max(0.0, sum(factor * term(name, known) for name, factor in fit[kind].items()))
        for kind in ("gates", "flip_flops")
    )
    return Cells(gates, flip_flops, fit["equivalents_per_gate"])


def term(name: str, sizes: Mapping[str, int]) -> int:
    """Return a term of a formula: a product of sizes, such as `S*D*W`."""
    return prod(sizes[factor] for factor in name.split("*"))


def derived_sizes(sizes: Mapping[str, int]) -> dict[str, int]:
    """Return a part's sizes with those that follow from them.

    N: bits that count what a queue holds. T: bits of a place in the queue. MOVES: places that a pair may move up from
    by 1 to L. LOW, HIGH: partial products of a multiplication below and above the operand's width, as far as the sum
    keeps their bits.

    Where a group holds V windows of S positions: INPUTS, multiplexers of two inputs that choose one of them. RANKS,
    bits of unary counts, up to L, of the pairs in front of each position. ENCODED, gates that make the places of L
    pairs out of one bit for each position. ACROSS, products of counts of two windows, if there are several.

    Where TensorDash stages V windows: AHEAD, all of them but the oldest. CHOICES, multiplexers of two inputs that give
    16 lanes one of their candidates.
    """
    known = dict(sizes) | {"ONE": 1}
    if "D" in sizes:
        lanes = sizes.get("L", 1)
        known["N"] = sizes["D"].bit_length()
        known["T"] = (sizes["D"] + sizes.get("S", 0) + lanes).bit_length()
        known["MOVES"] = sum(max(0, sizes["D"] - moved) for moved in range(1, lanes + 1))
    if "V" in sizes:
        known["AHEAD"] = sizes["V"] - 1
        known["CHOICES"] = 16 * (sum(step < sizes["V"] for step in CANDIDATE_STEPS) - 1)
    if "S" in sizes and "V" in sizes:
        positions, lanes = sizes["S"] * sizes["V"], sizes.get("L", 1)
        bits = max(1, (positions - 1).bit_length())
        known["INPUTS"] = positions - 1
        known["RANKS"] = sizes["V"] * sum(min(position, lanes) for position in range(1, sizes["S"] + 1))
        known["ENCODED"] = lanes * (bits * max(0, positions // 2 - 1) + positions - 1)
        known["ACROSS"] = positions * lanes * (lanes - 1) if sizes["V"] > 1 else 0
    if "W" in sizes and "ACC" in sizes:
        width = sizes["W"]
        known["LOW"] = width * (width + 1) // 2
        known["HIGH"] = width * (min(2 * width, sizes["ACC"]) - width)
    return known


@cache
def _fits() -> dict[str, Any]:
    fits: dict[str, Any] = json.loads((files("accelsim.hardware") / "logic.json").read_text(encoding="utf-8"))
    return fits
