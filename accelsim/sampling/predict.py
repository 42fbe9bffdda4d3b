"""What each tile is expected to take: what strips are sorted by and compared with.

A prediction decides how sure an estimate is, not whether it is right: totals are ratios of simulated to predicted
cycles in strata of like predictions, and their variance is that of what the prediction leaves open. It costs a few
per cent of a simulation.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from accelsim.sampling.strips import Strips

Cycles = NDArray[np.float64]


def refine(predicted: Cycles, strips: Strips, chosen: NDArray[np.int64], simulated: Cycles) -> Cycles:
    """Return the predictions, or the same for every tile if simulated strips agree better with that.

    A prediction that says nothing then does no harm (TensorDash's cycles may be the same whatever the masks are).
    Tiles that are expected to take nothing still are. A line fitted to the strips would follow the few that differ.

    Args:
        predicted: float64 [tiles].
        chosen: the simulated strips.
        simulated: float64 [chosen], their cycles.
    """
    some = (predicted > 0).astype(np.float64)
    tiles, cycles = strips.sums(some)[chosen], strips.sums(predicted)[chosen]
    tiles, cycles, simulated = tiles[cycles > 0], cycles[cycles > 0], simulated[cycles > 0]
    if not simulated.any():
        return predicted
    each, ratio = simulated / tiles, simulated / cycles
    return some if each.std() / each.mean() < ratio.std() / ratio.mean() else predicted
