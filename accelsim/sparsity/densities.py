"""How many weights each layer keeps at a random start: the same share everywhere, or Erdős-Rényi-Kernel."""

from __future__ import annotations

import math
from collections.abc import Mapping

from accelsim.errors import TrainingError


def uniform_densities(shapes: Mapping[str, tuple[int, ...]], density: float) -> dict[str, float]:
    """Return the same density for every layer.

    Raises:
        TrainingError: a density outside (0, 1].
    """
    _check(density)
    return dict.fromkeys(shapes, density)


def erk_densities(shapes: Mapping[str, tuple[int, ...]], density: float) -> dict[str, float]:
    """Erdős-Rényi-Kernel densities (Evci et al. 2020): eps * (n_in + n_out + kw + kh) / (n_in * n_out * kw * kh).

    Layers whose density would exceed 1 are dense, and eps is solved again for the rest, so that the total is exact.

    Args:
        shapes: weight shapes by layer, [C_out, C_in, ...kernel].
        density: of all layers together.

    Raises:
        TrainingError: a density outside (0, 1].
    """
    _check(density)
    sizes = {name: math.prod(shape) for name, shape in shapes.items()}
    raw = {name: sum(shape) / sizes[name] for name, shape in shapes.items()}
    dense: set[str] = set()
    while True:
        sparse = [name for name in shapes if name not in dense]
        budget = density * sum(sizes.values()) - sum(sizes[name] for name in dense)
        # the loop ends: layers only ever join `dense`, and with density <= 1 the budget is never below 0
        eps = budget / sum(raw[name] * sizes[name] for name in sparse) if sparse else 0.0
        full = {name for name in sparse if eps * raw[name] > 1}
        if not full:
            return {name: 1.0 if name in dense else eps * raw[name] for name in shapes}
        dense |= full


def _check(density: float) -> None:
    if not 0 < density <= 1:
        raise TrainingError(f"weights start at a density of {density}, expected a share in (0, 1]")


DENSITIES = {"uniform": uniform_densities, "erk": erk_densities}
