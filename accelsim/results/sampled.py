"""How sure a sampled result is: 95 % intervals of rows and totals."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from accelsim.lowering.gemm import PASSES
from accelsim.results.other_work import NO_OTHER_WORK, OtherWorkCosts
from accelsim.results.row import known, speedup
from accelsim.sampling import CONFIDENCE, Sampling, Spread, Variance, combine
from accelsim.sampling.spread import QUANTITIES

_SHOWN = ("cycles", "energy_pj")
Bounds = tuple[float, float]
EXACT = Spread(0, 0, {})


def with_intervals(layers: pd.DataFrame, spreads: Sequence[Spread]) -> pd.DataFrame:
    """Add tiles, simulated_tiles, and the 95 % intervals of each row's cycles and energy."""
    added: dict[str, list[float]] = {
        "tiles": [spread.tiles for spread in spreads],
        "simulated_tiles": [spread.simulated for spread in spreads],
    }
    for name in _SHOWN:
        halves = [spread.variances.get(name, Variance()).half_width for spread in spreads]
        bounds = [_interval(value, half) for value, half in zip(layers[name].tolist(), halves, strict=True)]
        added[f"{name}_low"], added[f"{name}_high"] = [low for low, _ in bounds], [high for _, high in bounds]
    return layers.assign(**added)


@dataclass(frozen=True)
class SampledRows:
    """What was done, and how far each row may be off.

    Attributes:
        counted: a row per row of `layers`, with what the best dense machine of the same area did.
        spreads, rival_spreads: of the machine, and of that one.
    """

    counted: pd.DataFrame
    spreads: Sequence[Spread]
    rival_spreads: Sequence[Spread]


def sampling_summary(
    sampling: Sampling,
    rows: SampledRows,
    other_work: OtherWorkCosts,
    weights: pd.Series,
    training: dict[str, Any] | None,
) -> dict[str, Any]:
    """Say how the tiles were sampled and how sure each total is; plain values only.

    `total`, `by_pass` and `by_step` hold an interval [low, high] for each quantity that was sampled, and for speedup,
    energy_ratio and, where there is a dense machine of the same area, both ratios at equal area; `training`, if the run
    can be summed, for cycles, energy_pj and the ratios. Totals of rows are sums of independent estimates: their
    intervals are narrower than those of the rows added up.

    Args:
        other_work: it is exact, and in the totals of steps.
        weights: how many steps of the run each recorded one stands for, by step.
        training: the whole training's totals.
    """
    tiles, simulated = (sum(getattr(spread, name) for spread in rows.spreads) for name in ("tiles", "simulated"))
    found: dict[str, Any] = {
        "share_asked": sampling.share,
        "seed": sampling.seed,
        "confidence": CONFIDENCE,
        "tiles": tiles,
        "simulated_tiles": simulated,
        "share": simulated / tiles if tiles else 1.0,
    }
    if sampling.share == "auto":
        found["error_asked"] = sampling.error
    layers = rows.counted
    chosen = {name: np.flatnonzero(layers["pass"] == name) for name in PASSES}
    steps = {str(step): np.flatnonzero(layers["step"] == step) for step in np.sort(layers["step"].unique())}
    found["total"] = _intervals(rows, np.arange(len(layers)), other_work.sums())
    found["by_pass"] = {name: _intervals(rows, own) for name, own in chosen.items() if own.size}
    found["by_step"] = {step: _intervals(rows, own, other_work.sums({int(step): 1.0})) for step, own in steps.items()}
    if training is not None:
        found["training"] = _of_training(rows, weights, training)
    return found


def half_widths(layers: pd.DataFrame, spreads: Sequence[Spread]) -> dict[tuple[str, str], float]:
    """Half of the 95 % interval of cycles by layer and pass, calls and steps added up; only where it is not exact."""
    sums: dict[tuple[str, str], Variance] = {}
    for layer, name, spread in zip(layers["layer"], layers["pass"], spreads, strict=True):
        if "cycles" in spread.variances:
            sums[layer, name] = sums.get((layer, name), Variance()) + spread.variances["cycles"]
    return {key: variance.half_width for key, variance in sums.items()}


def _intervals(
    rows: SampledRows, chosen: NDArray[np.int64], other: Mapping[str, Any] = NO_OTHER_WORK
) -> dict[str, list[float | None]]:
    places = chosen.tolist()

    def bounds(prefix: str, spreads: Sequence[Spread], names: Sequence[str]) -> dict[str, Bounds]:
        variances = combine([spreads[place] for place in places])
        sums = {name: np.asarray(rows.counted[f"{prefix}{name}"].iloc[chosen]).sum().item() for name in names}
        more = {"cycles": other["cycles"], "energy_pj": other[f"{prefix}energy_pj"] or 0.0}
        return {name: _interval(sums[name] + more.get(name, 0), variances[name].half_width) for name in names}

    exact = [EXACT] * len(rows.spreads)
    dense, rival = bounds("dense_", exact, _SHOWN), bounds("equal_area_", rows.rival_spreads, _SHOWN)
    return _with_ratios(bounds("", rows.spreads, QUANTITIES), dense, rival)


def _of_training(rows: SampledRows, weights: pd.Series, training: dict[str, Any]) -> dict[str, list[float | None]]:
    """A recorded step's error counts as often as the step stands for others."""

    def bounds(prefix: str, spreads: Sequence[Spread]) -> dict[str, Bounds]:
        variances = dict.fromkeys(_SHOWN, Variance())
        for step, spread in zip(rows.counted["step"].tolist(), spreads, strict=True):
            for name in _SHOWN:
                variances[name] += spread.variances.get(name, Variance()).scaled(float(weights.get(step, 0.0)))
        sums = {name: training[f"{prefix}{name}"] for name in _SHOWN}
        return {
            name: _interval(math.nan if value is None else value, variances[name].half_width)
            for name, value in sums.items()
        }

    dense, rival = bounds("dense_", [EXACT] * len(rows.spreads)), bounds("equal_area_", rows.rival_spreads)
    return _with_ratios(bounds("", rows.spreads), dense, rival)


def _with_ratios(
    own: dict[str, Bounds], dense: dict[str, Bounds], rival: dict[str, Bounds]
) -> dict[str, list[float | None]]:
    """Add the ratios: from the least above the line over the most below it to the contrary.

    The baseline is exact. The dense machine of the same area may not be, nor independent of the machine: the sample of
    both is drawn by the same seed. But two errors add up to no more than their intervals do, whatever they have in
    common.
    """
    found = {name: [known(bound) for bound in bounds] for name, bounds in own.items()}
    for suffix, other in (("", dense), ("_at_equal_area", rival)):
        for name, ratio in zip(_SHOWN, ("speedup", "energy_ratio"), strict=True):
            (low, high), (least, most) = own[name], other[name]
            if suffix and math.isnan(rival["cycles"][0]):
                continue
            found[f"{ratio}{suffix}"] = [known(speedup(least, high)), known(speedup(most, low))]
    return found


def _interval(value: float, half_width: float) -> Bounds:
    return (max(0.0, value - half_width), value + half_width) if half_width else (value, value)
