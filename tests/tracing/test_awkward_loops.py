"""Loops that run operations where one does not expect them: checkpointing, autocast, compilation, workers ..."""

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn.utils import parametrize
from torch.utils.checkpoint import checkpoint
from torch.utils.data import DataLoader, TensorDataset

from accelsim.errors import AccelsimWarning, TracingError
from accelsim.trace import TraceReader
from accelsim.tracing import Tracer
from tests.tracing.loops import meta, record, watched


def _net():
    torch.manual_seed(0)
    return nn.Sequential(
        nn.Conv2d(3, 4, 3, padding=1),
        nn.ReLU(),
        nn.Conv2d(4, 4, 3, padding=1),
        nn.ReLU(),
        nn.Flatten(),
        nn.Linear(4 * 36, 5),
    )


def _step(net, x=None):
    def body(_):
        net(torch.randn(2, 3, 6, 6) if x is None else x).square().sum().backward()

    return body


class Checkpointed(nn.Module):
    def __init__(self, reentrant):
        super().__init__()
        self.net, self.reentrant = _net(), reentrant

    def forward(self, x):
        x = self.net[0](x).relu()
        x = checkpoint(self.net[2:5], x, use_reentrant=self.reentrant)
        return checkpoint(self.net[5], x, use_reentrant=self.reentrant)


@pytest.mark.parametrize("reentrant", [True, False])
@pytest.mark.parametrize("views", [1, 2])
def test_checkpointing(reentrant, views, tmp_path):
    model = Checkpointed(reentrant)
    inputs = [torch.randn(2, 3, 6, 6) for _ in range(views)]

    def body(_):
        sum(model(x).square().sum() for x in inputs).backward()

    gradients = []
    plain = Checkpointed(reentrant)
    with watched(("", plain)) as seen:
        for x in inputs:
            y = plain.net(x)
            y.square().sum().backward()
    gradients = [(call.name, call.grad_output) for call in seen]
    ops = record(model, tmp_path / "t.pkl", body)
    # forward: three layers a view; the two checkpointed ones ran again, the last one not in full where nothing needs it
    again = [op for op in ops if op.recomputed]
    assert [op.name for op in ops if not op.recomputed] == ["net.0", "net.2", "net.5"] * views
    assert {op.name for op in again} == ({"net.2", "net.5"} if reentrant else {"net.2"} | {op.name for op in again})
    assert all(op.name != "net.0" for op in again)
    assert len({(op.name, op.call) for op in ops}) == len(ops)
    with_gradient = [op for op in ops if op.grad_output is not None]
    assert sorted(op.name for op in with_gradient) == sorted(["net.0", "net.2", "net.5"] * views)
    assert all(op.recomputed == (reentrant and op.name != "net.0") for op in with_gradient)
    for op in with_gradient:
        candidates = [grad for name, grad in gradients if name == op.name]
        assert any(np.array_equal(op.grad_output.reshape(g.shape), (g != 0).numpy()) for g in candidates)
        assert op.needs_weight_grad
        assert op.needs_input_grad == (op.name != "net.0")
        # inside a reentrant recomputation the input of net.2 is a leaf, but came out of a ReLU all the same
        assert (op.input_grad_needed is not None) == (op.name != "net.0")
    assert meta(tmp_path / "t.pkl")["unlowered"] == {}


def test_autocast(tmp_path):
    net = _net()
    x = torch.randn(2, 3, 6, 6)

    def body(_):
        with torch.autocast("cpu", torch.bfloat16):
            y = net(x)
        y.float().square().sum().backward()

    ops = record(net, tmp_path / "t.pkl", body)
    assert [(op.name, op.dtype) for op in ops] == [(name, "bfloat16") for name in ("0", "2", "5")]
    assert np.array_equal(ops[1].weight, (net[2].weight.bfloat16() != 0).numpy())
    assert all(op.needs_weight_grad for op in ops)
    assert [op.input_grad_needed is not None for op in ops] == [False, True, True]


