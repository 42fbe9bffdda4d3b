"""Every framework: who gets gradients, which passes of which branch a recorded step holds, what a step leaves."""

import copy
import warnings
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from accelsim.errors import TrainingError
from accelsim.sparsity import current_branch
from accelsim.ssl.byol import BYOL
from accelsim.ssl.config import TrainConfig
from accelsim.ssl.encoders import build_encoder
from accelsim.ssl.flops import count_flops
from accelsim.ssl.frameworks import FRAMEWORKS
from accelsim.ssl.image_set import ImageSet
from accelsim.ssl.moco import MoCo
from accelsim.ssl.simsiam import SimSiam
from accelsim.ssl.training import Training
from accelsim.trace import OpTrace, open_trace
from accelsim.tracing import Tracer
from tests.ssl.conftest import TINY

OPTIONS = TrainConfig(queue=8)
# Calls of the online encoder's layers with a backward pass, and forwards of the momentum encoder's.
SHARES = {"simclr": (2, 0), "moco": (1, 1), "byol": (2, 2), "simsiam": (2, 0), "barlow": (2, 0), "vicreg": (2, 0)}
PRODUCTS = {
    "simclr": {"contrast.matmul1"},
    "moco": {"contrast.matmul1"},
    "barlow": {"correlation.matmul1"},
    "vicreg": {"regularisation.matmul1", "regularisation.matmul2"},
}
MOMENTUM = {"moco": "key", "byol": "target"}
every_framework = pytest.mark.parametrize("name", FRAMEWORKS)


@pytest.fixture(autouse=True)
def _one_thread() -> None:
    torch.set_num_threads(1)
    torch.manual_seed(0)


def _views(n: int = 4) -> tuple[Tensor, Tensor]:
    return torch.randn(n, 3, 32, 32), torch.randn(n, 3, 32, 32)


def _framework(name: str, width: int = 2):
    return FRAMEWORKS[name](build_encoder("resnet18", width), OPTIONS)


@every_framework
def test_all_of_the_online_branch_gets_gradients_and_nothing_else(name: str) -> None:
    model = _framework(name)
    model.loss(*_views()).backward()
    momentum = f"{MOMENTUM.get(name, '-')}."
    for parameter_name, parameter in model.named_parameters():
        if parameter_name.startswith(momentum):
            assert not parameter.requires_grad
            assert parameter.grad is None
        else:
            assert parameter.grad is not None, parameter_name
            assert parameter.grad.abs().max() > 0, parameter_name


@every_framework
def test_a_recorded_step_holds_the_published_passes(name: str, tmp_path: Path) -> None:
    """SimCLR and its kind 2 (F + I + W), MoCo (F + I + W) + F, BYOL 2 (F + I + W) + 2 F; nothing is left out."""
    model = _framework(name)
    optimizer = torch.optim.SGD([p for p in model.parameters() if p.requires_grad], 0.1)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        with Tracer(model, tmp_path / "run.pkl"), count_flops(model) as flops:
            model.loss(*_views()).backward()
            optimizer.step()
            model.after_step(0, 10)
    trace = list(open_trace(tmp_path / "run.pkl"))
    online, forward_only = SHARES[name]
    momentum = MOMENTUM.get(name, "-")
    layers = [layer for layer, module in model.encoder.named_modules() if isinstance(module, nn.Conv2d)]
    for layer in layers:
        calls = [op for op in trace if op.name == f"encoder.{layer}"]
        assert [op.call for op in calls] == list(range(online))
        for op in calls:
            assert op.masks.get("grad_output") is not None
            assert op.needs_weight_grad
            assert op.needs_input_grad == (layer != "conv1")
        followers = [op for op in trace if op.name == f"{momentum}.encoder.{layer}"]
        assert [op.call for op in followers] == list(range(forward_only))
        assert not [op for op in followers if op.masks.get("grad_output") is not None]
    # The whole step, in multiply-accumulates of the encoder's forward (the first layer has no input gradient).
    forward = sum(op.macs for op in trace if op.name.startswith("encoder.") and op.call == 0)
    first = next(op.macs for op in trace if op.name == "encoder.conv1")
    assert sum(_trained_macs(op) for op in trace if "encoder." in op.name) == (
        online * (3 * forward - first) + forward_only * forward
    )
    products = PRODUCTS.get(name, set())
    assert {op.name for op in trace if op.kind == "matmul"} == products
    # And the step's operations that go into results.json are those recorded.
    in_layers = sum(_trained_macs(op) for op in trace if op.name not in products)
    assert flops.dense == flops.masked == 2 * in_layers


