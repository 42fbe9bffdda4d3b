"""The designs that no other design beats in everything."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray


def front(costs: ArrayLike) -> NDArray[np.bool_]:
    """Return which rows are on the Pareto front: no other row is at most as large in all columns and smaller in one.

    Args:
        costs: [designs, objectives], less is better; rows that are equal are on the front together, or not at all.
    """
    table = np.asarray(costs, dtype=np.float64)
    on_front = np.zeros(len(table), dtype=np.bool_)
    kept = np.empty((0, table.shape[1] if table.ndim == 2 else 0))
    # in lexical order nothing later can beat what is kept
    for row in np.lexsort(table.T[::-1]) if len(table) else ():
        cost = table[row]
        beaten = (kept <= cost).all(axis=1) & (kept < cost).any(axis=1)
        if not beaten.any():
            on_front[row] = True
            kept = np.vstack([kept, cost])
    return on_front
