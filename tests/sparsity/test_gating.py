"""Gates: the formula, what a machine may leave out, and what the trace says of it."""

import copy
from pathlib import Path

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn
from torch.nn import functional

from accelsim import simulate
from accelsim.errors import TrainingError
from accelsim.hardware.model import Hardware
from accelsim.sparsity import GatedConv2d, apply_gates, branch, gate_penalty, sparse_layers
from accelsim.ssl.encoders import build_encoder
from accelsim.trace import TraceReader
from accelsim.tracing import Tracer

torch.set_num_threads(1)


@settings(deadline=None, max_examples=40)
@given(
    partitions=st.sampled_from([2, 4]),
    channels=st.sampled_from([1, 2, 8]),
    thresholds=st.tuples(st.floats(-1, 1), st.floats(-1, 1)),
    index=st.sampled_from([0, 1]),
    bias=st.booleans(),
    stride=st.integers(1, 2),
    seed=st.integers(0, 99),
)
def test_an_output_is_the_full_sum_where_the_gate_opens_and_the_base_sum_elsewhere(
    partitions: int,
    channels: int,
    thresholds: tuple[float, float],
    index: int,
    bias: bool,
    stride: int,
    seed: int,
) -> None:
    torch.manual_seed(seed)
    convolution = nn.Conv2d(8, 16, 3, stride, 1, bias=bias).double()
    x = torch.randn(4, 8, 6, 6, dtype=torch.float64)
    gated = GatedConv2d(copy.deepcopy(convolution), partitions, thresholds, channels=channels).double()
    with branch(index):  # type: ignore[arg-type]
        out = gated(x)
    full, k = convolution(x), 8 // partitions
    base = functional.conv2d(x[:, :k], convolution.weight[:, :k], convolution.bias, stride, 1)
    mean, variance = base.mean((0, 2, 3), keepdim=True), base.var((0, 2, 3), correction=0, keepdim=True)
    likes = torch.sigmoid(2 * ((base - mean) / (variance + 1e-5).sqrt() - float(torch.tensor(thresholds[index]))))
    likes = likes.reshape(4, 16 // channels, channels, *base.shape[2:]).mean(2)
    opened = (likes > 0.5).repeat_interleave(channels, 1)
    torch.testing.assert_close(out, torch.where(opened, full, base))
    assert gated.open_share[index] == pytest.approx(opened.double().mean().item())
    assert gated.open_share[1 - index] != gated.open_share[1 - index]


class _Garbage(nn.Module):
    """Stands for a machine that leaves some outputs as it found them."""

    def __init__(self, layer: nn.Module, closed: torch.Tensor) -> None:
        super().__init__()
        self.layer, self.closed = layer, closed

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        out: torch.Tensor = self.layer(x)
        return out.masked_fill(self.closed, torch.nan)


@pytest.mark.parametrize("channels", [1, 8])
def test_what_is_not_needed_is_never_used_not_even_by_the_gates_own_gradient(channels: int) -> None:
    torch.manual_seed(0)
    gated = GatedConv2d(nn.Conv2d(8, 16, 3, padding=1), 4, (0.3, 0.0), channels=channels)
    x = torch.randn(2, 8, 6, 6, requires_grad=True)
    out = gated(x)
    out.square().sum().backward()
    expected = [x.grad, gated.threshold.grad, gated.base.weight.grad, gated.gated.weight.grad]
    assert all(gradient is not None and gradient.abs().sum() > 0 for gradient in expected)
    base = gated.base(x[:, :2])
    closed = out.detach() == base.detach()
    assert 0.2 < closed.float().mean() < 0.9
    again = copy.deepcopy(gated)
    again.zero_grad()
    weight = again.gated.weight
    again.gated = _Garbage(again.gated, closed)  # type: ignore[assignment]
    y = x.detach().clone().requires_grad_()
    other = again(y)
    other.square().sum().backward()
    assert torch.equal(other, out)
    for found, wanted in zip(
        (y.grad, again.threshold.grad, again.base.weight.grad, weight.grad), expected, strict=True
    ):
        torch.testing.assert_close(found, wanted)


def test_the_gate_s_gradient_is_the_sigmoid_s() -> None:
    torch.manual_seed(0)
    gated = GatedConv2d(nn.Conv2d(4, 2, 1), 2, (-9.0, -9.0)).eval()  # all open
    x = torch.randn(1, 4, 3, 3)
    gated(x).sum().backward()
    base, rest = gated.base(x[:, :2]).detach(), gated.gated(x[:, 2:]).detach()
    likes = torch.sigmoid(2 * (base / (1 + 1e-5) ** 0.5 + 9))
    expected = (rest * -2 * likes * (1 - likes)).sum((0, 2, 3))
    torch.testing.assert_close(gated.threshold.grad[0], expected)
    assert not gated.threshold.grad[1].any()


def _plainly(gated: GatedConv2d, x: torch.Tensor) -> torch.Tensor:
    """The gate as its docstring writes it, in whole-tensor operations and PyTorch's own gradients."""
    base = gated.base(x[:, : gated.split])
    score = torch.sigmoid(gated.alpha * (gated.norm(base) - gated.threshold[0][:, None, None]))
    if gated.channels > 1:
        score = score.unflatten(1, (-1, gated.channels)).mean(2).repeat_interleave(gated.channels, 1)
    opened = score.detach() > 0.5
    gate = opened.to(score.dtype) + (score - score.detach())
    rest = gated.gated(x[:, gated.split :])
    return base + torch.where(opened, rest, torch.zeros_like(rest)) * gate


@pytest.mark.parametrize("channels", [1, 8])
@pytest.mark.parametrize("dtype", [torch.float64, torch.float32, torch.bfloat16, "autocast"])
def test_the_fast_way_is_the_plain_one_bit_for_bit(channels: int, dtype: torch.dtype | str) -> None:
    torch.manual_seed(0)
    plain = GatedConv2d(nn.Conv2d(8, 16, 3, padding=1), 4, (0.3, 0.0), channels=channels)
    images, weights = torch.randn(4, 8, 7, 9), torch.randn(4, 16, 7, 9)
    if isinstance(dtype, torch.dtype):
        plain, images = plain.to(dtype), images.to(dtype)
    fast = copy.deepcopy(plain)
    found = []
    for gated, run in ((plain, lambda x: _plainly(plain, x)), (fast, fast)):
        x = images.clone().requires_grad_()
        with torch.autocast("cpu", enabled=dtype == "autocast"):
            out = run(x)
        (out * weights.to(out)).sum().backward()
        found.append([out.detach(), x.grad, *(parameter.grad for parameter in gated.parameters())])
    assert 0.2 < fast.open_share[0] < 0.8
    assert all(one.dtype == other.dtype and torch.equal(one, other) for one, other in zip(*found, strict=True))


def test_the_penalty_is_the_squared_distance_of_every_threshold_from_its_target() -> None:
    model = nn.Sequential(nn.Conv2d(3, 4, 1), nn.Conv2d(4, 4, 1), nn.Conv2d(4, 2, 1))
    gates = list(apply_gates(model, thresholds=(0.5, -1.0)).values())
    penalty = gate_penalty(model, 2.0)
    assert penalty.item() == pytest.approx(6 * (1.5**2 + 3.0**2))
    penalty.backward()
    for gate in gates:
        assert torch.equal(gate.threshold.grad, 2 * (gate.threshold.detach() - 2.0))
    assert gate_penalty(nn.Conv2d(3, 4, 1), 2.0).item() == 0


@pytest.fixture(scope="module")
def traced(tmp_path_factory: pytest.TempPathFactory) -> Path:
    torch.manual_seed(0)
    encoder = build_encoder("resnet18", width=8)
    apply_gates(encoder, thresholds=(0.0, 1.0), channels=4)
    path = tmp_path_factory.mktemp("gates") / "t.pkl"
    optimizer = torch.optim.SGD(encoder.parameters(), lr=0.01)
    with Tracer(encoder, path):
        first = encoder(torch.randn(2, 3, 8, 8))
        with branch(1):
            second = encoder(torch.randn(2, 3, 8, 8))
        (first * second).sum().backward()
        optimizer.step()
    return path


def test_gated_parts_are_traced_with_the_outputs_they_owe_and_both_branches_with_their_own(traced: Path) -> None:
    shares: dict[int, list[float]] = {0: [], 1: []}
    for op in TraceReader(traced):
        assert (op.output_needed is not None) == op.name.endswith(".gated")
        if op.output_needed is not None:
            slices = op.output_needed.reshape(op.output_needed.shape[0], -1, 4, *op.output_needed.shape[2:])
            assert (slices == slices[:, :, :1]).all()
            assert op.grad_output is not None
            assert not (op.grad_output & ~op.output_needed).any()
            shares[op.call].append(op.output_needed.mean())
    assert len(shares[0]) == len(shares[1]) == 19
    assert sum(shares[0]) / 19 == pytest.approx(0.5, abs=0.1)
    assert sum(shares[1]) < 0.6 * sum(shares[0])


def test_a_machine_that_skips_outputs_skips_what_gates_closed(traced: Path) -> None:
    forward = {}
    for outputs in (False, True):
        machine = Hardware.model_validate(
            {
                "name": "m",
                "array": {"rows": 4, "cols": 4, "lanes": 1},
                "skipping": {"tensors": [], "outputs": outputs},
                "memory": {"dram": None},
            }
        )
        layers = simulate(machine, traced).layers
        rows = layers[(layers["pass"] == "forward") & layers["layer"].str.endswith(".gated")]
        forward[outputs] = rows.groupby("call")["array_cycles"].sum()
    assert (forward[True] < 0.95 * forward[False]).all()
    assert forward[True][1] < 0.8 * forward[True][0]


def test_gates_replace_all_but_the_first_convolution_and_masks_fit_on_top() -> None:
    encoder = build_encoder("resnet18", width=8)
    names = [name for name in sparse_layers(encoder) if name != "fc"]
    gated = apply_gates(encoder, dense=["layer4"])
    assert list(gated) == [name for name in names if not name.startswith("layer4")]
    assert "layer1.0.conv1.gated" in sparse_layers(encoder)
    assert "conv1.base" not in sparse_layers(encoder)
    assert encoder(torch.randn(2, 3, 8, 8)).shape == (2, 64)


def test_what_cannot_be_gated_is_left_or_refused() -> None:
    grouped = nn.Sequential(nn.Conv2d(3, 8, 3), nn.Conv2d(8, 8, 3, groups=8), nn.Conv2d(8, 8, 1))
    assert list(apply_gates(grouped)) == ["2"]
    for bad, said in (
        (lambda: GatedConv2d(nn.Conv2d(6, 8, 3)), "6 input channels do not split into 4"),
        (lambda: GatedConv2d(nn.Conv2d(8, 8, 3, groups=2)), "2 groups"),
        (lambda: GatedConv2d(nn.Conv2d(8, 12, 3), channels=8), "slices of 8"),
        (lambda: GatedConv2d(nn.Conv2d(8, 8, 3), alpha=0.0), "alpha"),
        (lambda: GatedConv2d(nn.Conv2d(8, 8, 3), partitions=1), "1 parts"),
        (lambda: apply_gates(nn.Sequential(nn.Conv2d(3, 6, 3), nn.Conv2d(6, 8, 3))), "no convolution to gate"),
    ):
        with pytest.raises(TrainingError, match=said):
            bad()
