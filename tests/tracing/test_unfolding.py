"""Tensor subclasses: what they multiply is recorded with its gradients, or named."""

import copy

import numpy as np
import pytest
import torch
from torch import nn
from torch.distributed.device_mesh import init_device_mesh
from torch.distributed.tensor import Replicate, distribute_module, distribute_tensor
from torch.distributed.tensor.parallel import ColwiseParallel, RowwiseParallel, parallelize_module
from torch.utils._pytree import tree_map_only

from accelsim.errors import AccelsimWarning
from tests.tracing.loops import meta, record, watched

aten = torch.ops.aten


class Wrapper(torch.Tensor):
    """Runs every operation on what it wraps, as quantised and distributed tensors do."""

    @staticmethod
    def __new__(cls, inner):
        return torch.Tensor._make_wrapper_subclass(cls, inner.shape, strides=inner.stride(), dtype=inner.dtype)

    def __init__(self, inner):
        self.inner = inner

    @classmethod
    def __torch_dispatch__(cls, function, types, args=(), kwargs=None):
        args, kwargs = tree_map_only(cls, lambda tensor: tensor.inner, (args, kwargs or {}))
        return tree_map_only(torch.Tensor, cls, cls.run(function, args, kwargs))

    @staticmethod
    def run(function, args, kwargs):
        return function(*args, **kwargs)


class InHalves(Wrapper):
    """Multiplies in two parts."""

    @staticmethod
    def run(function, args, kwargs):
        if function is aten.mm.default:
            half = args[0].shape[1] // 2
            return args[0][:, :half] @ args[1][:half] + args[0][:, half:] @ args[1][half:]
        return function(*args, **kwargs)


class FirstGradientElsewhere(Wrapper):
    """Computes the first gradient of a product without a product, as a kernel of its own would."""

    done = False

    @classmethod
    def run(cls, function, args, kwargs):
        if function is aten.mm.default and torch._C._current_autograd_node() is not None and not cls.done:
            cls.done = True
            return (args[0].unsqueeze(2) * args[1].unsqueeze(0)).sum(1)
        return function(*args, **kwargs)


def _wrapped(net, kind):
    for module in net.modules():
        for name, parameter in list(module.named_parameters(recurse=False)):
            setattr(module, name, nn.Parameter(kind(parameter.detach())))
    return net


def _net(square=False):
    torch.manual_seed(0)
    if square:
        return nn.Sequential(nn.Linear(4, 4, bias=False), nn.ReLU(), nn.Linear(4, 4, bias=False))
    return nn.Sequential(
        nn.Conv2d(3, 4, 3, padding=1), nn.ReLU(), nn.Flatten(), nn.Linear(64, 6), nn.ReLU(), nn.Linear(6, 3, bias=False)
    )


def _assert_as(ops, calls):
    """Records are those of the same training with ordinary tensors."""
    assert [op.name for op in ops] == [call.name for call in calls]
    for op, call in zip(ops, calls, strict=True):
        for ours, theirs in ((op.weight, call.weight), (op.input, call.input), (op.grad_output, call.grad_output)):
            assert np.array_equal(ours.reshape(theirs.shape), (theirs != 0).numpy())
        assert op.needs_weight_grad
        assert op.needs_input_grad == (op.name != calls[0].name)


def _loss(y):
    return (y * (torch.arange(y.numel()).view(y.shape) % 3 > 0)).square().sum()


@pytest.mark.parametrize("square", [False, True])
def test_a_wrapper_of_weights(square, tmp_path):
    plain = _net(square)
    net = _wrapped(copy.deepcopy(plain), Wrapper)
    x = torch.randn(4, 4) if square else torch.randn(2, 3, 4, 4)
    with watched(("", plain)) as seen:
        _loss(plain(x)).backward()
    ops = record(net, tmp_path / "t.pkl", lambda _: _loss(net(x)).backward())
    _assert_as(ops, seen)
    assert meta(tmp_path / "t.pkl")["unlowered"] == {}
    for ours, theirs in zip(net.parameters(), plain.parameters(), strict=True):
        assert torch.equal(ours.grad.inner, theirs.grad)


@pytest.fixture
def mesh(tmp_path):
    store = torch.distributed.FileStore(str(tmp_path / "store"), 1)
    torch.distributed.init_process_group("gloo", rank=0, world_size=1, store=store)
    try:
        yield init_device_mesh("cpu", (1,))
    finally:
        torch.distributed.destroy_process_group()


