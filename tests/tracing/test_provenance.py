"""Where the trace says a gradient is not needed, changing it changes nothing; elsewhere it does."""

import pytest
import torch
from torch import nn
from torch.nn import functional

from accelsim.tracing.provenance import Provenance
from tests.tracing.loops import record

aten = torch.ops.aten


AFTER = {
    "nothing": lambda y: y,
    "view": lambda y: y.reshape(2, 3, 64).transpose(1, 2),
    "flatten": lambda y: y.flatten(1),
    "slice": lambda y: y[:, 1:],
    "max_pool": lambda y: functional.max_pool2d(y, 3, 2, 1),
    "max_pool1d": lambda y: functional.max_pool1d(y.flatten(2), 3),
    "adaptive_max_pool": lambda y: functional.adaptive_max_pool2d(y, 3),
    "avg_pool": lambda y: functional.avg_pool2d(y, 2, 1),
    "adaptive_avg_pool": lambda y: functional.adaptive_avg_pool2d(y, 3),
    "global_avg_pool": lambda y: functional.adaptive_avg_pool2d(y, 1),
    "mean": lambda y: y.mean((2, 3)),
    "clone": lambda y: y.clone(),
    "contiguous": lambda y: y.transpose(1, 2).contiguous(),
    "double": lambda y: y.double(),
    "bfloat16": lambda y: y.bfloat16(),
    "cat": lambda y: torch.cat([y, y.flip(0).relu()], 1),
    "pad": lambda y: functional.pad(y, (1, 2, 0, 1)),
    "mask": lambda y: y * (torch.arange(8) % 2 - 0.5).sign(),
    "channel mask": lambda y: torch.tensor([0.0, 1.0, -2.0]).view(3, 1, 1) * y,
    "upsample": lambda y: functional.interpolate(y, scale_factor=2),
    "channel shuffle": lambda y: functional.channel_shuffle(y, 3),
}
RELUS = {
    "relu": torch.relu,
    "relu_": lambda x: (x * 1).relu_(),
    "relu6": functional.relu6,
    "hardtanh": lambda x: functional.hardtanh(x, 0.0, 1.0),
    "threshold": lambda x: functional.threshold(x, 0.3, 0.0),
    "clamp": lambda x: x.clamp(min=0),
    "clamp to one": lambda x: x.clamp(0, 1),
}


class Watched(nn.Module):
    """relu, something, and a product whose input's mask is recorded."""

    def __init__(self, relu, after):
        super().__init__()
        self.relu, self.after = relu, after

    def forward(self, x):
        z = self.after(self.relu(x))
        rows = z.reshape(-1, z.shape[-1])
        return rows @ torch.ones(rows.shape[-1], 2, dtype=rows.dtype), z


def _image():
    x = torch.randn(2, 3, 8, 8, generator=torch.Generator().manual_seed(0))
    x[:, 1] -= 1  # windows without a positive number
    x[:, 2, :4] -= 10
    x[1, 2] -= 10
    return x.requires_grad_()


def _needed(relu, after, path):
    model = Watched(relu, after)
    x = _image()
    results = []

    def body(_):
        product, z = model(x)
        product.sum().backward(retain_graph=True)
        results.append(z)

    (op,) = record(model, path, body)
    needed = op.input_grad_needed
    return x, results[0], None if needed is None else torch.from_numpy(needed).reshape(results[0].shape)


@pytest.mark.parametrize("relu", RELUS)
@pytest.mark.parametrize("after", AFTER)
def test_gradients_called_unneeded_have_no_influence(relu, after, tmp_path):
    x, z, needed = _needed(RELUS[relu], AFTER[after], tmp_path / "t.pkl")
    assert needed is not None
    assert torch.equal(needed, z != 0)
    assert (~needed).any()
    gradient = torch.randn_like(z)
    (full,) = torch.autograd.grad(z, x, gradient, retain_graph=True)
    (masked,) = torch.autograd.grad(z, x, gradient * needed)
    assert torch.equal(full, masked)
    assert full.any()


def test_dropout_after_relu(tmp_path):
    x, z, needed = _needed(torch.relu, lambda y: functional.dropout(y, 0.5), tmp_path / "t.pkl")
    gradient = torch.randn_like(z)
    (full,) = torch.autograd.grad(z, x, gradient, retain_graph=True)
    (masked,) = torch.autograd.grad(z, x, gradient * needed)
    assert torch.equal(full, masked)
    assert (~needed).float().mean() > 0.6


learned = torch.tensor([0.0, 1.0, 2.0]).view(3, 1, 1).requires_grad_()
NOT_KNOWN = {
    "gelu": (functional.gelu, AFTER["nothing"]),
    "leaky": (functional.leaky_relu, AFTER["nothing"]),
    "threshold below zero": (lambda x: functional.threshold(x, -1.0, 0.0), AFTER["nothing"]),
    "threshold to another value": (lambda x: functional.threshold(x, 0.0, 1.0), AFTER["nothing"]),
    "hardtanh": (functional.hardtanh, AFTER["nothing"]),
    "clamp that lets exact zeros pass": (lambda x: (x * (x > 0)).clamp(min=0), AFTER["nothing"]),
    "bias": (torch.relu, lambda y: y + 1),
    "learned factor": (torch.relu, lambda y: y * learned),
    "signed mean": (torch.relu, lambda y: (y * torch.tensor([1.0, -1.0] * 4)).mean((2, 3))),
    "broadcast": (torch.relu, lambda y: y[:, :1] * torch.ones(3, 1, 1)),
    "half": (torch.relu, lambda y: y.to(torch.float16).float()),
    "cat with something else": (torch.relu, lambda y: torch.cat([y, y - 1])),
    "written over": (torch.relu, lambda y: y.clone().add_(1).sub_(1)),
    "a part written over": (torch.relu, lambda y: _write(y.clone())),
    "relu of a part": (lambda x: _part(x * 1), AFTER["nothing"]),
    "fresh leaf": (torch.relu, lambda y: y.detach().requires_grad_()),
}


def _write(y):
    y[:, 0] = 0.0
    return y


def _part(y):
    y[:, 0].relu_()
    return y


@pytest.mark.parametrize("case", NOT_KNOWN)
def test_no_claim_without_a_proof(case, tmp_path):
    *_, needed = _needed(*NOT_KNOWN[case], tmp_path / "t.pkl")
    assert needed is None


def test_an_address_used_again_carries_no_tag():
    provenance = Provenance()
    for _ in range(200):
        args = (torch.randn(64),)
        tag = provenance.tag_of_result(aten.relu.default, args, {})
        y = aten.relu.default(*args)
        provenance.follow(aten.relu.default, args, {}, y, tag)
        assert provenance.stops_gradient_at_zeros(y[:3])
        assert provenance.tag(y) is not None
        del y
        assert provenance.tag(torch.randn(64)) is None


def test_needed_comes_from_exact_zeros(tmp_path):
    model = nn.Sequential(nn.Linear(6, 6), nn.ReLU(), nn.Linear(6, 6))
    (_, op) = record(
        model, tmp_path / "t.pkl", lambda _: model(torch.randn(8, 6)).sum().backward(), zero_as={"activation": 0.5}
    )
    assert op.input_grad_needed.sum() > op.input.sum()
