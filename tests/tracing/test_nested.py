"""Nested tensors, jagged and strided ones: the training stays what it is, and what is not recorded is named."""

import warnings
from contextlib import nullcontext

import pytest
import torch
from torch import nn
from torch.nn import functional

from accelsim.errors import AccelsimWarning
from accelsim.trace import TraceReader
from accelsim.tracing import Tracer

pytestmark = pytest.mark.filterwarnings("ignore:The PyTorch API of nested tensors")
LENGTHS = (3, 5, 2)
LAYOUTS = {"jagged": torch.jagged, "strided": torch.strided}


class Net(nn.Module):
    def __init__(self, mix):
        super().__init__()
        self.mix = mix
        self.q, self.k, self.v = nn.Linear(8, 8), nn.Linear(8, 8, bias=False), nn.Linear(8, 8)

    def forward(self, x):
        return self.mix(self.q(x), self.k(x), self.v(x))


def _attention(q, k, v):
    q, k, v = (part.unflatten(-1, (2, 4)).transpose(1, 2) for part in (q, k, v))
    return functional.scaled_dot_product_attention(q, k, v).transpose(1, 2).flatten(-2)


MIXES = {
    "elementwise": lambda q, k, v: functional.silu(q) + functional.gelu(k) * torch.relu(v),
    "attention": _attention,
    "matmul": lambda q, k, v: torch.matmul(torch.softmax(torch.matmul(q, k.transpose(-2, -1)), -1), v),
    "bmm": lambda q, k, v: torch.bmm(torch.bmm(q, k.transpose(-2, -1)), v),
}
CASES = [  # those that PyTorch itself can train
    ("jagged", "elementwise"),
    ("jagged", "attention"),
    ("strided", "elementwise"),
    ("strided", "matmul"),
    ("strided", "bmm"),
]


def _train(layout, mix, tracer_of):
    torch.manual_seed(0)
    net = Net(MIXES[mix])
    optimizer = torch.optim.SGD(net.parameters(), 0.1)
    seen = []
    with tracer_of(net):
        for _ in range(2):
            x = torch.nested.nested_tensor([torch.randn(n, 8) for n in LENGTHS], layout=LAYOUTS[layout])
            y = net(x)
            parts = [y.values()] if layout == "jagged" else list(y.unbind())
            loss = sum(part.square().sum() for part in parts)
            loss.backward()
            seen += [loss.detach(), *(parameter.grad.clone() for parameter in net.parameters())]
            optimizer.step()
            optimizer.zero_grad()
    return seen


@pytest.mark.parametrize(("layout", "mix"), CASES)
def test_training_is_unchanged_and_what_is_not_recorded_is_named(layout, mix, tmp_path):
    expected = _train(layout, mix, lambda _: nullcontext())
    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always")
        traced = _train(layout, mix, lambda net: Tracer(net, tmp_path / "t.pkl", strict=True))
    assert all(torch.equal(*pair) for pair in zip(traced, expected, strict=True))
    (said,) = [str(warning.message) for warning in told if issubclass(warning.category, AccelsimWarning)]
    reader = TraceReader(tmp_path / "t.pkl")
    if layout == "jagged":  # as ordinary products of all rows together; their backward is a subclass's own
        assert [(op.name, op.input.shape[0]) for op in reader if op.step == 0] == [(n, sum(LENGTHS)) for n in "qkv"]
        assert "backward of a tensor subclass (NestedTensor)" in said
    else:
        assert not list(reader)
        assert reader.meta["unlowered"]["aten.linear (no lowering to a convolution or matrix product)"] == {
            "count": 6,
            "macs": 6 * sum(LENGTHS) * 8 * 8,
            "reason": "no lowering to a convolution or matrix product",
        }
        assert "aten.linear_backward × 6" in said
    if mix != "elementwise":
        product = "aten.bmm" if mix == "bmm" else "aten.matmul"
        assert f"{product} × 4" in said
        assert f"{'aten.bmm × 8' if mix == 'bmm' else 'aten.matmul_backward × 4'}" in said
        assert "how much of the training's MACs is missing is unknown" in said


@pytest.mark.parametrize("layout", LAYOUTS)
def test_inference_is_unchanged(layout, tmp_path):
    net = Net(MIXES["elementwise"])
    x = torch.nested.nested_tensor([torch.randn(n, 8) for n in LENGTHS], layout=LAYOUTS[layout])
    with torch.inference_mode():
        expected = net(x).unbind()
        with warnings.catch_warnings(), Tracer(net, tmp_path / "t.pkl", strict=True):
            warnings.simplefilter("ignore", AccelsimWarning)
            found = net(x).unbind()
    assert all(torch.equal(*pair) for pair in zip(found, expected, strict=True))
