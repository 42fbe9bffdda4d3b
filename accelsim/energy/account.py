"""Action counts times an energy table: where the energy of a pass went."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, fields

from accelsim.energy.actions import ACTIONS, Action, Actions, leakage_uw
from accelsim.energy.table import EnergyTable
from accelsim.hardware.model import Hardware

__all__ = ["NO_ENERGY", "Actions", "EnergyBreakdown", "account", "leakage_uw"]


@dataclass(frozen=True)
class EnergyBreakdown:
    """Energy by component, pJ; breakdowns add up. All are NaN for an idealised machine (`Hardware.idealised`).

    Attributes:
        mac_pj: multiply-accumulates whose multiplier toggles, with their registers: all consumed pairs, or with
            skipping.gate_zeros the effectual ones.
        gated_mac_pj: consumed pairs with a zero, where skipping.gate_zeros holds the multiplier still.
        idle_pj: clock of the lanes in slots without a pair.
        fifo_scan_pj: what PEs have besides lanes: scanners, crossbars, queues, shared registers, the way of results
            out.
        buffer_pj: on-chip buffers, read and written.
        dram_pj: DRAM, read and written.
        leakage_pj: static power of logic and buffers over all cycles.
        vector_pj: arithmetic of the vector unit; none in a pass of the array.
    """

    mac_pj: float = 0.0
    gated_mac_pj: float = 0.0
    idle_pj: float = 0.0
    fifo_scan_pj: float = 0.0
    buffer_pj: float = 0.0
    dram_pj: float = 0.0
    leakage_pj: float = 0.0
    vector_pj: float = 0.0

    @property
    def total_pj(self) -> float:
        """All components together."""
        return float(sum(getattr(self, field.name) for field in fields(self)))

    def __add__(self, other: EnergyBreakdown) -> EnergyBreakdown:
        return EnergyBreakdown(*(getattr(self, f.name) + getattr(other, f.name) for f in fields(self)))


NO_ENERGY = EnergyBreakdown(*[math.nan] * len(fields(EnergyBreakdown)))
"""What an idealised machine has."""


def account(table: EnergyTable, hw: Hardware, actions: Actions) -> EnergyBreakdown:
    """Energy of what a machine did, by the prices of `ACTIONS`; NO_ENERGY if it is idealised."""
    if hw.idealised:
        return NO_ENERGY
    charged: dict[str, float] = {}
    for action, price in zip(ACTIONS, _prices(table, hw, ACTIONS), strict=True):
        pj = len(action.names) * action.count(hw, actions) * price
        charged[action.charged_to] = charged.get(action.charged_to, 0.0) + pj
    return EnergyBreakdown(**charged)


_MOST_PRICED = 64  # machines at a time
_priced: dict[tuple[int, int, int], tuple[object, list[float]]] = {}


def _prices(table: EnergyTable, hw: Hardware, actions: Sequence[Action]) -> list[float]:
    """What each action costs: computed once for a machine and table, as long as these are the same objects."""
    key = id(table), id(hw), id(actions)
    known = _priced.get(key)
    if known is None:
        if len(_priced) >= _MOST_PRICED:
            _priced.clear()
        # Objects that are kept cannot give their identity to others.
        known = _priced[key] = (table, hw, actions), [action.pj(table, hw) for action in actions]
    return known[1]
