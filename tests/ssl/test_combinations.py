"""Every method with every kind of pattern: it trains to its sparsity, or one sentence says what to give instead."""

import math
from dataclasses import replace

import pytest
import torch
from torch.nn import functional

from accelsim.errors import TrainingError
from accelsim.sparsity import METHODS, find_pattern
from accelsim.sparsity.masks import weight_mask
from accelsim.ssl.config import TrainConfig
from accelsim.ssl.image_set import ImageSet
from accelsim.ssl.training import Training
from tests.ssl.conftest import TINY

SPARSITY = {
    "element": 0.8,
    "channel": 0.5,
    "1x4": 0.8,
    "4x4": 0.8,
    "2:4": 0.5,
    "4:8": 0.5,
    "transposable-2:4": 0.5,
    "transposable-4:8": 0.5,
}
EXCHANGING = ("set", "rigl", "granet", "scp")
N_OF_M = [name for name in SPARSITY if ":" in name]


def _advice(method: str, pattern: str) -> str | None:
    if method == "sr-ste" and pattern not in N_OF_M:
        return "give --pattern 2:4 --sparsity 0.5"
    if method in EXCHANGING and pattern.startswith("transposable"):
        return "use --method gmp, one-branch or sr-ste, or a pattern like 2:4"
    return None


every = pytest.mark.parametrize("pattern", SPARSITY)


@every
@pytest.mark.parametrize("method", METHODS)
def test_it_trains_to_its_sparsity_or_says_what_to_give(method: str, pattern: str, tiny_data: ImageSet) -> None:
    def config() -> TrainConfig:
        some = replace(
            TINY, steps=5, distribution="uniform"
        )  # ERK shares out elements, and small layers have few units
        return replace(some, method=method, pattern=pattern, sparsity=SPARSITY[pattern])

    if (advice := _advice(method, pattern)) is not None:
        with pytest.raises(TrainingError) as refused:
            config()
        assert advice in str(refused.value)
        return
    training = Training(config(), tiny_data)
    for _ in range(5):
        training.advance()
    assert all(map(math.isfinite, training.losses))
    pruned, units, layers = _pruned_units(training, pattern)
    rounding = layers / 2 / units if method in ("set", "rigl") else 0.5 / units  # in each layer, or once
    assert pruned / units == pytest.approx(SPARSITY[pattern] / find_pattern(pattern).removed, abs=rounding + 1e-9)


def _pruned_units(training: Training, pattern: str) -> tuple[int, int, int]:
    """How many of the encoder's units lost what a pruned unit loses, of how many, in how many layers.

    Groups too small to lose any count as pruned.
    """
    pruned = units = layers = 0
    for layer in training.model.encoder.modules():
        if (found := weight_mask(layer)) is None:
            continue
        layers += 1
        mask = found.mask.float()
        if pattern in N_OF_M:
            n, m = map(int, pattern.removeprefix("transposable-").split(":"))
            lines = [mask.movedim(1, -1)] + [mask.movedim(0, -1)] * pattern.startswith("transposable")
            kept = [functional.pad(line, (0, -line.shape[-1] % m)).reshape(-1, m).sum(1) <= n for line in lines]
            pruned, units = pruned + int(torch.cat(kept).sum()), units + sum(map(len, kept))
        else:
            left = find_pattern(pattern).unit_scores(mask) > 0
            pruned, units = pruned + int((~left).sum()), units + left.numel()
    return pruned, units, layers


@every
def test_a_sparsity_out_of_reach_says_the_one_in_reach(pattern: str) -> None:
    if pattern not in N_OF_M:
        assert TrainConfig(pattern=pattern, sparsity=0.99).sparsity == 0.99
        return
    for method in ("gmp", "one-branch", "sr-ste"):
        with pytest.raises(TrainingError, match=r"at most: give --sparsity 0\.5$"):
            TrainConfig(method=method, pattern=pattern)
    with pytest.raises(TrainingError, match=r"from the first step on: give --sparsity 0\.5$"):
        TrainConfig(method="sr-ste", pattern=pattern, sparsity=0.4)
