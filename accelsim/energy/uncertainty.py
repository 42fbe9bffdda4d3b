"""How far an energy ratio may be off, given from where to where each price may lie.

Prices are drawn at random within their ranges, evenly on a logarithmic scale, and both machines pay the same ones, so
that what is wrong with a price is wrong for both. Numbers of one group and source are off together: the products of all
formats, the sums, and the capacities of SRAM; each kind of DRAM and all others by themselves.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from accelsim.energy.actions import ACTIONS, Actions
from accelsim.energy.table import EnergyTable
from accelsim.hardware.model import Hardware

DRAWS = 1000
INTERVAL = (0.05, 0.95)
"""The shares of draws below the ends of an interval."""
_SEED = 20_140_209
_TOGETHER = ("multiply", "add", "sram")

Floats = NDArray[np.float64]


def drawn(table: EnergyTable) -> EnergyTable:
    """Return the table with `DRAWS` values in place of each: what is computed from it is an array of as many."""
    random = np.random.default_rng(_SEED)
    places: dict[str, Floats] = {}
    values: dict[str, Floats] = {}
    for key, quantity in table.quantities():
        group = key.split(".")[0].split("[")[0]
        name = group if group in _TOGETHER else key
        if name not in places:
            places[name] = random.random(DRAWS)
        low, high = quantity.bounds
        values[key] = low * (high / low) ** places[name] if low else np.zeros(DRAWS)
    return _replaced(table, values)


def prices(table: EnergyTable, hw: Hardware) -> Floats:
    """Return what each of `ACTIONS` costs on a machine with the prices of `drawn`: float64 [actions, draws]."""
    per_action = [len(action.names) * np.asarray(action.pj(table, hw)) for action in ACTIONS]
    return np.array([np.broadcast_to(pj, (DRAWS,)) for pj in per_action], np.float64)


def counts(hw: Hardware, done: Sequence[Actions]) -> Floats:
    """Return how often each of `ACTIONS` was done: float64 [passes, actions]."""
    return np.array([[action.count(hw, did) for action in ACTIONS] for did in done], np.float64).reshape(
        len(done), len(ACTIONS)
    )


def interval(energy_pj: Floats, dense_pj: Floats) -> tuple[float, float] | None:
    """Return from where to where the ratio of two energies lies in 90 % of the draws; None if there is no energy.

    Args:
        energy_pj, dense_pj: float64 [draws] each, with the same draws.
    """
    if not np.isfinite(energy_pj).all() or not (energy_pj > 0).all():
        return None
    low, high = np.quantile(dense_pj / energy_pj, INTERVAL).tolist()
    return low, high


def _replaced(table: EnergyTable, values: dict[str, Floats]) -> EnergyTable:
    """Return a copy with arrays as values, which no validation would take."""

    def array(quantity: Any, key: str) -> Any:
        return quantity.model_copy(update={"value": values[key]})

    groups: dict[str, Any] = {
        group: (part := getattr(table, group)).model_copy(
            update={key: array(quantity, f"{group}.{key}") for key, quantity in part}
        )
        for group in ("multiply", "add", "lane", "logic", "leakage")
    }
    groups["sram"] = tuple(
        point.model_copy(update={"access_64_bit": array(point.access_64_bit, f"sram[{index}].access_64_bit")})
        for index, point in enumerate(table.sram)
    )
    kinds = {kind: array(quantity, f"dram.kinds.{kind}") for kind, quantity in table.dram.kinds.items()}
    groups["dram"] = table.dram.model_copy(update={"kinds": kinds})
    return table.model_copy(update=groups)
