"""A recorded training is, bit for bit, the one that is not recorded, and nothing of it is changed or kept alive."""

import gc
import itertools
import warnings
import weakref
from contextlib import nullcontext

import pytest
import torch
from torch import nn
from torch.overrides import TorchFunctionMode
from torch.utils import _pytree
from torch.utils._python_dispatch import TorchDispatchMode

from accelsim.errors import AccelsimWarning
from accelsim.trace import TraceReader
from accelsim.tracing import Tracer
from tests.tracing import operators

NUMBERS = {"fp32": (torch.float32, False), "bf16": (torch.bfloat16, False), "autocast": (torch.float32, True)}
SETTINGS = list(itertools.product(NUMBERS, ("train", "eval"), (torch.enable_grad, torch.inference_mode)))


def _tensors(tree):
    return [leaf for leaf in _pytree.tree_leaves(tree) if isinstance(leaf, torch.Tensor)]


def _look(tensor):
    """All that a later operation could depend on; a version is left out, inference tensors have none."""
    return tensor.detach().clone(), tensor.dtype, tensor.stride(), tensor.requires_grad, tensor.is_inference()


def _backward(results):
    """Weigh every element differently, and go back."""
    terms = [
        (result.float() * torch.linspace(0.5, 1.5, max(1, result.numel())).view(result.shape)).sum()
        for result in results
        if result.requires_grad
    ]
    if terms:
        sum(terms).backward()
    return _tensors(terms)


def _function(case, numbers, mode, context):
    dtype, autocast = NUMBERS[numbers]
    torch.manual_seed(0)
    inputs = operators.Inputs(dtype, mode == "train")
    try:
        with torch.autocast("cpu", torch.bfloat16, enabled=autocast), context():
            results = _tensors(case(inputs))
        looks = [_look(result) for result in results]
        if context is torch.enable_grad:
            looks += [_look(loss) for loss in _backward(results)]
    except (RuntimeError, NotImplementedError) as error:  # no kernel for this type
        return type(error), str(error)
    looks += [_look(leaf.grad) for leaf in inputs.leaves if leaf.grad is not None]
    return looks, [leaf._version for leaf in inputs.leaves if not leaf.is_inference()], torch.get_rng_state()


def _module(case, numbers, mode, context):
    """Two steps of gradient descent, or one forward."""
    build, call = case
    dtype, autocast = NUMBERS[numbers]
    torch.manual_seed(0)
    looks, inputs = [], operators.Inputs(dtype, mode == "train")
    module = build().to(dtype).train(mode == "train")
    try:
        for _ in range(2 if context is torch.enable_grad else 1):
            with torch.autocast("cpu", torch.bfloat16, enabled=autocast), context():
                results = _tensors(call(module, inputs))
            looks += map(_look, results)
            if context is torch.enable_grad:
                looks += map(_look, _backward(results))
                for parameter in module.parameters():
                    if parameter.grad is not None:
                        parameter.data -= 0.1 * parameter.grad
    except (RuntimeError, NotImplementedError) as error:
        return type(error), str(error)
    state = [*module.parameters(), *module.buffers()]
    looks += map(_look, state)
    looks += [_look(tensor.grad) for tensor in (*state, *inputs.leaves) if tensor.grad is not None]
    return looks, [tensor._version for tensor in state], torch.get_rng_state()


def _same(one, other):
    if isinstance(one, torch.Tensor):
        return one.shape == other.shape and torch.equal(_bytes(one), _bytes(other))
    if isinstance(one, list | tuple):
        return len(one) == len(other) and all(map(_same, one, other))
    return one == other


def _bytes(tensor):
    return tensor.contiguous().view(-1).view(torch.uint8)


def _compare(run, cases, path):
    settings = [(case, *setting) for case in cases for setting in SETTINGS]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        untraced = [run(*setting) for setting in settings]
        for setting, expected in zip(settings, untraced, strict=True):
            assert _same(run(*setting), expected), f"{setting} does not repeat itself"
        with Tracer(nn.Identity(), path, strict=True):
            traced = [run(*setting) for setting in settings]
    assert any(not isinstance(outcome[0], type) for outcome in untraced), untraced
    for setting, outcome, expected in zip(settings, traced, untraced, strict=True):
        assert _same(outcome, expected), setting[1:]


@pytest.mark.parametrize("name", operators.FUNCTIONS)
def test_functions(name, tmp_path):
    _compare(_function, operators.FUNCTIONS[name], tmp_path / "t.pkl")


@pytest.mark.parametrize("name", operators.MODULES)
def test_modules(name, tmp_path):
    _compare(_module, operators.MODULES[name], tmp_path / "t.pkl")


def test_no_function_and_no_module_is_left_out():
    covered = set(operators.FUNCTIONS) | operators.NOT_FOR_CPU | operators.NO_OPERATIONS
    assert covered == operators.public_functions()
    assert set(operators.MODULES) | operators.NO_LAYERS == operators.public_modules()