def _trained_macs(op: OpTrace) -> int:
    backward = op.masks.get("grad_output") is not None
    return op.macs * (1 + (backward and op.needs_input_grad) + (backward and op.needs_weight_grad))


@every_framework
def test_the_second_view_or_the_momentum_encoder_runs_as_the_second_branch(name: str) -> None:
    ran: list[tuple[str, int]] = []

    class Encoder(nn.Linear):
        feature_dim = 8

        def __init__(self, kind: str) -> None:
            super().__init__(6, 8)
            self.kind = kind

        def forward(self, x: Tensor) -> Tensor:
            ran.append((self.kind, current_branch()))
            return super().forward(x)

    model = FRAMEWORKS[name](Encoder("online"), OPTIONS)
    if model.momentum_encoder is not None:
        model.momentum_encoder.kind = "momentum"  # type: ignore[assignment]
    model.loss(torch.randn(4, 6), torch.randn(4, 6))
    online, forward_only = SHARES[name]
    if forward_only:
        assert sorted(ran) == [("momentum", 1)] * forward_only + [("online", 0)] * online
    else:
        assert ran == [("online", 0), ("online", 1)]


@every_framework
def test_it_learns_to_tell_a_few_images_apart(name: str) -> None:
    """Thirty steps on noise of one colour an image: the loss falls, and the features do not collapse."""
    model = _framework(name, width=4)
    colours = torch.randn(8, 3, 1, 1)
    optimizer = torch.optim.AdamW([p for p in model.parameters() if p.requires_grad], 3e-3)
    losses = []
    for step in range(30):
        first, second = (colours + 0.1 * torch.randn(8, 3, 8, 8) for _ in range(2))
        loss = model.loss(first, second)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        model.after_step(step, 30)
        losses.append(loss.item())
    if name != "moco":  # its queue of random keys fills with real ones, which are harder
        assert np.mean(losses[-5:]) < np.mean(losses[:5]) - 0.1 * abs(np.mean(losses[:5]))
    with torch.no_grad():
        features = functional.normalize(model.encoder((colours).expand(8, 3, 8, 8)), dim=1)
    assert features.std(0).max() > 0.01


@pytest.mark.parametrize("name", FRAMEWORKS)
def test_the_same_seed_and_a_resumed_run_give_the_same_numbers(name: str, tiny_data: ImageSet) -> None:
    config = replace(TINY, framework=name, queue=6)
    whole = Training(config, tiny_data)
    states = []
    for _ in range(4):
        whole.advance()
        states.append(copy.deepcopy(whole.state()))
    resumed = Training(config, tiny_data)
    resumed.load_state(states[1])
    resumed.advance()
    resumed.advance()
    one, other = states[-1], resumed.state()
    assert one["losses"].tolist() == other["losses"].tolist()
    assert one["flops"] == other["flops"]
    assert one["model"].keys() == other["model"].keys()
    for key, value in one["model"].items():
        assert torch.equal(value, other["model"][key]), key
    if name in MOMENTUM:
        assert any(key.startswith(f"{MOMENTUM[name]}.encoder.layer1") for key in one["model"])


