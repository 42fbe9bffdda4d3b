"""What a training run is: every choice that changes its numbers, checked, with the command that repeats it."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass

from accelsim.errors import TrainingError
from accelsim.sparsity import METHODS, SparsePlan
from accelsim.ssl.frameworks import FRAMEWORKS
from accelsim.ssl.optimizers import check_optimizer

_LONGEST_QUEUE = 1 << 20  # sixteen times the published one


@dataclass(frozen=True)
class TrainConfig:
    """Every choice that changes a run's numbers; field names are the options of `accelsim train`.

    Attributes:
        framework: key of `frameworks.FRAMEWORKS`.
        arch, width, stem: the encoder, see `encoders.build_encoder`.
        data: see `data.load_data`.
        steps: optimiser steps.
        batch: images a step; each is seen in two views.
        sparsity: share of the sparse layers' weights that is zero in the end, [0, 1); 0 trains dense, without masks.
        method: key of `sparsity.METHODS`.
        pattern: see `sparsity.find_pattern`.
        criterion: key of `sparsity.CRITERIA`.
        prune_start, prune_end: shares of the run at which the cubic ramp, or the exchange of weights, starts and ends.
        prune_every: steps between two mask updates.
        gate_channels: output channels that share a gate (contrastive dual gating), see `sparsity.apply_gates`; 1 gates
            every output for itself, 0 gates nothing.
        gate_threshold, second_gate_threshold: where the thresholds of the two branches start.
        gate_penalty, gate_target: how strongly thresholds are drawn to which value, see `sparsity.gate_penalty`; 0 does
            not draw them.
        initial_density, distribution, allocation, exchange, exchange_final, gap: of some methods, see
            `sparsity.SparsePlan`.
        gradient_sparsity: share of the gradients at the outputs of the encoder's layers (all but the first convolution)
            that lie below the threshold of stochastic pruning, see `sparsity.prune_gradient`: fewer become zero. 0
            prunes none.
        optimizer: one of `optimizers.OPTIMIZERS`.
        learning_rate, weight_decay: the optimiser's; the learning rate falls to 0 along half a cosine.
        temperature: SimCLR's and MoCo's; 0.2 separates the few images of a small batch better than 0.5.
        momentum: of MoCo's key encoder, and of BYOL's target at the first step; published values (0.999, 0.996) are for
            runs hundreds of times as long.
        queue: keys in MoCo's queue.
        knn_images: most images of the bank and of the held-out set in the k-NN evaluation.
        seed: of weights, data order and augmentation.
        threads: of PyTorch; part of the numbers because sums are split among threads.

    Raises:
        TrainingError: a value that cannot be used; names the field.
    """

    framework: str = "simclr"
    arch: str = "resnet18"
    width: int = 16
    stem: str = "cifar"
    data: str = "photos"
    steps: int = 400
    batch: int = 32
    sparsity: float = 0.8
    method: str = "gmp"
    pattern: str = "element"
    criterion: str = "magnitude"
    prune_start: float = 0.1
    prune_end: float = 0.75
    prune_every: int = 10
    initial_density: float = 1.0
    distribution: str = "erk"
    allocation: str = "global"
    exchange: float = 0.3
    exchange_final: float = 0.0
    gap: float = 0.3
    gate_channels: int = 0
    gate_threshold: float = 0.0
    second_gate_threshold: float = 0.0
    gate_penalty: float = 0.0
    gate_target: float = 1.0
    gradient_sparsity: float = 0.0
    optimizer: str = "adamw"
    learning_rate: float = 1e-3
    weight_decay: float = 1e-4
    temperature: float = 0.2
    momentum: float = 0.99
    queue: int = 4096
    knn_images: int = 2000
    seed: int = 0
    threads: int = 1

    def __post_init__(self) -> None:
        if self.framework not in FRAMEWORKS:
            raise TrainingError(f"unknown framework {self.framework!r}, expected one of {', '.join(FRAMEWORKS)}")
        check_optimizer(self.optimizer)
        for name, least in (("steps", 1), ("batch", 2), ("prune_every", 1), ("knn_images", 1), ("threads", 1)):
            if getattr(self, name) < least:
                raise TrainingError(f"{name} is {getattr(self, name)}, expected at least {least}")
        for name in ("learning_rate", "temperature"):
            if not getattr(self, name) > 0:
                raise TrainingError(f"{name} is {getattr(self, name)}, expected a number above 0")
        if not 0 <= self.momentum <= 1:
            raise TrainingError(f"momentum is {self.momentum}, expected 0 to 1")
        if not 1 <= self.queue <= _LONGEST_QUEUE:
            raise TrainingError(f"queue is {self.queue}, expected 1 to {_LONGEST_QUEUE} keys")
        if not self.weight_decay >= 0:
            raise TrainingError(f"weight_decay is {self.weight_decay}, expected at least 0")
        if not 0 <= self.seed < 2**32:
            raise TrainingError(f"seed is {self.seed}, expected 0 to {2**32 - 1}")
        self._check_sparsity()

    def _check_sparsity(self) -> None:
        if self.method not in METHODS:
            raise TrainingError(f"unknown sparse method {self.method!r}, expected one of {', '.join(METHODS)}")
        if not 0 <= self.sparsity < 1:
            raise TrainingError(f"sparsity is {self.sparsity}, expected a share of zeros from 0 to below 1")
        if not 0 <= self.prune_start < self.prune_end <= 1:
            raise TrainingError(
                f"pruning runs from {self.prune_start} to {self.prune_end} of the steps,"
                f" expected 0 <= prune_start < prune_end <= 1"
            )
        if self.gate_channels < 0:
            raise TrainingError(
                f"gate_channels is {self.gate_channels}, expected the channels of a gate, or 0 for none"
            )
        if not 0 <= self.gate_penalty < math.inf:
            raise TrainingError(f"gate_penalty is {self.gate_penalty}, expected at least 0")
        for name in ("gate_threshold", "second_gate_threshold", "gate_target"):
            if not math.isfinite(getattr(self, name)):
                raise TrainingError(f"{name} is {getattr(self, name)}, expected a number")
        if not 0 <= self.gradient_sparsity < 1:
            raise TrainingError(f"gradient_sparsity is {self.gradient_sparsity}, expected a share from 0 to below 1")
        if not 0 <= self.gap < 1:
            raise TrainingError(f"gap is {self.gap}, expected 0 to below 1")
        if (plan := self.sparse_plan) is not None:
            _ = (
                plan.schedule,
                plan.exchanges(plan.exchange),
                plan.exchanges(plan.exchange_final),
            )  # they check themselves

    @property
    def sparse_plan(self) -> SparsePlan | None:
        """The sparse method in steps, None for a dense run.

        The ramp ends in the last step at the latest, but needs two steps.
        """
        if not self.sparsity:
            return None
        end = max(1, min(int(self.prune_end * self.steps), self.steps - 1))
        return SparsePlan(
            method=self.method,
            sparsity=self.sparsity,
            pattern=self.pattern,
            criterion=self.criterion,
            start=min(int(self.prune_start * self.steps), end - 1),
            end=end,
            every=self.prune_every,
            initial_density=self.initial_density,
            distribution=self.distribution,
            allocation=self.allocation,
            exchange=self.exchange,
            exchange_final=self.exchange_final,
            gap=self.gap,
            seed=self.seed,
        )

    @property
    def options(self) -> list[str]:
        """The options of `accelsim train` that repeat the run, without where it writes and what it records."""
        return [part for name, value in asdict(self).items() for part in (option(name), str(value))]

    def learning_rate_at(self, step: int) -> float:
        """Learning rate of a step: half a cosine from `learning_rate` at the first step towards 0 behind the last."""
        return self.learning_rate * (1 + math.cos(math.pi * step / self.steps)) / 2


def option(field_name: str) -> str:
    """Return the command-line option of a field."""
    return "--" + field_name.replace("_", "-")
