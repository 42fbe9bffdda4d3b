"""Optimisers: what decays, SGD's rule by hand, and runs that go on bit for bit with either."""

import copy
from dataclasses import replace

import pytest
import torch
from torch import nn

from accelsim.errors import TrainingError
from accelsim.sparsity import apply_gates
from accelsim.ssl.image_set import ImageSet
from accelsim.ssl.optimizers import OPTIMIZERS, build_optimizer
from accelsim.ssl.training import Training
from tests.ssl.conftest import TINY


def test_sgd_is_momentum_of_0_9_and_an_l2_penalty() -> None:
    layer = nn.Linear(1, 1, bias=False, dtype=torch.float64)
    weight, velocity = layer.weight.item(), 0.0
    optimizer = build_optimizer(layer, "sgd", 0.1, 0.5)
    for gradient in (1.0, -2.0, 0.5):
        layer.weight.grad = torch.full((1, 1), gradient, dtype=torch.float64)
        optimizer.step()
        velocity = 0.9 * velocity + gradient + 0.5 * weight
        weight -= 0.1 * velocity
        assert layer.weight.item() == pytest.approx(weight)


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_thresholds_of_gates_do_not_decay_and_frozen_parameters_are_left_out(name: str) -> None:
    model = nn.Sequential(nn.Conv2d(3, 4, 1), nn.Conv2d(4, 4, 1), nn.Conv2d(4, 2, 1).requires_grad_(False))
    (gate, _) = apply_gates(model, thresholds=(1.0, 1.0)).values()
    model[2].requires_grad_(False)
    for parameter in model.parameters():
        parameter.grad = torch.zeros_like(parameter) if parameter.requires_grad else None
    before = copy.deepcopy(model.state_dict())
    optimizer = build_optimizer(model, name, 0.1, 0.5)
    optimizer.step()
    after = model.state_dict()
    assert torch.equal(gate.threshold, torch.ones(2, 4))
    assert torch.allclose(after["0.weight"], 0.95 * before["0.weight"])
    assert torch.allclose(after["1.base.weight"], 0.95 * before["1.base.weight"])
    assert torch.equal(after["2.base.weight"], before["2.base.weight"])
    assert sum(len(group["params"]) for group in optimizer.param_groups) == 6


@pytest.mark.parametrize("name", OPTIMIZERS)
@pytest.mark.parametrize("gates", [0, 1])
def test_a_resumed_run_goes_on_bit_for_bit(name: str, gates: int, tiny_data: ImageSet) -> None:
    config = replace(TINY, optimizer=name, learning_rate=0.03, width=4, gate_channels=gates)
    whole = Training(config, tiny_data)
    for _ in range(3):
        whole.advance()
    middle = copy.deepcopy(whole.state())
    resumed = Training(config, tiny_data)
    resumed.load_state(middle)
    for _ in range(3):
        whole.advance()
        resumed.advance()
    assert whole.losses == resumed.losses
    ours, theirs = whole.state()["model"], resumed.state()["model"]
    assert all(torch.equal(value, theirs[key]) for key, value in ours.items())


def test_the_two_differ_and_a_run_is_not_resumed_with_the_other(tiny_data: ImageSet) -> None:
    one, other = (Training(replace(TINY, optimizer=name), tiny_data) for name in OPTIMIZERS)
    for training in (one, other):
        training.advance()
        training.advance()
    assert one.losses[0] == other.losses[0]
    assert one.losses[1] != other.losses[1]
    with pytest.raises(TrainingError, match="has optimizer adamw, not sgd"):
        other.load_state(one.state())