def test_moco_puts_the_newest_keys_first_and_forgets_the_oldest() -> None:
    model = MoCo(build_encoder("resnet18", 2), queue=6)
    before, (first, second) = model.queue.clone(), _views()
    keys = functional.normalize(copy.deepcopy(model.key)(second), dim=1)
    model.loss(first, second)
    assert torch.equal(model.queue, torch.cat([keys, before[:2]]))
    model.eval()
    queue = model.queue.clone()
    model.loss(first, second)
    assert torch.equal(model.queue, queue)
    short = MoCo(build_encoder("resnet18", 2), queue=3)
    short.loss(first, second)
    assert short.queue.shape == (3, 128)
    torch.testing.assert_close(short.queue.norm(dim=1), torch.ones(3))


def test_moco_compares_with_the_queue_as_it_was_before_the_step() -> None:
    model = MoCo(build_encoder("resnet18", 2), queue=6, temperature=0.3)
    queue, (first, second) = model.queue.clone(), _views()
    twin = copy.deepcopy(model)
    queries, keys = twin(first), twin.key(second)
    scores = functional.normalize(queries, dim=1) @ torch.cat([functional.normalize(keys, dim=1), queue]).T / 0.3
    positive = scores[:, :4].diagonal()
    negatives = scores[:, 4:].exp().sum(1)
    expected = (-positive + (positive.exp() + negatives).log()).mean()
    torch.testing.assert_close(model.loss(first, second), expected)


def test_byols_momentum_follows_the_published_cosine() -> None:
    model = BYOL(build_encoder("resnet18", 2), momentum=0.9)
    assert [model.momentum_at(step, 100) for step in (0, 50, 100)] == pytest.approx([0.9, 0.95, 1.0])
    for step, parameter in ((0, "conv1"), (25, "conv1")):
        online, target = (getattr(encoder, parameter).weight for encoder in (model.encoder, model.target.encoder))
        online.data.add_(1)
        tau = 1 - 0.1 * (np.cos(np.pi * step / 100) + 1) / 2
        expected = tau * target.detach() + (1 - tau) * online.detach()
        model.after_step(step, 100)
        torch.testing.assert_close(target.detach(), expected)


def test_byols_loss_is_both_ways_round() -> None:
    model = BYOL(build_encoder("resnet18", 2)).eval()
    one, other = _views()
    both = model.loss(one, other)
    torch.testing.assert_close(both, model.loss(other, one))
    total = torch.zeros(())
    for seen, predicted in ((one, other), (other, one)):
        p, z = (functional.normalize(y, dim=1) for y in (model(seen), model.target(predicted)))
        total = total + (p - z).square().sum(1).mean()
    torch.testing.assert_close(both, total)


def test_simsiams_loss_is_the_mean_of_both_ways_round() -> None:
    model = SimSiam(build_encoder("resnet18", 2)).eval()
    one, other = _views()
    z = model(one), model(other)
    p = model.predictor(z[0]), model.predictor(z[1])
    expected = -sum((functional.normalize(p[i], dim=1) * functional.normalize(z[1 - i], dim=1)).sum() for i in (0, 1))
    torch.testing.assert_close(model.loss(one, other), expected / (2 * 4))


@pytest.mark.parametrize(
    ("name", "projector", "predictor"),
    [
        ("moco", [2048, 128], []),
        ("byol", [4096, 256], [4096, 256]),
        ("simsiam", [2048, 2048, 2048], [512, 2048]),
        ("barlow", [8192, 8192, 8192], []),
        ("vicreg", [8192, 8192, 8192], []),
    ],
)
def test_behind_resnet50_the_layers_are_as_long_as_published(name: str, projector: list, predictor: list) -> None:
    with torch.device("meta"):
        model = FRAMEWORKS[name](build_encoder("resnet50"), OPTIONS)

    def lengths(part: str) -> list[int]:
        return [
            layer.out_features for layer in getattr(model, part, nn.Module()).modules() if hasattr(layer, "in_features")
        ]

    assert (lengths("projector"), lengths("predictor")) == (projector, predictor)


def test_an_encoder_without_a_stated_length_is_refused() -> None:
    with pytest.raises(TrainingError, match="Linear has no attribute feature_dim"):
        MoCo(nn.Linear(3, 4))
