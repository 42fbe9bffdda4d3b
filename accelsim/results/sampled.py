"""How sure a sampled result is: 95 % intervals of rows and totals."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from accelsim.lowering.gemm import PASSES
from accelsim.results.other_work import NO_OTHER_WORK, OtherWorkCosts
from accelsim.results.row import known, speedup
from accelsim.sampling import CONFIDENCE, Sampling, Spread, Variance, combine
from accelsim.sampling.spread import QUANTITIES

_SHOWN = ("cycles", "energy_pj")


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


def sampling_summary(
    sampling: Sampling,
    layers: pd.DataFrame,
    spreads: Sequence[Spread],
    other_work: OtherWorkCosts,
    weights: pd.Series,
    training: dict[str, Any] | None,
) -> dict[str, Any]:
    """Say how the tiles were sampled and how sure each total is; plain values only.

    `total`, `by_pass` and `by_step` hold an interval [low, high] for each quantity that was sampled, for speedup and
    for energy_ratio; `training`, if the run can be summed, for cycles, energy_pj, speedup and energy_ratio. Totals of
    rows are sums of independent estimates: their intervals are narrower than those of the rows added up.

    Args:
        other_work: it is exact, and in the totals of steps.
        weights: how many steps of the run each recorded one stands for, by step.
        training: the whole training's totals.
    """
    tiles, simulated = sum(spread.tiles for spread in spreads), sum(spread.simulated for spread in spreads)
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
    chosen = {name: np.flatnonzero(layers["pass"] == name) for name in PASSES}
    steps = {str(step): np.flatnonzero(layers["step"] == step) for step in np.sort(layers["step"].unique())}
    found["total"] = _intervals(layers, spreads, np.arange(len(layers)), other_work.sums())
    found["by_pass"] = {name: _intervals(layers, spreads, rows) for name, rows in chosen.items() if rows.size}
    found["by_step"] = {
        step: _intervals(layers, spreads, rows, other_work.sums({int(step): 1.0})) for step, rows in steps.items()
    }
    if training is not None:
        found["training"] = _of_training(layers, spreads, weights, training)
    return found


def half_widths(layers: pd.DataFrame, spreads: Sequence[Spread]) -> dict[tuple[str, str], float]:
    """Half of the 95 % interval of cycles by layer and pass, calls and steps added up; only where it is not exact."""
    sums: dict[tuple[str, str], Variance] = {}
    for layer, name, spread in zip(layers["layer"], layers["pass"], spreads, strict=True):
        if "cycles" in spread.variances:
            sums[layer, name] = sums.get((layer, name), Variance()) + spread.variances["cycles"]
    return {key: variance.half_width for key, variance in sums.items()}


def _intervals(
    layers: pd.DataFrame, spreads: Sequence[Spread], rows: np.ndarray, other: Mapping[str, Any] = NO_OTHER_WORK
) -> dict[str, list[float | None]]:
    part, variances = layers.iloc[rows], combine([spreads[row] for row in rows.tolist()])
    sums = {name: np.asarray(part[name]).sum().item() + (other.get(name) or 0) for name in QUANTITIES}
    dense = {name: np.asarray(part[f"dense_{name}"]).sum().item() for name in _SHOWN}
    dense = {"cycles": dense["cycles"] + other["cycles"], "energy_pj": dense["energy_pj"] + other["dense_energy_pj"]}
    return _with_ratios({name: _interval(sums[name], variances[name].half_width) for name in QUANTITIES}, dense)


def _of_training(
    layers: pd.DataFrame, spreads: Sequence[Spread], weights: pd.Series, training: dict[str, Any]
) -> dict[str, list[float | None]]:
    """A recorded step's error counts as often as the step stands for others."""
    variances = dict.fromkeys(_SHOWN, Variance())
    for step, spread in zip(layers["step"].tolist(), spreads, strict=True):
        for name in _SHOWN:
            variances[name] += spread.variances.get(name, Variance()).scaled(float(weights.get(step, 0.0)))
    sums = {name: math.nan if training[name] is None else training[name] for name in _SHOWN}
    return _with_ratios(
        {name: _interval(sums[name], variances[name].half_width) for name in _SHOWN},
        {name: training[f"dense_{name}"] for name in _SHOWN},
    )


def _with_ratios(intervals: dict[str, tuple[float, float]], dense: dict[str, float]) -> dict[str, list[float | None]]:
    """Add speedup and energy_ratio: the baseline is exact, so their intervals follow from those below the line."""
    found = {name: [known(bound) for bound in bounds] for name, bounds in intervals.items()}
    for name, ratio in zip(_SHOWN, ("speedup", "energy_ratio"), strict=True):
        low, high = intervals[name]
        found[ratio] = [known(speedup(dense[name], high)), known(speedup(dense[name], low))]
    return found


def _interval(value: float, half_width: float) -> tuple[float, float]:
    return (max(0.0, value - half_width), value + half_width) if half_width else (value, value)
