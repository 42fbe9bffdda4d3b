"""The best dense machine of a machine's area: what a result says of it, and the ratios against it."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from accelsim.hardware.model import Hardware
from accelsim.results.energy_range import EnergyRange
from accelsim.results.row import known, speedup

NOT_ASKED = "not asked for"
IDEALISED = "an idealised machine has no area"
NONE_FITS = "no dense machine fits its area"
READ_ONCE = "these operations can be read only once; a list or a trace file can be again"


@dataclass(frozen=True)
class EqualArea:
    """What a machine is compared with at equal area.

    Attributes:
        why_none: why there is nothing to compare with, a phrase; "" if there is.
        machine: the best dense machine that fits.
        machine_mm2, own_mm2: its area, and that of the machine that it is compared with.
        node: technology of these areas.
        energy_range: how far the ratio of energies may be off, since prices are known only so well.
    """

    why_none: str = NOT_ASKED
    machine: Hardware | None = None
    machine_mm2: float = math.nan
    own_mm2: float = math.nan
    node: str = ""
    energy_range: EnergyRange | None = None

    def plain(self) -> dict[str, Any]:
        """Return what a summary says of it."""
        if self.machine is None:
            return {"why_none": self.why_none, "machine": None}
        array = self.machine.array
        return {
            "why_none": None,
            "machine": self.machine.name,
            "rows": array.rows,
            "cols": array.cols,
            "lanes": array.lanes,
            "compression": list(self.machine.memory.compression),
            "area_mm2": self.machine_mm2,
            "own_area_mm2": self.own_mm2,
            "node": self.node,
        }


def ratios(sums: dict[str, Any]) -> dict[str, float | None]:
    """Return the two ratios at equal area of some sums; None where there is nothing to compare with."""
    cycles, energy = sums["equal_area_cycles"], sums["equal_area_energy_pj"]
    return {
        "speedup_at_equal_area": None if cycles is None else known(speedup(cycles, sums["cycles"])),
        "energy_ratio_at_equal_area": None if energy is None or not sums["energy_pj"] else energy / sums["energy_pj"],
    }


def best_dense_machine(summary: Mapping[str, Any]) -> str | None:
    """Return a summary's best dense machine of the same area in words; None if there is none."""
    rival = summary.get("equal_area") or {"machine": None}
    if rival["machine"] is None:
        return None
    lanes = f"x{rival['lanes']} lanes" if rival["lanes"] > 1 else ""
    area_mm2 = f"{rival['area_mm2']:.4g} of {rival['own_area_mm2']:.4g} mm2 ({rival['node']})"
    return f"{rival['rows']}x{rival['cols']}{lanes}, {area_mm2}"