def test_frozen_layers(tmp_path):
    net = _net()
    net[0].requires_grad_(False)
    net[2].requires_grad_(False)
    x = torch.randn(2, 3, 6, 6)
    stem, frozen, head = record(net, tmp_path / "t.pkl", _step(net, x))
    assert stem.grad_output is None
    assert frozen.grad_output is None
    assert (head.needs_input_grad, head.needs_weight_grad) == (False, True)
    assert head.input_grad_needed is None
    net[0].requires_grad_(True)
    stem, frozen, head = record(net, tmp_path / "t.pkl", _step(net, x))
    assert [(op.needs_input_grad, op.needs_weight_grad) for op in (stem, frozen, head)] == [
        (False, True),
        (True, False),
        (True, True),
    ]


def test_a_bias_alone_that_trains_needs_no_product(tmp_path):
    net = nn.Sequential(nn.Linear(3, 4), nn.Conv2d(1, 1, 1))
    net[0].weight.requires_grad_(False)
    net[1].weight.requires_grad_(False)

    def body(_):
        net[0](torch.randn(2, 3)).sum().backward()
        net[1](torch.randn(1, 1, 2, 2)).sum().backward()

    for op in record(net, tmp_path / "t.pkl", body):
        assert (op.grad_output, op.needs_input_grad, op.needs_weight_grad) == (None, False, False)


def test_tied_weights_keep_their_layers_names(tmp_path):
    net = nn.Sequential(nn.Linear(4, 4), nn.Linear(4, 4))
    net[1].weight = net[0].weight
    ops = record(net, tmp_path / "t.pkl", lambda _: net(torch.randn(3, 4)).sum().backward())
    assert [(op.name, op.call) for op in ops] == [("0", 0), ("1", 0)]
    assert all(op.needs_weight_grad for op in ops)


class Masked(nn.Module):
    def __init__(self, mask):
        super().__init__()
        self.register_buffer("mask", mask)

    def forward(self, weight):
        return weight * self.mask


def test_masked_weights(tmp_path):
    net = _net()
    for layer in (net[2], net[5]):
        parametrize.register_parametrization(layer, "weight", Masked((torch.rand_like(layer.weight) < 0.3).float()))
    _, conv, linear = record(net, tmp_path / "t.pkl", _step(net))
    for op, layer in ((conv, net[2]), (linear, net[5])):
        assert (op.name, op.kind) == ({4: "2", 5: "5"}[len(layer.bias)], "conv")
        assert np.array_equal(op.weight.reshape(layer.weight.shape), (layer.weight != 0).numpy())
        assert 0 < op.weight.mean() < 0.5


def _in_place(weight):
    with torch.no_grad():
        weight[0] = 0


def _through_data(weight):
    weight.data[0].zero_()


def _by_assignment(weight):
    weight.data = weight.data * torch.tensor([[0.0], [1.0], [1.0]])


def _by_foreach(weight):
    torch._foreach_mul_([weight.data], [torch.tensor([[0.0], [1.0], [1.0]])])


@pytest.mark.parametrize("change", [_in_place, _through_data, _by_assignment, _by_foreach])
def test_weights_that_change_within_a_step_are_packed_again(change, tmp_path):
    layer = nn.Linear(3, 3)

    def body(_):
        layer(torch.randn(2, 3)).sum().backward()
        layer(torch.randn(2, 3)).sum().backward()
        change(layer.weight)
        layer(torch.randn(2, 3)).sum().backward()

    assert [op.weight.sum() for op in record(layer, tmp_path / "t.pkl", body)] == [9, 9, 6]


def test_second_backward_and_double_backward_are_counted(tmp_path):
    net = _net()

    def again(_):
        y = net(torch.randn(2, 3, 6, 6)).square().sum()
        y.backward(retain_graph=True)
        y.backward()

    with pytest.warns(AccelsimWarning, match="second backward"):
        ops = record(net, tmp_path / "t.pkl", again)
    assert len(ops) == 3
    counts = sorted(entry["count"] for entry in meta(tmp_path / "t.pkl")["unlowered"].values())
    assert counts == [2, 2]

    def penalty(_):
        x = torch.randn(2, 3, 6, 6, requires_grad=True)
        (gradient,) = torch.autograd.grad(net(x).square().sum(), x, create_graph=True)
        gradient.square().sum().backward()

    with pytest.warns(AccelsimWarning, match="double backward"):
        ops = record(net, tmp_path / "t.pkl", penalty)
    assert [op.name for op in ops] == ["0", "2", "5"]
    assert all(op.needs_input_grad and not op.needs_weight_grad for op in ops)
    assert not any(op.recomputed for op in ops)


