"""How many weights each layer keeps at a random start: the same share everywhere, or Erdős-Rényi-Kernel."""

from __future__ import annotations

import math
from collections.abc import Mapping

from accelsim.errors import TrainingError

Shapes = Mapping[str, tuple[int, ...]]


def uniform_densities(shapes: Shapes, density: float, least: float = 0.0) -> dict[str, float]:
    """Return the same density for every layer.

    Raises:
        TrainingError: a density outside (0, 1], or below the least.
    """
    _check(density, least)
    return dict.fromkeys(shapes, density)


def erk_densities(shapes: Shapes, density: float, least: float = 0.0) -> dict[str, float]:
    """Erdős-Rényi-Kernel densities (Evci et al. 2020): eps * (n_in + n_out + kw + kh) / (n_in * n_out * kw * kh).

    What exceeds 1 becomes 1 and eps is solved for the rest, so that the layers together have exactly the density.

    Args:
        shapes: weight shapes by layer, [C_out, C_in, ...kernel].
        density: of all layers together.
        least: no layer goes below it (N:M patterns leave N / M).

    Raises:
        TrainingError: a density outside (0, 1], or below the least.
    """
    _check(density, least)
    sizes = {name: math.prod(shape) for name, shape in shapes.items()}
    raw = {name: sum(shape) / sizes[name] for name, shape in shapes.items()}
    budget = density * sum(sizes.values())

    def at(eps: float) -> dict[str, float]:
        return {name: min(max(eps * share, least), 1.0) for name, share in raw.items()}

    # The number of weights rises with eps, piece by piece: halve down to the last digit.
    low, high = 0.0, 1 / min(raw.values())
    for _ in range(200):
        middle = (low + high) / 2
        if sum(sizes[name] * found for name, found in at(middle).items()) < budget:
            low = middle
        else:
            high = middle
    return at(high)


def _check(density: float, least: float) -> None:
    if not 0 < density <= 1:
        raise TrainingError(f"weights start at a density of {density}, expected a share in (0, 1]")
    if density < least - 1e-9:
        raise TrainingError(f"weights start at a density of {density}, but their pattern leaves {least:.4g} at least")


DENSITIES = {"uniform": uniform_densities, "erk": erk_densities}
