"""From where to where a result's energy ratios lie, since prices are known only so well."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import pandas as pd

from accelsim.energy.actions import Actions
from accelsim.energy.load import table_of
from accelsim.energy.uncertainty import Floats, counts, drawn, interval, prices
from accelsim.hardware.model import Hardware

NOTHING = Actions()


@dataclass(frozen=True)
class EnergyRange:
    """What a machine and a dense one did in each row of a result, and what it costs with prices that are drawn.

    Attributes:
        hardware, baseline: the machine and the dense one.
        own, dense: what they did; a row each.
    """

    hardware: Hardware
    baseline: Hardware
    own: Sequence[Actions]
    dense: Sequence[Actions]

    def ratio(self, often: pd.Series, both: Actions, alone: Actions) -> tuple[float, float] | None:
        """Return from where to where dense over own energy lies; None if there is no energy.

        Args:
            often: how often rows count, by their places.
            both: what machine and baseline did in addition.
            alone: what the machine alone did in addition.
        """
        if self.hardware.idealised:
            return None
        rows, weights = often.index.to_numpy(), often.to_numpy(np.float64)
        (own, own_prices), (dense, dense_prices) = self._counted
        more, more_dense = counts(self.hardware, [both, alone]).sum(axis=0), counts(self.baseline, [both])[0]
        return interval((weights @ own[rows] + more) @ own_prices, (weights @ dense[rows] + more_dense) @ dense_prices)

    @cached_property
    def _counted(self) -> tuple[tuple[Floats, Floats], tuple[Floats, Floats]]:
        table = drawn(table_of(self.hardware))
        own = counts(self.hardware, self.own), prices(table, self.hardware)
        return own, (counts(self.baseline, self.dense), prices(table, self.baseline))


@dataclass(frozen=True)
class EnergyRanges:
    """The same of both ratios of a result.

    Attributes:
        by_name: what is known of `energy_ratio` and `energy_ratio_at_equal_area`.
    """

    by_name: Mapping[str, EnergyRange | None]

    def bounds(self, often: pd.Series, both: Actions, alone: Actions = NOTHING) -> dict[str, float | None]:
        """Return each ratio's ends, `_low` and `_high`; None where there is no ratio. Arguments as of `ratio`."""
        found: dict[str, float | None] = {}
        for name, one in self.by_name.items():
            low, high = (one and one.ratio(often, both, alone)) or (None, None)
            found |= {f"{name}_low": low, f"{name}_high": high}
        return found