def test_inputs_that_backward_leaves_out(tmp_path):
    net = _net()

    def body(_):
        net(torch.randn(2, 3, 6, 6)).square().sum().backward(inputs=[net[5].weight, net[2].weight])

    stem, conv, linear = record(net, tmp_path / "t.pkl", body)
    assert stem.grad_output is None
    assert (conv.needs_input_grad, conv.needs_weight_grad) == (False, True)
    assert (linear.needs_input_grad, linear.needs_weight_grad) == (True, True)


class Function(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x, weight):
        ctx.save_for_backward(x, weight)
        return x @ weight

    @staticmethod
    def backward(ctx, gradient):
        x, weight = ctx.saved_tensors
        return gradient @ weight.t(), x.t() @ gradient


class UsesFunction(nn.Module):
    def __init__(self):
        super().__init__()
        self.w = nn.Parameter(torch.randn(4, 4))

    def forward(self, x):
        return Function.apply(x, self.w)


def test_a_function_of_the_users_own(tmp_path):
    model = UsesFunction()
    with pytest.warns(AccelsimWarning, match=r"aten.mm × 2.*66.67% of MACs"):
        (op,) = record(model, tmp_path / "t.pkl", lambda _: model(torch.randn(4, 4)).sum().backward())
    assert op.grad_output is None


@pytest.mark.parametrize("warm", [False, True])
@pytest.mark.parametrize("backend", ["eager", "aot_eager"])
def test_compiled_models_run_uncompiled_on_recorded_steps(backend, warm, tmp_path):
    torch._dynamo.reset()
    net = _net()
    compiled = torch.compile(net, backend=backend)
    optimizer = torch.optim.SGD(net.parameters(), 0.01)
    x = torch.randn(2, 3, 6, 6)

    def body(_):
        for _ in range(3):
            optimizer.zero_grad()
            compiled(x).square().sum().backward()
            optimizer.step()

    ops = record(compiled, tmp_path / "t.pkl", body, every=2, start=1 if warm else 0)
    assert [(op.name, op.step) for op in ops] == [(n, s) for s in ((1,) if warm else (0, 2)) for n in ("0", "2", "5")]
    assert all(op.grad_output is not None and op.needs_weight_grad for op in ops)
    torch._dynamo.reset()


def test_a_compiled_backward_is_an_error_not_a_wrong_record(tmp_path):
    torch._dynamo.reset()
    net = _net()
    y = torch.compile(net, backend="aot_eager")(torch.randn(2, 3, 6, 6)).square().sum()
    with pytest.raises(TracingError, match=r"torch\.compile"), Tracer(net, tmp_path / "t.pkl", strict=True):
        y.backward()
    torch._dynamo.reset()


@pytest.mark.filterwarnings("ignore:`torch.jit")
@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_torchscript_is_an_error(tmp_path):
    scripted = torch.jit.script(nn.Sequential(nn.Linear(2, 2)))
    with pytest.raises(TracingError, match="TorchScript"):
        Tracer(nn.Sequential(scripted), tmp_path / "t.pkl")
    traced = torch.jit.trace(nn.Linear(2, 2), torch.randn(1, 2))
    with pytest.raises(TracingError, match="TorchScript"), Tracer(nn.Linear(2, 2), tmp_path / "t.pkl", strict=True):
        traced(torch.randn(1, 2))


class _Multiplies(torch.utils.data.Dataset):
    def __len__(self):
        return 4

    def __getitem__(self, index):
        return nn.functional.conv2d(torch.randn(1, 3, 6, 6), torch.randn(3, 3, 1, 1))[0]


@pytest.mark.parametrize("method", ["fork", "spawn"])
def test_dataloader_workers(method, tmp_path):
    net = _net()
    optimizer = torch.optim.SGD(net.parameters(), 0.01)
    with Tracer(net, tmp_path / "t.pkl"):
        for x in DataLoader(_Multiplies(), batch_size=2, num_workers=1, multiprocessing_context=method):
            net(x).square().sum().backward()
            optimizer.step()
    reader = TraceReader(tmp_path / "t.pkl")
    assert reader.complete
    assert [(op.name, op.step) for op in reader] == [(n, s) for s in range(2) for n in ("0", "2", "5")]
    assert reader.meta["unlowered"] == {}