@pytest.mark.parametrize("bias", [True, False])
def test_tensor_parallel(bias, mesh, tmp_path):
    torch.manual_seed(0)
    plain = nn.Sequential(nn.Linear(6, 6, bias=bias), nn.ReLU(), nn.Linear(6, 6, bias=bias))
    net = copy.deepcopy(plain)
    parallelize_module(net, mesh, {"0": ColwiseParallel(), "2": RowwiseParallel()})
    x = torch.randn(6, 6)
    with watched(("", plain)) as seen:
        _loss(plain(x)).backward()
    ops = record(net, tmp_path / "t.pkl", lambda _: _loss(net(x)).backward())
    assert [op.name for op in ops] == ["0", "2"]
    for op, call in zip(ops, seen, strict=True):
        for ours, theirs in ((op.weight, call.weight), (op.input, call.input), (op.grad_output, call.grad_output)):
            assert np.array_equal(ours.reshape(theirs.shape), (theirs != 0).numpy())
        assert op.needs_weight_grad
    assert ops[1].needs_input_grad
    assert meta(tmp_path / "t.pkl")["unlowered"] == {}
    for ours, theirs in zip(net.parameters(), plain.parameters(), strict=True):
        assert torch.equal(ours.grad.to_local(), theirs.grad)


def test_distributed_convolutions(mesh, tmp_path):
    plain = _net()
    net = distribute_module(copy.deepcopy(plain), mesh)
    x = torch.randn(2, 3, 4, 4)
    with watched(("", plain)) as seen:
        _loss(plain(x)).backward()
    replicated = distribute_tensor(x, mesh, [Replicate()])
    ops = record(net, tmp_path / "t.pkl", lambda _: _loss(net(replicated).to_local()).backward())
    _assert_as(ops, seen)


def test_a_subclass_that_multiplies_in_parts_is_named(tmp_path):
    net = _wrapped(_net(square=True), InHalves)
    with pytest.warns(AccelsimWarning, match=r"aten.mm × \d, backward of a tensor subclass \(InHalves\)"):
        ops = record(net, tmp_path / "t.pkl", lambda _: _loss(net(torch.randn(4, 4))).backward())
    assert len(ops) == 4  # two parts each
    assert all(op.grad_output is None for op in ops)


def test_a_gradient_that_a_subclass_computes_elsewhere_shifts_no_role(tmp_path):
    plain = nn.Linear(6, 6, bias=False)
    net = _wrapped(copy.deepcopy(plain), FirstGradientElsewhere)
    x = torch.randn(6, 6, requires_grad=True)
    with watched(("", plain)) as seen:
        _loss(plain(x)).backward()
    (op,) = record(net, tmp_path / "t.pkl", lambda _: _loss(net(x)).backward())
    assert (op.needs_input_grad, op.needs_weight_grad) == (True, False)  # mm computes the weight's first
    assert np.array_equal(op.grad_output.reshape(6, 6), (seen[0].grad_output != 0).numpy())


def test_jagged_tensors_are_named(tmp_path):
    net = nn.Sequential(nn.Linear(6, 4), nn.ReLU(), nn.Linear(4, 4))

    def body(_):
        x = torch.nested.nested_tensor([torch.randn(3, 6), torch.randn(5, 6)], layout=torch.jagged)
        _loss(net(x).values()).backward()

    with pytest.warns(AccelsimWarning, match=r"aten.mm × 3, backward of a tensor subclass \(NestedTensor\)"):
        ops = record(net, tmp_path / "t.pkl", body)
    assert [(op.name, op.input.shape, op.grad_output) for op in ops] == [
        ("0", (8, 6, 1, 1), None),
        ("2", (8, 4, 1, 1), None),
    ]


class Float8Matmul(torch.autograd.Function):
    """As float8 training does: casts and multiplies in a function of its own."""

    @staticmethod
    def forward(ctx, x, weight):
        ctx.save_for_backward(x, weight)
        one = torch.ones(())
        narrow = [tensor.to(torch.float8_e4m3fn) for tensor in (x, weight.t())]
        return torch._scaled_mm(*narrow, one, one, out_dtype=torch.bfloat16).float()

    @staticmethod
    def backward(ctx, gradient):
        x, weight = ctx.saved_tensors
        return gradient @ weight, gradient.t() @ x


def test_float8_training_by_a_function_is_named(tmp_path):
    layer = nn.Linear(16, 16, bias=False)
    layer.forward = lambda x: Float8Matmul.apply(x, layer.weight)
    net = nn.Sequential(nn.Linear(16, 16), layer)
    text = r"aten.mm × 2, inside the backward of a function of the user's own \(Float8Matmul\).*aten._scaled_mm × 1"
    with pytest.warns(AccelsimWarning, match=text):
        ops = record(net, tmp_path / "t.pkl", lambda _: net(torch.randn(16, 16)).sum().backward())
    assert [op.name for op in ops] == ["0"]
    assert ops[0].needs_weight_grad
