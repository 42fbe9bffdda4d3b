"""From where to where a result's energy ratios lie, since prices are known only so well."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from accelsim.energy.actions import Actions
from accelsim.energy.load import table_of
from accelsim.energy.uncertainty import Floats, counts, drawn, interval, prices
from accelsim.hardware.model import Hardware


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

    def ratio(self, rows: NDArray[np.int64], both: Actions) -> tuple[float, float] | None:
        """Return from where to where dense over own energy lies; None if there is no energy.

        Args:
            rows: whose energies are added up.
            both: what machine and baseline did in addition.
        """
        if self.hardware.idealised:
            return None
        (own, own_prices), (dense, dense_prices) = self._counted
        more, more_dense = counts(self.hardware, [both])[0], counts(self.baseline, [both])[0]
        return interval(
            (own[rows].sum(axis=0) + more) @ own_prices, (dense[rows].sum(axis=0) + more_dense) @ dense_prices
        )

    @cached_property
    def _counted(self) -> tuple[tuple[Floats, Floats], tuple[Floats, Floats]]:
        table = drawn(table_of(self.hardware))
        own = counts(self.hardware, self.own), prices(table, self.hardware)
        return own, (counts(self.baseline, self.dense), prices(table, self.baseline))
