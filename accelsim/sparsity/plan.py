"""A sparse training method chosen by name: what a configuration says, and the `Sparsifier` it makes."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from torch import nn

from accelsim.errors import TrainingError
from accelsim.sparsity.criteria import find_criterion
from accelsim.sparsity.densities import DENSITIES
from accelsim.sparsity.gmp import GMP
from accelsim.sparsity.granet import GraNet
from accelsim.sparsity.masked_branch import MaskedBranch, check_allocation
from accelsim.sparsity.masks import StraightThroughMask
from accelsim.sparsity.patterns import find_pattern
from accelsim.sparsity.rigl import RigL
from accelsim.sparsity.schedules import CosineExchange, CubicSchedule, LessSparse, OneShot, Schedule
from accelsim.sparsity.scp import SCP
from accelsim.sparsity.sparse_evolution import SET
from accelsim.sparsity.sparsifier import Sparsifier
from accelsim.sparsity.sr_ste import SRSTE

Layers = Mapping[str, nn.Module]

_EXCHANGING = ("set", "rigl", "granet", "scp")


@dataclass(frozen=True)
class SparsePlan:
    """A method with its numbers; steps count optimiser steps.

    Attributes:
        method: key of `METHODS`.
        sparsity: share of zeros in the sparse layers in the end, (0, 1).
        pattern: see `find_pattern`.
        criterion: key of `CRITERIA` by which weights go; sr-ste knows magnitude only.
        start, end: first and last step of the cubic ramp, or of the exchanges; end = start prunes in one shot.
        every: steps between two updates of the masks.
        initial_density: where the cubic ramp starts; below 1 the masks start at random (`distribution`).
        distribution: key of `DENSITIES`, how a random start is shared among layers.
        allocation: how a ramp's sparsity is shared among layers: global (one ranking), or a key of `DENSITIES`.
            One ranking of blocks or channels, whose means differ less than layers do, empties some layers first.
        exchange: share of the living that an update exchanges at first (rigl's alpha; scp publishes 0.5).
        exchange_final: share in the end (scp publishes 0.005). SET stays at `exchange`.
        gap: scp's: how much less sparse the offline branch is.
        decay: sr-ste's, of pruned weights.
        seed: of random starts, random growth and random scores.

    Raises:
        TrainingError: an unknown name, or a number that cannot be used; names the field.
    """

    method: str = "gmp"
    sparsity: float = 0.8
    pattern: str = "element"
    criterion: str = "magnitude"
    start: int = 0
    end: int = 1000
    every: int = 100
    initial_density: float = 1.0
    distribution: str = "erk"
    allocation: str = "global"
    exchange: float = 0.3
    exchange_final: float = 0.0
    gap: float = 0.3
    decay: float = 2e-4
    seed: int = 0

    def __post_init__(self) -> None:
        if self.method not in METHODS:
            raise TrainingError(f"unknown sparse method {self.method!r}, expected one of {', '.join(METHODS)}")
        if self.distribution not in DENSITIES:
            raise TrainingError(f"unknown distribution {self.distribution!r}, expected one of {', '.join(DENSITIES)}")
        if not 0 < self.sparsity < 1:
            raise TrainingError(f"sparsity is {self.sparsity}, expected a share of zeros between 0 and 1")
        check_allocation(self.allocation)
        find_criterion(self.criterion)
        if self.criterion != "magnitude" and self.method == "sr-ste":
            raise TrainingError(f"sr-ste chooses weights by magnitude, expected no criterion {self.criterion}")
        self._check_pattern()
        if not 0 <= self.seed < 2**32:
            raise TrainingError(f"seed is {self.seed}, expected 0 to {2**32 - 1}")
        if not 1 - self.sparsity <= self.initial_density <= 1:
            raise TrainingError(
                f"initial_density is {self.initial_density}, expected a share from {1 - self.sparsity:.4g},"
                f" what is left in the end, to 1"
            )
        # what the method will build from these numbers says itself what is wrong with them
        LessSparse(self.schedule, self.gap)
        self.exchanges(self.exchange_final)

    def _check_pattern(self) -> None:
        pattern = find_pattern(self.pattern)
        if self.method == "sr-ste" and pattern.removed == 1:
            raise TrainingError(
                f"sr-ste prunes N of M weights, which pattern {self.pattern} does not: give --pattern 2:4"
                f" --sparsity 0.5"
            )
        if self.method in _EXCHANGING and not pattern.exchanges:
            raise TrainingError(
                f"{self.pattern} weights cannot be exchanged one by one, as {self.method} does: use --method gmp,"
                f" one-branch or sr-ste, or a pattern like 2:4"
            )
        removed = pattern.removed
        if self.sparsity > removed + 1e-9:
            raise TrainingError(
                f"sparsity is {self.sparsity}, but {self.pattern} removes {removed:.4g} at most: give --sparsity"
                f" {removed:.4g}"
            )
        if self.method == "sr-ste" and abs(self.sparsity - removed) > 1e-9:
            raise TrainingError(
                f"sparsity is {self.sparsity}, but sr-ste with {self.pattern} is {removed:.4g} sparse from the first"
                f" step on: give --sparsity {removed:.4g}"
            )

    @property
    def schedule(self) -> Schedule:
        """The cubic ramp, or one shot where it would have no length."""
        if self.start == self.end:
            return OneShot(self.start, 1 - self.sparsity)
        return CubicSchedule(self.start, self.end, 1 - self.sparsity, self.initial_density, self.every)

    def exchanges(self, final: float) -> CosineExchange:
        """The share to exchange over the steps, towards a final one."""
        return CosineExchange(self.start, max(self.end, self.start + 1), self.exchange, final, self.every)


def build_sparsifier(plan: SparsePlan, online: Layers, offline: Layers | None = None) -> Sparsifier:
    """Put masks on an encoder's layers and return the method that drives them.

    Args:
        plan: the method.
        online: the encoder's sparse layers, by `sparse_layers`.
        offline: the same of a momentum encoder; None if one encoder serves both branches. Methods that know nothing of
            branches give it the online encoder's masks; one-branch leaves it dense; scp prunes it less.

    Raises:
        TrainingError: the two encoders have different layers; what the method refuses.
    """
    if offline is not None and [tuple(weight.shape) for weight in _weights(online).values()] != [
        tuple(weight.shape) for weight in _weights(offline).values()
    ]:
        raise TrainingError("the momentum encoder's sparse layers differ from the online encoder's, expected a copy")
    return METHODS[plan.method](plan, online, offline)


def _gmp(plan: SparsePlan, online: Layers, offline: Layers | None) -> Sparsifier:
    branch = _started(plan, online, plan.initial_density)
    return GMP(branch, plan.schedule, plan.pattern, plan.criterion, _followers(plan, offline))


def _one_branch(plan: SparsePlan, online: Layers, offline: Layers | None) -> Sparsifier:
    _second(plan, online, offline)  # all True, and stays so: both encoders keep the same parameters in the same order
    branch = _started(plan, online, plan.initial_density)
    return GMP(branch, plan.schedule, plan.pattern, plan.criterion)


def _set(plan: SparsePlan, online: Layers, offline: Layers | None) -> Sparsifier:
    branch = _started(plan, online, 1 - plan.sparsity)
    return SET(branch, plan.exchanges(plan.exchange), plan.pattern, plan.criterion, _followers(plan, offline))


def _rigl(plan: SparsePlan, online: Layers, offline: Layers | None) -> Sparsifier:
    branch = _started(plan, online, 1 - plan.sparsity)
    return RigL(branch, plan.exchanges(plan.exchange_final), plan.pattern, plan.criterion, _followers(plan, offline))


def _granet(plan: SparsePlan, online: Layers, offline: Layers | None) -> Sparsifier:
    branch = _started(plan, online, plan.initial_density)
    exchange = plan.exchanges(plan.exchange_final)
    return GraNet([branch], [plan.schedule], exchange, plan.pattern, plan.criterion, _followers(plan, offline))


def _sr_ste(plan: SparsePlan, online: Layers, offline: Layers | None) -> Sparsifier:
    branch = MaskedBranch(online, kind=StraightThroughMask, seed=plan.seed)
    return SRSTE(branch, plan.pattern, plan.decay, _followers(plan, offline))


def _scp(plan: SparsePlan, online: Layers, offline: Layers | None) -> Sparsifier:
    second = _second(plan, online, offline)
    first = _started(plan, online, plan.initial_density)
    if (wider := min(1.0, plan.initial_density + plan.gap)) < 1:
        second.start(wider, plan.distribution, find_pattern(plan.pattern))
    exchange = plan.exchanges(plan.exchange_final)
    return SCP(first, second, plan.schedule, exchange, plan.gap, plan.pattern, plan.criterion)


def _second(plan: SparsePlan, online: Layers, offline: Layers | None) -> MaskedBranch:
    if offline is None:
        return MaskedBranch(online, index=1, seed=plan.seed, allocation=plan.allocation)
    return MaskedBranch(offline, seed=plan.seed, allocation=plan.allocation)


METHODS: dict[str, Callable[[SparsePlan, Layers, Layers | None], Sparsifier]] = {
    "gmp": _gmp,
    "one-branch": _one_branch,
    "set": _set,
    "rigl": _rigl,
    "granet": _granet,
    "sr-ste": _sr_ste,
    "scp": _scp,
}


def _started(plan: SparsePlan, layers: Layers, density: float) -> MaskedBranch:
    branch = MaskedBranch(layers, seed=plan.seed, allocation=plan.allocation)
    if density < 1:
        branch.start(density, plan.distribution, find_pattern(plan.pattern))
    return branch


def _followers(plan: SparsePlan, offline: Layers | None) -> list[MaskedBranch]:
    return [] if offline is None else [MaskedBranch(offline, seed=plan.seed)]


def _weights(layers: Layers) -> dict[str, nn.Parameter]:
    return {name: layer.weight for name, layer in layers.items()}  # type: ignore[misc]
