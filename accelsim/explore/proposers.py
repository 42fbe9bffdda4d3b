"""Which designs to simulate next, from what the others cost: by a model of the costs, or by Optuna's samplers."""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable, Sequence
from typing import Any, Literal, Protocol

import numpy as np
from numpy.typing import NDArray

from accelsim.errors import SpaceError
from accelsim.explore.pareto import front
from accelsim.explore.surrogate import Floats, Surrogate, encode, is_ordered

Costs = tuple[float, ...]
_OPTIMISM = (1.0, 2.0, 3.0)  # standard deviations by which a design may be better than its mean: first, later, last
_LEAST_GAIN = 1e-4  # of the span of a cost: nothing to move the front for
_POPULATION = 24  # of NSGA-II: small, so that a budget of some hundred designs is several generations
Models = dict[int, Surrogate]


class Proposer(Protocol):
    """Proposes designs by their numbers in the grid; the same seed and costs give the same proposals."""

    def ask(self, count: int) -> list[int]:
        """Return up to `count` designs to simulate, perhaps some again; none if there is nothing left to hope for."""
        ...

    def tell(self, number: int, costs: Costs | None) -> None:
        """Say what a proposed design costs, None if it cannot be simulated."""
        ...


class ModelProposer:
    """Looks at all designs of the grid through a model of the costs (`Surrogate`).

    It starts with a random Latin square. Then it takes, again and again, the design that would, if it is one standard
    deviation better than expected in everything, move the front furthest, and goes on as if it cost what is expected.
    Where no design would move it, it hopes for two, then three; where even then none would, nothing is left to do (in
    the spirit of Zuluaga et al., Active Learning for Multi-Objective Optimization, ICML 2013).

    Args:
        axes: values of each swept key.
        numbers: the designs, ascending, by their places in the full grid.
        known: [designs, objectives] costs that need no simulation; not a number where they do.
        seed: of the start.
    """

    def __init__(self, axes: Sequence[Sequence[Any]], numbers: Sequence[int], known: Floats, seed: int) -> None:
        self._numbers = np.array(numbers, dtype=np.int64)
        places = np.array(np.unravel_index(self._numbers, [len(values) for values in axes])).T
        self._coded, self._known = encode(axes, places), np.log(known)
        self._row = {number: row for row, number in enumerate(numbers)}
        self._costs: dict[int, Floats | None] = {}
        self._start = self._latin(places, np.random.default_rng(seed), 2 * len(axes) + 4)

    def ask(self, count: int) -> list[int]:
        """See `Proposer.ask`."""
        if self._start:
            first, self._start = self._start[:count], self._start[count:]
            return first
        seen = [row for row, costs in self._costs.items() if costs is not None]
        if len(seen) < 2:
            fresh = [row for row in range(len(self._numbers)) if row not in self._costs]
            return [int(self._numbers[row]) for row in fresh[:count]]
        costs = np.array([self._costs[row] for row in seen])
        models = self._models(seen, costs, {})
        lengths = {objective: model.lengths for objective, model in models.items()}
        chosen: list[int] = []
        while len(chosen) < count and (row := self._best(models, seen, costs)) is not None:
            mean, _ = self._guess(models, [row])
            chosen, seen, costs = [*chosen, row], [*seen, row], np.vstack([costs, mean])
            models = self._models(seen, costs, lengths)
        return [int(self._numbers[row]) for row in chosen]

    def tell(self, number: int, costs: Costs | None) -> None:
        """See `Proposer.tell`."""
        self._costs[self._row[number]] = None if costs is None else np.log(np.maximum(costs, 1e-9))

    def _best(self, models: Models, seen: list[int], costs: Floats) -> int | None:
        """Return the row that may move the front furthest, None if there is none."""
        taken = {*seen, *self._costs}
        fresh = [row for row in range(len(self._numbers)) if row not in taken]
        if not fresh:
            return None
        mean, deviation = self._guess(models, fresh)
        best = costs[front(costs)]
        span = np.maximum(costs.max(axis=0) - costs.min(axis=0), 1e-9)
        for optimism in _OPTIMISM:
            hoped = mean - optimism * deviation
            # how far what is hoped for is ahead of each front design where it is furthest ahead; of the nearest of them
            gain = ((best[None, :, :] - hoped[:, None, :]) / span).max(axis=2).min(axis=1)
            row = int(np.argmax(gain))
            if gain[row] > _LEAST_GAIN:
                return fresh[row]
        return None

    def _models(self, seen: list[int], costs: Floats, lengths: dict[int, list[float]]) -> Models:
        coded = [one[seen] for one in self._coded]
        unknown = np.flatnonzero(np.isnan(self._known).any(axis=0)).tolist()
        return {one: Surrogate(coded, np.exp(costs[:, one]), lengths.get(one)) for one in unknown}

    def _guess(self, models: Models, rows: list[int]) -> tuple[Floats, Floats]:
        """Return mean and standard deviation of the logarithms of the costs, [rows, objectives] each."""
        mean = self._known[rows].copy()
        deviation = np.zeros_like(mean)
        for objective, model in models.items():
            mean[:, objective], deviation[:, objective] = model.guess([one[rows] for one in self._coded])
        return mean, deviation

    def _latin(self, places: NDArray[np.int64], random: np.random.Generator, count: int) -> list[int]:
        """Return designs in which every value of every key comes equally often, as far as they exist."""
        lengths = places.max(axis=0) + 1
        columns = [random.permutation(np.resize(random.permutation(length), count)) for length in lengths]
        wanted = np.array(columns).T
        chosen: list[int] = []
        for one in wanted:  # the nearest design that is there
            far = (places != one).sum(axis=1)
            far[chosen] = len(lengths) + 1
            if len(chosen) < len(places):
                chosen.append(int(np.argmin(far)))
        return [int(self._numbers[row]) for row in chosen]