class Net(nn.Module):
    """A convolution, a product of activations, shared and frozen weights, an operation in place."""

    def __init__(self):
        super().__init__()
        self.stem, self.norm = nn.Conv2d(3, 8, 3, padding=1), nn.BatchNorm2d(8)
        self.first = self.again = nn.Linear(8, 8)
        self.frozen = nn.Linear(8, 4).requires_grad_(False)

    def forward(self, x):
        y = torch.relu_(self.norm(self.stem(x))).flatten(2).transpose(1, 2)
        y = self.again(nn.functional.silu(self.first(y)))
        return self.frozen(torch.softmax(y @ y.transpose(1, 2), -1) @ y)


def test_no_storage_is_pinned(tmp_path):
    net = Net()
    x = torch.randn(2, 3, 5, 5)
    with Tracer(net, tmp_path / "t.pkl", strict=True):
        y = net(x)
        y.sum().backward()
    for tensor in (*net.parameters(), *net.buffers(), x, y, *(p.grad for p in net.parameters() if p.requires_grad)):
        assert tensor.untyped_storage().resizable()
        tensor.untyped_storage().resize_(0)


def test_no_tensor_is_kept_alive(tmp_path):
    net = Net()
    x = torch.randn(2, 3, 5, 5)
    with Tracer(net, tmp_path / "t.pkl", strict=True) as tracer:
        y = net(x)
        activations = [weakref.ref(tensor) for tensor in (x, y)]
        storages = [weakref.ref(tensor.untyped_storage()) for tensor in (x, y)]
        y.sum().backward()
        del x, y
        gc.collect()
        assert [reference() for reference in activations + storages] == [None] * 4
        parameters = [weakref.ref(parameter) for parameter in net.parameters()]
        gradients = [weakref.ref(parameter.grad) for parameter in net.parameters() if parameter.requires_grad]
        net.zero_grad()
        gc.collect()
        assert not any(reference() is not None for reference in gradients)
        tracer.step()
    del net
    gc.collect()
    assert not any(reference() is not None for reference in parameters)


class _Counts(TorchDispatchMode):
    def __init__(self):
        super().__init__()
        self.seen = []

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        self.seen.append(str(function))
        return function(*args, **(kwargs or {}))


class _CountsCalls(TorchFunctionMode):
    def __init__(self):
        super().__init__()
        self.seen = []

    def __torch_function__(self, function, types, args=(), kwargs=None):
        self.seen.append(str(function))
        return function(*args, **(kwargs or {}))


@pytest.mark.parametrize("mode", [_Counts, _CountsCalls])
def test_modes_of_the_trainings_own_see_what_they_see_without_it(mode, tmp_path):
    seen = []
    for traced in (False, True):
        net, x = Net(), torch.randn(2, 3, 5, 5)
        with mode() as own:
            tracer = Tracer(net, tmp_path / "t.pkl", zero_as={"activation": "int8"}, strict=True)
            with tracer if traced else nullcontext():
                own.seen.clear()
                torch.autograd.backward(net(x).clamp(min=0).sum())
                seen.append(list(own.seen))
    assert seen[0] == seen[1]


def test_what_a_training_can_ask_is_answered_the_same(tmp_path):
    answers = []
    for traced in (False, True):
        torch.manual_seed(0)
        net, x = Net(), torch.randn(2, 3, 5, 5)
        hooks, versions = [], []
        net.stem.weight.register_hook(lambda g, hooks=hooks: hooks.append((tuple(g.shape), g.stride())))
        net.first.register_full_backward_hook(lambda m, gi, go, hooks=hooks: hooks.append(len(gi)))
        with Tracer(net, tmp_path / "t.pkl", strict=True) if traced else nullcontext():
            for _ in range(2):
                y = net(x)
                versions += [p._version for p in (*net.parameters(), *net.buffers(), x, y)]
                y.square().sum().backward()
                address = net.stem.weight.grad.data_ptr()
                versions += [p.grad.stride() for p in net.parameters() if p.requires_grad]
        assert address == net.stem.weight.grad.data_ptr()
        answers.append(
            (
                hooks,
                versions,
                torch.get_rng_state().tolist(),
                [p.requires_grad for p in net.parameters()],
                torch.is_grad_enabled(),
                torch.utils._python_dispatch.is_in_torch_dispatch_mode(),
                torch._dynamo.eval_frame._stance,
                list(warnings.filters),
                [len(p._backward_hooks or ()) for p in net.parameters()],
                len(nn.modules.module._global_forward_hooks),
            )
        )
    assert answers[0] == answers[1]


def test_flags_stay_where_a_mode_of_the_trainings_own_outlives_a_recorded_step(tmp_path):
    net = Net()
    with Tracer(net, tmp_path / "t.pkl", stop=1, strict=True) as tracer:
        with _Counts():
            net(torch.randn(2, 3, 5, 5))
            tracer.step()
            assert torch.utils._python_dispatch.is_in_torch_dispatch_mode()
        assert not torch.utils._python_dispatch.is_in_torch_dispatch_mode()


