"""What a training run is: every choice that changes its numbers, checked, with the command that repeats it.

PyTorch is imported when a configuration is made, not before: the command line reads its options from the fields.
"""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass, field, fields
from typing import TYPE_CHECKING, TypeVar

from accelsim.errors import TrainingError

if TYPE_CHECKING:
    from accelsim.sparsity import SparsePlan

_LONGEST_QUEUE = 1 << 20  # sixteen times the published one
Value = TypeVar("Value", str, int, float)


def _setting(default: Value, help: str) -> Value:
    """Return a field with the help of its option."""
    return field(default=default, metadata={"help": help})


@dataclass(frozen=True)
class TrainConfig:
    """Every choice that changes a run's numbers; its fields are the options of `accelsim train`, each with its help.

    More is told by `encoders.build_encoder` (arch, width, stem), `data.load_data` (data), `sparsity.find_pattern`,
    `sparsity.SparsePlan` (method to gap), `sparsity.apply_gates` and `sparsity.gate_penalty` (gates), and
    `sparsity.prune_gradient` (gradient_sparsity: of all of the encoder's layers but the first convolution; fewer
    gradients become zero than lie below the threshold).

    Raises:
        TrainingError: a value that cannot be used; names the field.
    """

    framework: str = _setting("simclr", "simclr, moco, byol, simsiam, barlow or vicreg.")
    arch: str = _setting("resnet18", "Encoder: resnet18, resnet34 or resnet50.")
    width: int = _setting(16, "Channels of the encoder's first stage; 64 as published.")
    stem: str = _setting("cifar", "cifar (3x3, stride 1) or imagenet (7x7, stride 2, max pooling).")
    data: str = _setting("photos", "photos, or cifar10:DIR in CIFAR-10's binary layout.")
    steps: int = _setting(400, "Optimiser steps.")
    batch: int = _setting(32, "Images a step, each in two views.")
    sparsity: float = _setting(0.8, "Share of pruned weights in the end; 0 trains dense.")
    method: str = _setting("gmp", "Sparse method: gmp, one-branch, set, rigl, granet, sr-ste or scp.")
    pattern: str = _setting(
        "element", "Weights pruned together: element, channel, 2:4, transposable-2:4, 1x4, 8x8, ..."
    )
    criterion: str = _setting("magnitude", "Which weights stay: magnitude, ema-magnitude, gradient, random or lamp.")
    prune_start: float = _setting(0.1, "Share of the run at which pruning starts.")
    prune_end: float = _setting(0.75, "Share of the run at which the sparsity is reached.")
    prune_every: int = _setting(10, "Steps between two mask updates.")
    initial_density: float = _setting(1.0, "Share of weights at the start, chosen at random.")
    distribution: str = _setting("erk", "Of a random start among layers: erk or uniform.")
    allocation: str = _setting("global", "Of the sparsity among layers: global (one ranking), erk or uniform.")
    exchange: float = _setting(0.3, "Share of living weights exchanged by an update at first.")
    exchange_final: float = _setting(0.0, "The same in the end.")
    gap: float = _setting(0.3, "How much less sparse scp keeps the offline branch.")
    gate_channels: int = _setting(0, "Output channels that share a gate; 0: no gates.")
    gate_threshold: float = _setting(0.0, "Where the gates' thresholds start, in deviations.")
    second_gate_threshold: float = _setting(0.0, "The same for the second branch.")
    gate_penalty: float = _setting(0.0, "How strongly thresholds are drawn to --gate-target; 0: not at all.")
    gate_target: float = _setting(1.0, "Threshold that --gate-penalty draws to.")
    gradient_sparsity: float = _setting(
        0.0, "Share of output gradients below stochastic pruning's threshold; 0: none pruned."
    )
    optimizer: str = _setting("adamw", "adamw, or sgd with momentum 0.9.")
    learning_rate: float = _setting(1e-3, "Of the first step; falls to 0 along half a cosine.")
    weight_decay: float = _setting(1e-4, "The optimiser's.")
    temperature: float = _setting(
        0.2, "Of SimCLR's and MoCo's loss."
    )  # 0.2 separates the few images of a small batch better than 0.5
    momentum: float = _setting(
        0.99, "Of MoCo's key encoder; of BYOL's target at the start."
    )  # published: 0.999 and 0.996, for runs hundreds of times as long
    queue: int = _setting(4096, "Keys in MoCo's queue.")
    knn_images: int = _setting(2000, "Most images of bank and held-out set in the evaluation.")
    seed: int = _setting(0, "Of weights, data order and views.")
    threads: int = _setting(1, "Of PyTorch.")  # part of the numbers, as sums are split among threads

    def __post_init__(self) -> None:
        from accelsim.ssl.frameworks import FRAMEWORKS
        from accelsim.ssl.optimizers import check_optimizer

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
        from accelsim.sparsity import METHODS

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
        from accelsim.sparsity import SparsePlan

        if not self.sparsity:
            return None
        end = max(1, min(int(self.prune_end * self.steps), self.steps - 1))
        own = asdict(self)
        return SparsePlan(
            **{part.name: own[part.name] for part in fields(SparsePlan) if part.name in own},
            start=min(int(self.prune_start * self.steps), end - 1),
            end=end,
            every=self.prune_every,
        )

    @property
    def options(self) -> list[str]:
        """The options of `accelsim train` that repeat the run, without where it writes and what it records."""
        return [part for name, value in asdict(self).items() for part in (option(name), str(value))]

    def learning_rate_at(self, step: int) -> float:
        """Learning rate of a step: half a cosine from `learning_rate` at the first step towards 0 after the last."""
        return self.learning_rate * (1 + math.cos(math.pi * step / self.steps)) / 2


def option(field_name: str) -> str:
    """Return the command-line option of a field."""
    return "--" + field_name.replace("_", "-")
