"""The moving average: exact, of the weights in use, and without gradients."""

import copy

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from accelsim.errors import TrainingError
from accelsim.sparsity import apply_masks, current_branch
from accelsim.ssl.momentum import MomentumBranch, follow


def _network() -> nn.Sequential:
    return nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.Flatten(), nn.Linear(4, 2))


@settings(deadline=None, max_examples=20)
@given(momentum=st.floats(0, 1), seed=st.integers(0, 100))
def test_every_weight_moves_by_the_formula(momentum: float, seed: int) -> None:
    torch.manual_seed(seed)
    target, online = _network().double(), _network().double()
    expected = [
        momentum * t.detach().numpy() + (1 - momentum) * o.detach().numpy()
        for t, o in zip(target.parameters(), online.parameters(), strict=True)
    ]
    before = copy.deepcopy(online.state_dict())
    statistics = {name: value.clone() for name, value in target.named_buffers()}
    follow(target, online, momentum)
    for found, wanted in zip(target.parameters(), expected, strict=True):
        np.testing.assert_allclose(found.detach().numpy(), wanted, rtol=1e-14, atol=1e-16)
    assert all(torch.equal(value, before[name]) for name, value in online.state_dict().items())
    assert all(torch.equal(value, statistics[name]) for name, value in target.named_buffers())


@pytest.mark.parametrize("masked", [(True, False), (True, True), (False, True)])
def test_pruned_weights_of_the_online_network_count_as_zero(masked: tuple[bool, bool]) -> None:
    """Whichever of the two has masks, the target's own weights approach what the online network computes with."""
    online = _network()
    target = copy.deepcopy(online)
    start = target[3].weight.detach().clone()
    used = online[3].weight.detach().clone()
    if masked[0]:
        mask = apply_masks({"3": online[3]})["3"].mask
        mask[0] = False
        used[0] = 0
    if masked[1]:
        apply_masks({"3": target[3]})["3"].mask[1] = False
    follow(target, online, 0.75)
    own = target[3].parametrizations.weight.original if masked[1] else target[3].weight
    torch.testing.assert_close(own.detach(), 0.75 * start + 0.25 * used)
    if masked[1]:
        assert (target[3].weight[1] == 0).all()


def test_networks_that_differ_are_refused() -> None:
    for target, online in [(nn.Linear(2, 3), nn.Linear(3, 2)), (nn.Linear(2, 2), nn.Linear(2, 2, bias=False))]:
        with pytest.raises(TrainingError, match="has no counterpart in the online"):
            follow(target, online, 0.5)
    with pytest.raises(TrainingError, match="online encoder's bias has no counterpart"):
        follow(nn.Linear(2, 2, bias=False), nn.Linear(2, 2), 0.5)


def test_a_branch_starts_as_a_copy_and_keeps_no_graph() -> None:
    encoder, projector = nn.Linear(3, 4), nn.Linear(4, 2)
    branch = MomentumBranch(encoder, projector)
    images = torch.randn(5, 3, requires_grad=True)
    out = branch(images)
    assert torch.equal(out, projector(encoder(images)))
    assert not out.requires_grad
    assert not [parameter for parameter in branch.parameters() if parameter.requires_grad]
    assert not {id(p) for p in branch.parameters()} & {id(p) for p in (*encoder.parameters(), *projector.parameters())}


def test_it_runs_as_the_second_branch() -> None:
    class Ask(nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return x + current_branch()

    assert MomentumBranch(Ask(), nn.Identity())(torch.zeros(1)) == 1
    assert current_branch() == 0