def _fsdp1_flat(net):
    """Its parameters are one flat parameter, of which the layers' weights are views."""
    from torch.distributed.fsdp import FullyShardedDataParallel

    return FullyShardedDataParallel(net, device_id=torch.device("cpu"), use_orig_params=False)


def _fsdp1_flat_by_layer(net):
    from torch.distributed.fsdp import FullyShardedDataParallel
    from torch.distributed.fsdp.wrap import ModuleWrapPolicy

    policy = ModuleWrapPolicy({nn.Linear})
    device = torch.device("cpu")
    return FullyShardedDataParallel(net, auto_wrap_policy=policy, device_id=device, use_orig_params=False)


def _fsdp1(net):
    from torch.distributed.fsdp import FullyShardedDataParallel, MixedPrecision

    precision = MixedPrecision(torch.bfloat16)
    return FullyShardedDataParallel(net, device_id=torch.device("cpu"), mixed_precision=precision, use_orig_params=True)


def _fsdp2(net):
    from torch.distributed.fsdp import fully_shard

    fully_shard(net[2])
    return fully_shard(net)


@pytest.mark.filterwarnings("ignore:FSDP is switching to use `NO_SHARD`")
@pytest.mark.filterwarnings("ignore::FutureWarning")
@pytest.mark.parametrize("shard", [_fsdp1, _fsdp1_flat, _fsdp1_flat_by_layer, _fsdp2])
def test_fully_sharded_training(shard, tmp_path):
    store = torch.distributed.FileStore(str(tmp_path / "store"), 1)
    torch.distributed.init_process_group("gloo", rank=0, world_size=1, store=store)
    try:
        outcomes = []
        for traced in (False, True):
            torch.manual_seed(0)
            net = shard(nn.Sequential(nn.Linear(8, 16), nn.ReLU(), nn.Linear(16, 16), nn.Linear(16, 4)))
            optimizer = torch.optim.SGD(net.parameters(), 0.1)
            losses = []
            with Tracer(net, tmp_path / "t.pkl", every=2, strict=True) if traced else nullcontext():
                for _ in range(4):
                    loss = net(torch.randn(5, 8)).float().square().sum()
                    loss.backward()
                    optimizer.step()
                    optimizer.zero_grad()
                    losses.append(loss.detach())
            outcomes.append([*losses, *(getattr(p, "full_tensor", lambda p=p: p)().detach() for p in net.parameters())])
    finally:
        torch.distributed.destroy_process_group()
    assert _same(*outcomes)
    found = [
        (op.step, op.name.replace("_fsdp_wrapped_module", "").strip("."), op.kind, op.needs_weight_grad)
        for op in TraceReader(tmp_path / "t.pkl")
    ]
    assert found == [(step, name, "conv", True) for step in (0, 2) for name in ("0", "2", "3")]


FUNCTIONALS = {
    "grad": lambda net, p, x: torch.func.grad(lambda p: torch.func.functional_call(net, p, (x,)).square().sum())(p),
    "vmap": lambda net, p, x: torch.func.vmap(lambda x: net(x[None])[0])(x),
    "per_sample": lambda net, p, x: torch.func.vmap(
        torch.func.grad(lambda p, x: torch.func.functional_call(net, p, (x[None],)).square().sum()), (None, 0)
    )(p, x),
    "vjp": lambda net, p, x: torch.func.vjp(lambda p: torch.func.functional_call(net, p, (x,)).sum(), p)[1](
        torch.tensor(1.0)
    ),
    "jvp": lambda net, p, x: torch.func.jvp(net, (x,), (x,)),
    "jacrev": lambda net, p, x: torch.func.jacrev(lambda p: torch.func.functional_call(net, p, (x[:1],)))(p),
    "jacfwd": lambda net, p, x: torch.func.jacfwd(net)(x[:1]),
    "hessian": lambda net, p, x: torch.func.hessian(lambda x: net(x).square().sum())(x[:1]),
}


@pytest.mark.parametrize("name", FUNCTIONALS)
def test_torch_func(name, tmp_path):
    net = nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU(), nn.Flatten(), nn.Linear(4 * 4, 2))
    parameters = {key: value.detach() for key, value in net.named_parameters()}
    x = torch.randn(3, 3, 4, 4)
    run = FUNCTIONALS[name]
    expected = _tensors(run(net, parameters, x))
    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always")
        with Tracer(net, tmp_path / "t.pkl", strict=True):
            traced = _tensors(run(net, parameters, x))
            net(x).sum().backward()
    assert _same(traced, expected)
    ops = list(TraceReader(tmp_path / "t.pkl"))
    assert [op.name for op in ops if op.needs_weight_grad] == ["0", "3"]  # the ordinary pass at the end
    assert len(ops) >= 4
    # a backward of torch.func's own is not linked to its forward, and named
    backward = name not in ("vmap", "jvp", "jacfwd")
    assert any(issubclass(warning.category, AccelsimWarning) for warning in told) == backward