class OptunaProposer:
    """Optuna's NSGA-II or TPE: needs no list of all designs, so that the grid may be of any size.

    Args:
        axes: values of each swept key.
        allowed: whether a design, by its place in the full grid, is one of the space's.
        sampler: "nsga2" or "tpe".
        objectives: how many.
        seed: of the sampler.

    Raises:
        SpaceError: Optuna is not installed.
    """

    _PATIENCE = 200  # proposals in a row that are no design, or known, until it gives up

    def __init__(
        self,
        axes: Sequence[Sequence[Any]],
        allowed: Callable[[int], bool],
        sampler: Literal["nsga2", "tpe"],
        objectives: int,
        seed: int,
    ) -> None:
        try:
            import optuna
        except ImportError:
            raise SpaceError("this search needs Optuna: pip install 'accelsim[explore]'") from None
        optuna.logging.set_verbosity(optuna.logging.WARNING)
        self._failed = optuna.trial.TrialState.FAIL
        self._lengths = [len(values) for values in axes]
        self._distributions: dict[str, optuna.distributions.BaseDistribution] = {
            str(key): optuna.distributions.IntDistribution(0, len(values) - 1)
            if is_ordered(values)
            else optuna.distributions.CategoricalDistribution(range(len(values)))
            for key, values in enumerate(axes)
        }
        with warnings.catch_warnings():  # some of the options are experimental
            warnings.simplefilter("ignore")
            chosen: optuna.samplers.BaseSampler = (
                optuna.samplers.NSGAIISampler(population_size=_POPULATION, seed=seed)
                if sampler == "nsga2"
                else optuna.samplers.TPESampler(seed=seed, multivariate=True, constant_liar=True)
            )
            self._study = optuna.create_study(directions=["minimize"] * objectives, sampler=chosen)
        self._allowed = allowed
        self._open: dict[int, list[Any]] = {}
        self._known: dict[int, Costs | None] = {}

    def ask(self, count: int) -> list[int]:
        """See `Proposer.ask`."""
        chosen: list[int] = []
        in_vain = 0
        while len(chosen) < count and in_vain < self._PATIENCE:
            trial = self._study.ask(self._distributions)
            places = [trial.params[str(key)] for key in range(len(self._lengths))]
            number = int(np.ravel_multi_index(places, self._lengths)) if self._lengths else 0
            in_vain += 1
            if number in self._known:  # costs nothing, and tells the sampler what it has
                self._finish(trial, self._known[number])
            elif not self._allowed(number):
                self._finish(trial, None)
            else:
                if number not in self._open:
                    chosen.append(number)
                    in_vain = 0
                self._open.setdefault(number, []).append(trial)
        return chosen

    def tell(self, number: int, costs: Costs | None) -> None:
        """See `Proposer.tell`."""
        self._known[number] = costs
        for trial in self._open.pop(number):
            self._finish(trial, costs)

    def _finish(self, trial: Any, costs: Costs | None) -> None:
        if costs is None:
            self._study.tell(trial, state=self._failed)
        else:
            self._study.tell(trial, [math.log(max(cost, 1e-9)) for cost in costs])
