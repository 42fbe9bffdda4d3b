"""One run in memory: model, optimiser, masks and the step, advanced one optimiser step at a time."""

from __future__ import annotations

import math
from dataclasses import asdict, astuple

import numpy as np
import torch

from accelsim.errors import TrainingError
from accelsim.sparsity import (
    MaskUpdate,
    Sparsifier,
    apply_gates,
    build_sparsifier,
    gate_penalty,
    prune_output_gradients,
    sparse_layers,
    total_sparsity,
)
from accelsim.ssl.augment import Augmentation
from accelsim.ssl.checkpoint import VERSION, Checkpoint
from accelsim.ssl.config import TrainConfig
from accelsim.ssl.encoders import build_encoder
from accelsim.ssl.evaluate import Features, extract
from accelsim.ssl.flops import StepFlops, count_flops
from accelsim.ssl.frameworks import FRAMEWORKS
from accelsim.ssl.image_set import ImageSet
from accelsim.ssl.optimizers import build_optimizer
from accelsim.ssl.ranks import average, average_gradients, share
from accelsim.tracing.ranks import rank_and_size

_ORDER, _VIEWS = range(2)  # streams of random numbers


class Training:
    """A run between two steps.

    Every random number of step t follows from (seed, t), so a run resumed from a checkpoint sees the same batches and
    views as one that never stopped. Making one seeds PyTorch's global generator and sets its number of threads.

    Args:
        config: the run.
        data: its images.

    Attributes:
        model: the framework, with masks on the encoder's sparse layers (projector, norms, first convolution dense).
        step: optimiser steps done.
        sparsifier: the sparse method, None in a dense run.
        initial_sparsity: before the first step, where masks start at random.
        losses: of every step done.
        flops: of all steps done.
        pruned_gradients: counts of what stochastic pruning left of them in all steps done, None without it.
        untrained_knn: k-NN accuracy of the encoder before the first step.

    Raises:
        TrainingError: a batch larger than the data, or one that several processes cannot share.
    """

    def __init__(self, config: TrainConfig, data: ImageSet) -> None:
        if config.batch > len(data.train):
            raise TrainingError(f"batch is {config.batch}, but {data.name} has {len(data.train)} training images")
        _, processes = rank_and_size()
        if config.batch % processes or config.batch // processes < 2:
            raise TrainingError(
                f"batch is {config.batch}, but {processes} processes share it: make it a multiple of {processes}, at"
                f" least {2 * processes}"
            )
        torch.set_num_threads(config.threads)
        torch.manual_seed(config.seed)
        self.config, self.data = config, data
        encoder = build_encoder(config.arch, config.width, config.stem)
        if config.gate_channels:  # before the momentum encoder is copied and masks are put on
            thresholds = config.gate_threshold, config.second_gate_threshold
            apply_gates(encoder, thresholds=thresholds, channels=config.gate_channels)
        self.model = FRAMEWORKS[config.framework](encoder, config)
        self.sparsifier: Sparsifier | None = None
        if (plan := config.sparse_plan) is not None:
            follower = self.model.momentum_encoder
            offline = None if follower is None else sparse_layers(follower)
            self.sparsifier = build_sparsifier(plan, sparse_layers(encoder), offline)
        self.pruned_gradients = None
        if share_below := config.gradient_sparsity:
            self.pruned_gradients = prune_output_gradients(sparse_layers(encoder).values(), share_below)
        self.initial_sparsity = self.sparsity
        self.optimizer = build_optimizer(self.model, config.optimizer, config.learning_rate, config.weight_decay)
        self.augment = Augmentation()
        self.step = 0
        self.losses: list[float] = []
        self.flops = StepFlops()
        self.untrained_knn = math.nan

    def advance(self) -> float:
        """Do one step and return its loss, without the gates' penalty.

        Raises:
            TrainingError: the loss is not finite.
        """
        config = self.config
        if self.sparsifier is not None:
            self.sparsifier.before_step(self.step)
        for group in self.optimizer.param_groups:
            group["lr"] = config.learning_rate_at(self.step)
        images = self.data.train[self._batch()]
        generator = _generator(config.seed, _VIEWS, self.step)
        self.model.train()
        first, second = self.augment(images, generator), self.augment(images, generator)
        with count_flops(self.model) as flops:
            loss = self.model.loss(share(first), share(second))
        if not math.isfinite(value := average(loss.item())):
            raise TrainingError(
                f"the loss is {value} at step {self.step}: try a learning_rate below {config.learning_rate}"
            )
        self.optimizer.zero_grad()
        if config.gate_channels and config.gate_penalty:
            loss = loss + config.gate_penalty * gate_penalty(self.model.encoder, config.gate_target)
        torch.autograd.backward(loss)
        average_gradients(self.model)
        if self.sparsifier is not None:
            self.sparsifier.after_backward(self.step)
        self.optimizer.step()
        self.model.after_step(self.step, config.steps)
        self.flops += flops
        self.step += 1
        self.losses.append(value)
        return value

    def features(self) -> Features:
        """Return the encoder's features of training and held-out images, which its accuracy comes from."""
        return extract(self.model.encoder, self.data, self.config.knn_images)

    @property
    def sparsity(self) -> float:
        """Share of zeros among the weights of the encoder's sparse layers."""
        return total_sparsity(self.model.encoder)

    @property
    def mask_updates(self) -> list[MaskUpdate]:
        """What every update of the masks did so far."""
        return [] if self.sparsifier is None else self.sparsifier.log

    @property
    def sparsities(self) -> list[float]:
        """The encoder's sparsity after every step done."""
        updates = {update.step: update.sparsity[0] for update in self.mask_updates}
        now, history = self.initial_sparsity, []
        for step in range(self.step):
            now = updates.get(step, now)
            history.append(now)
        return history

    def state(self) -> Checkpoint:
        """Return everything needed to go on from here."""
        return {
            "version": VERSION,
            "config": asdict(self.config),
            "step": self.step,
            "losses": torch.tensor(self.losses, dtype=torch.float64),
            "mask_updates": [astuple(update) for update in self.mask_updates],
            "flops": (self.flops.dense, self.flops.masked),
            "pruned_gradients": (pruned.elements, pruned.nonzeros) if (pruned := self.pruned_gradients) else (0, 0),
            "untrained_knn": self.untrained_knn,
            "model": self.model.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "rng": torch.get_rng_state(),
        }

    def load_state(self, state: Checkpoint) -> None:
        """Go on from a checkpoint.

        Raises:
            TrainingError: the checkpoint belongs to another configuration (names the first option that differs) or to
            another version of the model.
        """
        theirs, ours = state["config"], asdict(self.config)
        for name in ours | theirs:
            if theirs.get(name) != ours.get(name):
                raise TrainingError(
                    f"the run to resume has {name} {theirs.get(name)}, not {ours.get(name)}: a run goes on with the"
                    f" options it was started with"
                )
        try:
            self.model.load_state_dict(state["model"])
            self.optimizer.load_state_dict(state["optimizer"])
        except (RuntimeError, ValueError, KeyError) as error:
            reason = str(error).splitlines()[0]
            raise TrainingError(f"the run to resume holds another model or optimiser ({reason}): start anew") from None
        torch.set_rng_state(state["rng"])
        self.step, self.losses = state["step"], state["losses"].tolist()
        self.flops = StepFlops(*state["flops"])
        if self.pruned_gradients is not None:
            self.pruned_gradients.elements, self.pruned_gradients.nonzeros = state["pruned_gradients"]
        self.mask_updates[:] = [MaskUpdate(*fields) for fields in state["mask_updates"]]
        self.untrained_knn = state["untrained_knn"]

    def _batch(self) -> torch.Tensor:
        """Indices of this step's images, int64 [batch]; every epoch has its own order, its remainder is left out."""
        epoch, position = divmod(self.step, len(self.data.train) // self.config.batch)
        order = torch.randperm(len(self.data.train), generator=_generator(self.config.seed, _ORDER, epoch))
        return order[position * self.config.batch :][: self.config.batch]


def _generator(seed: int, stream: int, index: int) -> torch.Generator:
    state = np.random.SeedSequence((seed, stream, index)).generate_state(1, np.uint64)
    return torch.Generator().manual_seed(int(state[0]) >> 1)
