"""The sparse layers of one encoder as one branch computes with them: judged, pruned and regrown together."""

from __future__ import annotations

from collections.abc import Mapping
from typing import cast

import numpy as np
import torch
from torch import Tensor, nn

from accelsim.errors import TrainingError
from accelsim.sparsity.branch import BranchIndex
from accelsim.sparsity.criteria import Criterion, Evidence, words_read
from accelsim.sparsity.densities import DENSITIES
from accelsim.sparsity.masks import WeightMask, apply_masks
from accelsim.sparsity.patterns import Pattern
from accelsim.tracing.annotations import Selection, is_heard, note_growth_step, note_selection

TRANSPOSED = (nn.ConvTranspose1d, nn.ConvTranspose2d, nn.ConvTranspose3d)
EMA = 0.99
PRUNED = -1.0
"""Score of what is pruned already: below every criterion's, so it stays pruned while sparsity rises."""


class MaskedBranch:
    """One branch's masks over a set of layers; patterns always see a weight as [C_out, C_in, ...].

    Args:
        layers: name to layer, as `sparse_layers` returns; masks are put on them.
        index: 1 gives the second branch of a shared encoder masks of its own.
        kind: the masks' parametrisation.
        seed: of random scores and random starts.
        allocation: how `prune` shares sparsity among layers: "global" ranks the units of all layers together, a key of
            `DENSITIES` gives each layer its own share and ranks inside.

    Raises:
        TrainingError: no layer, or an unknown allocation.
    """

    def __init__(
        self,
        layers: Mapping[str, nn.Module],
        index: BranchIndex = 0,
        kind: type[WeightMask] = WeightMask,
        seed: int = 0,
        allocation: str = "global",
    ) -> None:
        if not layers:
            raise TrainingError("no layer to prune was given")
        check_allocation(allocation)
        self.layers, self.index, self.seed, self.allocation = dict(layers), index, seed, allocation
        self.parts = apply_masks(layers, second=index == 1, kind=kind)

    @property
    def masks(self) -> dict[str, Tensor]:
        """Layer name to the mask itself, bool in the weight's shape."""
        return {name: part.of(self.index) for name, part in self.parts.items()}

    @property
    def stored(self) -> dict[str, Tensor]:
        """Layer name to the dense weight behind the mask, the optimiser's parameter, detached."""
        return {
            name: cast(Tensor, cast(nn.ModuleDict, layer.parametrizations)["weight"].original).detach()
            for name, layer in self.layers.items()
        }

    @property
    def sparsity(self) -> float:
        """Share of zeros over all layers."""
        masks = self.masks.values()
        return 1 - sum(int(mask.sum()) for mask in masks) / sum(mask.numel() for mask in masks)

    def copy_masks(self, other: MaskedBranch) -> None:
        """Take over the masks of a branch with the same layers."""
        for mine, theirs in zip(self.masks.values(), other.masks.values(), strict=True):
            mine.copy_(theirs)

    def keep_average(self) -> None:
        """Take the magnitudes into the moving averages (0.99); the first time, start these with them."""
        stored = self.stored
        for name, part in self.parts.items():
            size = stored[name].abs()
            if part.average is None:
                part.average = size
            else:
                part.average.lerp_(size, 1 - EMA)

    def want_gradients(self) -> None:
        """Have the next backward keep dense gradients, and tell a tracer so.

        Raises:
            TrainingError: those kept the last time were never taken.
        """
        if any(part.dense_gradients and part.dense_gradient is not None for part in self.parts.values()):
            raise TrainingError(
                "the dense gradients of an earlier step were never used: call after_backward behind every"
                " loss.backward()"
            )
        for part in self.parts.values():
            part.dense_gradients, part.dense_gradient = True, None
        note_growth_step()

    def take_gradients(self) -> dict[str, Tensor]:
        """Return the dense gradients of the backward since `want_gradients` and keep no more.

        A layer that had no part in the loss gets zeros.

        Raises:
            TrainingError: no layer had a backward.
        """
        if all(part.dense_gradient is None for part in self.parts.values()):
            raise TrainingError(
                "no gradient reached a sparse layer in a step that grows weights by gradient: call before_step ahead of"
                " the forward pass and after_backward behind loss.backward()"
            )
        found: dict[str, Tensor] = {}
        for name, part in self.parts.items():
            gradient = part.dense_gradient
            found[name] = torch.zeros_like(part.mask, dtype=torch.float32) if gradient is None else gradient
            part.dense_gradients, part.dense_gradient = False, None
        return found

    def scores(self, criterion: Criterion, step: int, gradients: Mapping[str, Tensor] | None = None) -> list[Tensor]:
        """Judge all weights, [C_out, C_in, ...] a layer, whether pruned or not.

        Args:
            criterion: what a weight is worth.
            step: makes random scores differ from step to step.
            gradients: dense gradients by layer, where there are any.
        """
        stored = self.stored
        return [
            self._output_first(
                name,
                criterion(
                    Evidence(
                        weight=stored[name] * part.of(self.index),
                        average=part.average,
                        gradient=None if gradients is None else gradients[name],
                        generator=_generator(self.seed, self.index, step, position),
                    )
                ),
            )
            for position, (name, part) in enumerate(self.parts.items())
        ]

    def prune(
        self,
        sparsity: float,
        pattern: Pattern,
        criterion: Criterion,
        step: int,
        gradients: Mapping[str, Tensor] | None = None,
    ) -> None:
        """Prune exactly round(sparsity / pattern.removed * units) units, the least worthy.

        The units are those of all layers together, or of each layer by itself if `allocation` gives layers shares. What
        is pruned stays so before anything else goes; equal scores are cut by position, so the count is exact.
        Where more was pruned before (a random start rounds in each layer), the difference comes back.

        Raises:
            TrainingError: a share outside [0, 1], or more than the pattern can remove.
        """
        share = _share_of_units(sparsity, pattern)
        before = self._heard_masks()
        scores = [
            score.masked_fill(~mask, PRUNED)
            for score, mask in zip(self.scores(criterion, step, gradients), self._masks_output_first(), strict=True)
        ]
        units = [pattern.unit_scores(score) for score in scores]
        if self.allocation == "global":
            parts = list(torch.split(_best(torch.cat(units), share), [unit.numel() for unit in units]))
        else:
            densities = self._densities(self.allocation, 1 - sparsity, pattern)
            parts = [
                _best(unit, _share_of_units(1 - densities[name], pattern))
                for name, unit in zip(self.layers, units, strict=True)
            ]
        for mask, whole, score in zip(self._masks_output_first(), parts, scores, strict=True):
            mask.copy_(pattern.element_mask(whole, score))
        living = sum(int(mask.sum()) for mask in before)  # what is pruned stays so unread
        self._tell(before, living, living * words_read(criterion))

    def start(self, density: float, distribution: str, pattern: Pattern) -> None:
        """Prune at random, in each layer exactly round((1 - its density) / pattern.removed * units) units.

        Both branches of a run draw the same numbers, so the sparser one's masks lie inside the other's.

        Args:
            density: of all layers together.
            distribution: key of `DENSITIES`, how the layers share it.
            pattern: whose units are drawn.

        Raises:
            TrainingError: a density outside (0, 1], or below what the pattern can leave.
        """
        generator = _generator(self.seed)
        densities = self._densities(distribution, density, pattern)
        for name, mask in zip(self.layers, self._masks_output_first(), strict=True):
            share = _share_of_units(1 - densities[name], pattern)
            scores = torch.rand(mask.shape, generator=generator).to(mask.device)
            units = pattern.units(scores.shape)
            kept = torch.zeros(units, dtype=torch.bool, device=mask.device)
            kept[torch.randperm(units, generator=generator)[: units - round(share * units)].to(mask.device)] = True
            mask.copy_(pattern.element_mask(kept, scores))

    def regrow(
        self,
        share: float,
        pattern: Pattern,
        criterion: Criterion,
        growth: Criterion,
        step: int,
        gradients: Mapping[str, Tensor] | None = None,
    ) -> None:
        """Exchange a share of the living weights in each layer: by `criterion` they go, by `growth` others come."""
        before = self._heard_masks()
        worth, gain = self.scores(criterion, step, gradients), self.scores(growth, step, gradients)
        for mask, old, new in zip(self._masks_output_first(), worth, gain, strict=True):
            mask.copy_(pattern.regrow(mask.clone(), old, new, share))
        living = [int(mask.sum()) for mask in before]
        dead = sum(mask.numel() for mask in before) - sum(living) + sum(int(share * number) for number in living)
        words = sum(living) * words_read(criterion) + dead * words_read(growth)
        self._tell(before, sum(living) + dead, words)

    def choose(self, pattern: Pattern) -> None:
        """Thin out every unit by the magnitude of the dense weights behind the masks (top N of M, afresh)."""
        before = self._heard_masks()
        for mask, (name, weight) in zip(self._masks_output_first(), self.stored.items(), strict=True):
            scores = self._output_first(name, weight.abs())
            kept = torch.zeros(pattern.units(scores.shape), dtype=torch.bool, device=scores.device)
            mask.copy_(pattern.element_mask(kept, scores))
        every = sum(mask.numel() for mask in before)
        self._tell(before, every, every)

    def _heard_masks(self) -> list[Tensor]:
        """Copies of the masks ahead of a selection, none if nobody will hear of it."""
        return [mask.clone() for mask in self.masks.values()] if is_heard() else []

    def _tell(self, before: list[Tensor], judged: int, words: int) -> None:
        """Tell a tracer of a selection, given the masks before it."""
        if not before:
            return
        pairs = list(zip(before, self.masks.values(), strict=True))
        note_selection(
            Selection(
                judged=judged,
                words_read=words,
                mask_bits=sum(old.numel() for old in before),
                pruned=sum(int((old & ~new).sum()) for old, new in pairs),
                grown=sum(int((new & ~old).sum()) for old, new in pairs),
            )
        )

    def _densities(self, distribution: str, density: float, pattern: Pattern) -> dict[str, float]:
        shapes = {name: tuple(mask.shape) for name, mask in self.masks.items()}
        return DENSITIES[distribution](shapes, density, 1 - pattern.removed)

    def _masks_output_first(self) -> list[Tensor]:
        return [self._output_first(name, mask) for name, mask in self.masks.items()]

    def _output_first(self, name: str, tensor: Tensor) -> Tensor:
        return tensor.transpose(0, 1) if isinstance(self.layers[name], TRANSPOSED) else tensor