def test_data_in_the_main_process_is_outside_any_module(tmp_path):
    net = _net()
    with (
        pytest.warns(AccelsimWarning, match="aten.convolution × 2, outside any module"),
        Tracer(net, tmp_path / "t.pkl"),
    ):
        next(iter(DataLoader(_Multiplies(), batch_size=2)))
    assert len(DataLoader(TensorDataset(torch.ones(2)))) == 2


def test_modules_outside_the_model(tmp_path):
    net, teacher, other = _net(), _net(), _net()

    def body(_):
        x = torch.randn(2, 3, 6, 6)
        with torch.no_grad():
            teacher(x)
            other(x)
            teacher(x)
        net(x).sum().backward()

    ops = record(net, tmp_path / "t.pkl", body)
    assert [(op.name, op.call) for op in ops] == [
        *[(f"Sequential.{n}", 0) for n in (0, 2, 5)],
        *[(f"Sequential-2.{n}", 0) for n in (0, 2, 5)],
        *[(f"Sequential.{n}", 1) for n in (0, 2, 5)],
        *[(n, 0) for n in "025"],
    ]


def test_modules_added_while_training(tmp_path):
    net = nn.Sequential(nn.Linear(3, 3))

    def body(_):
        net(torch.randn(2, 3)).sum().backward()
        net.append(nn.Linear(3, 2))
        net(torch.randn(2, 3)).sum().backward()

    assert [op.name for op in record(net, tmp_path / "t.pkl", body)] == ["0", "0", "1"]


def test_forward_that_raises_leaves_the_names_right(tmp_path):
    net = nn.Sequential(nn.Linear(3, 3), nn.Linear(3, 3))

    def body(_):
        with pytest.raises(RuntimeError):
            net(torch.randn(2, 4))
        net(torch.randn(2, 3)).sum().backward()

    assert [(op.name, op.call) for op in record(net, tmp_path / "t.pkl", body)][-2:] == [("0", 0), ("1", 0)]


def test_ddp(tmp_path):
    store = torch.distributed.FileStore(str(tmp_path / "store"), 1)
    torch.distributed.init_process_group("gloo", rank=0, world_size=1, store=store)
    try:
        net = nn.parallel.DistributedDataParallel(_net())
        whole = record(net, tmp_path / "t.pkl", _step(net))
        inner = record(net.module, tmp_path / "t.pkl", _step(net))
    finally:
        torch.distributed.destroy_process_group()
    assert [op.name for op in whole] == ["module.0", "module.2", "module.5"]
    assert [op.name for op in inner] == ["0", "2", "5"]
    assert all(op.needs_weight_grad for op in whole + inner)


def test_empty_batches(tmp_path):
    net = nn.Sequential(nn.Conv2d(2, 3, 1), nn.Flatten(), nn.Linear(12, 2))

    def body(_):
        for batch in (0, 1):
            net(torch.randn(batch, 2, 2, 2)).sum().backward()

    assert [op.name for op in record(net, tmp_path / "t.pkl", body)] == ["0", "2"]


def test_functional_calls(tmp_path):
    net = _net()
    parameters = {name: value.detach() * 2 for name, value in net.named_parameters()}
    x = torch.randn(2, 3, 6, 6, requires_grad=True)
    ops = record(net, tmp_path / "t.pkl", lambda _: torch.func.functional_call(net, parameters, (x,)).sum().backward())
    assert [(op.name, op.kind, op.needs_weight_grad) for op in ops] == [(n, "conv", False) for n in ("0", "2", "5")]


class Wrapped(torch.Tensor):
    """A tensor subclass that unfolds every operation on what it wraps."""

    @staticmethod
    def __new__(cls, inner):
        return torch.Tensor._make_wrapper_subclass(cls, inner.shape, dtype=inner.dtype)

    def __init__(self, inner):
        self.inner = inner

    @classmethod
    def __torch_dispatch__(cls, function, types, args=(), kwargs=None):
        args = [arg.inner if isinstance(arg, cls) else arg for arg in args]
        return cls(function(*args, **(kwargs or {})))


def test_tensor_subclasses_unfold_first(tmp_path):
    net = nn.Conv2d(3, 4, 3)

    def body(_):
        with torch.no_grad():
            net(Wrapped(torch.randn(2, 3, 6, 6)))

    (op,) = record(net, tmp_path / "t.pkl", body)
    assert op.input.shape == (2, 3, 6, 6)
