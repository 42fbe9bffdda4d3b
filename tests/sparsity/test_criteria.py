"""What a weight is worth, computed another way."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from accelsim.errors import TrainingError
from accelsim.sparsity import CRITERIA, MaskedBranch, find_criterion, find_pattern
from accelsim.sparsity.criteria import Evidence


def _evidence(weight: torch.Tensor, **more: torch.Tensor | None) -> Evidence:
    known = {"average": None, "gradient": None, **more}
    return Evidence(weight=weight, generator=torch.Generator().manual_seed(0), **known)  # type: ignore[arg-type]


@settings(deadline=None, max_examples=50)
@given(seed=st.integers(0, 99), zeros=st.booleans())
def test_lamp_is_a_weight_s_share_of_those_not_smaller(seed: int, zeros: bool) -> None:
    torch.manual_seed(seed)
    weight = torch.randn(3, 4, dtype=torch.float64)
    if zeros:
        weight[torch.rand(3, 4) < 0.5] = 0
    scores = CRITERIA["lamp"](_evidence(weight))
    for score, value in zip(scores.flatten(), weight.flatten(), strict=True):
        squares = weight.flatten().square()
        expected = value.square() / squares[squares >= value.square()].sum() if value else torch.zeros(())
        assert score.item() == pytest.approx(expected.item())


def test_magnitudes_and_random() -> None:
    weight, gradient, average = torch.randn(3, 2, 5)
    known = _evidence(weight, gradient=gradient, average=average)
    assert torch.equal(CRITERIA["magnitude"](known), weight.abs())
    assert torch.equal(CRITERIA["gradient"](known), gradient.abs())
    assert torch.equal(CRITERIA["ema-magnitude"](known), average)
    one, other = (MaskedBranch({"a": nn.Linear(4, 4), "b": nn.Linear(4, 4)}, seed=seed) for seed in (0, 1))
    first = one.scores(CRITERIA["random"], step=3)
    assert all(torch.equal(a, b) for a, b in zip(first, one.scores(CRITERIA["random"], step=3), strict=True))
    for others in (one.scores(CRITERIA["random"], step=4), other.scores(CRITERIA["random"], step=3), first[::-1]):
        assert not any(torch.equal(a, b) for a, b in zip(first, others, strict=True))


def test_the_average_follows_with_a_hundredth_a_step() -> None:
    layer = nn.Linear(3, 2)
    branch = MaskedBranch({"a": layer})
    expected = layer.weight.detach().abs().clone()
    branch.keep_average()
    for _ in range(4):
        with torch.no_grad():
            layer.parametrizations.weight.original.add_(0.7)  # type: ignore[union-attr]
        branch.keep_average()
        expected = 0.99 * expected + 0.01 * layer.weight.detach().abs()
    torch.testing.assert_close(branch.scores(CRITERIA["ema-magnitude"], 0)[0], expected)


def test_a_transposed_convolution_is_cut_by_its_own_input_channels() -> None:
    layer = nn.ConvTranspose2d(8, 3, 2)
    branch = MaskedBranch({"a": layer})
    branch.prune(0.5, find_pattern("2:4"), CRITERIA["magnitude"], 0)
    (mask,) = branch.masks.values()
    assert (mask.reshape(2, 4, 3, 2, 2).sum(1) == 2).all()


def test_missing_evidence_and_unknown_criteria_are_refused() -> None:
    for name, said in (("gradient", "dense gradients"), ("ema-magnitude", "average")):
        with pytest.raises(TrainingError, match=said):
            CRITERIA[name](_evidence(torch.ones(1)))
    with pytest.raises(TrainingError, match="criterion 'big', expected one of magnitude"):
        find_criterion("big")