def check_allocation(allocation: str) -> None:
    """Check the name of an allocation.

    Raises:
        TrainingError: neither "global" nor a key of `DENSITIES`.
    """
    if allocation != "global" and allocation not in DENSITIES:
        raise TrainingError(f"unknown allocation {allocation!r}, expected one of global, {', '.join(DENSITIES)}")


def _best(units: Tensor, share: float) -> Tensor:
    """All but the share of the lowest scores, bool [units]."""
    kept = torch.zeros(units.numel(), dtype=torch.bool, device=units.device)
    kept[units.topk(units.numel() - round(share * units.numel()), sorted=False).indices] = True
    return kept


def _share_of_units(sparsity: float, pattern: Pattern) -> float:
    if not 0 <= sparsity <= 1:
        raise TrainingError(f"cannot prune a share of {sparsity} of the weights, expected 0 to 1")
    if sparsity > pattern.removed + 1e-9:
        raise TrainingError(
            f"cannot prune a share of {sparsity} of the weights: this pattern removes {pattern.removed:.4g} at most"
        )
    return min(sparsity / pattern.removed, 1.0)


def _generator(*numbers: int) -> torch.Generator:
    state = np.random.SeedSequence(numbers).generate_state(1, np.uint64)
    return torch.Generator().manual_seed(int(state[0]) >> 1)
