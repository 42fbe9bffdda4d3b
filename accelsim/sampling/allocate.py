"""How many strips to draw of each stratum so that the total of cycles is as sure as asked for.

Neyman's allocation with costs (Cochran, Sampling Techniques, 1977, section 5.5): n ∝ S d / √c for S strips of standard
deviation d that cost c each, just large enough that sum (S² d² / n − S d²) is the variance wanted.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Mapping, Sequence

from accelsim.sampling.estimate import Variance
from accelsim.sampling.spread import Spread, Weight

_AIM = 0.9  # of the error: the deviations are estimates themselves
_LEAST_GROWTH = 1.25  # of the sample in a round, where the deviations said too little
Sizes = dict[tuple[object, ...], tuple[int, ...]]


def is_sure(spreads: Sequence[Spread], cycles: float, error: float) -> bool:
    """Whether half of the 95 % interval of the total of cycles is at most `error` of it."""
    return _variance(spreads).half_width <= error * cycles


def allocate(spreads: Sequence[Spread], cycles: float, error: float) -> Sizes:
    """Return larger samples, strips by stratum, of the GEMMs that matter most; by key.

    Args:
        spreads: of all passes of a machine.
        cycles: their total.
        error: half of the 95 % interval to reach, over the total.
    """
    variance = _variance(spreads)
    quantile = variance.half_width / math.sqrt(variance.value)
    wanted = (_AIM * error * cycles / quantile) ** 2
    gemms: Mapping[tuple[object, ...], list[Weight]] = _by_gemm(spreads)
    # Strata are cut so that S d is about the same in all of a GEMM.
    totals = {key: math.sqrt(sum((w.strips * w.deviation) ** 2 for w in ws) / len(ws)) for key, ws in gemms.items()}
    rate = sum(totals[key] * math.sqrt(w.cost_ns) for key, ws in gemms.items() for w in ws)
    rate /= wanted + sum(totals[key] ** 2 / w.strips for key, ws in gemms.items() for w in ws)
    sizes: Sizes = {}
    for key, weights in gemms.items():
        own = tuple(min(w.strips, max(w.drawn, math.ceil(rate * totals[key] / math.sqrt(w.cost_ns)))) for w in weights)
        if any(size > w.drawn for size, w in zip(own, weights, strict=True)):
            sizes[key] = own
    return sizes or {
        key: tuple(min(w.strips, math.ceil(_LEAST_GROWTH * w.drawn)) for w in ws)
        for key, ws in gemms.items()
        if totals[key] or not any(totals.values())
    }


def _variance(spreads: Sequence[Spread]) -> Variance:
    return sum((spread.variances.get("cycles", Variance()) for spread in spreads), Variance())


def _by_gemm(spreads: Sequence[Spread]) -> dict[tuple[object, ...], list[Weight]]:
    gemms = defaultdict(list)
    for spread in spreads:
        for weight in spread.weights:
            gemms[weight.key].append(weight)
    return gemms
