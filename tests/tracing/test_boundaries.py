"""Where steps end with several optimizers, with optimizers in the backward, and where gradients come late."""

import numpy as np
import pytest
import torch
from torch import nn

from accelsim.errors import AccelsimWarning
from accelsim.live import live
from accelsim.trace import TraceReader
from accelsim.tracing import Tracer
from tests.tracing.loops import meta, record, watched

LAYERS = ["0", "2", "4"]


def _net():
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(5, 6), nn.ReLU(), nn.Linear(6, 6), nn.ReLU(), nn.Linear(6, 3))


def _optimizers_in_backward(net):
    """As in PyTorch's tutorial: each parameter steps as soon as its gradient is there."""
    optimizers = {parameter: torch.optim.SGD([parameter], 0.01) for parameter in net.parameters()}

    def step(parameter):
        optimizers[parameter].step()
        optimizers[parameter].zero_grad()

    for parameter in net.parameters():
        parameter.register_post_accumulate_grad_hook(step)


def _train(net, steps):
    for _ in range(steps):
        net(torch.randn(4, 5)).square().sum().backward()


@pytest.mark.parametrize(("every", "start"), [(1, 0), (2, 0), (2, 1), (3, 2)])
def test_optimizers_in_the_backward_make_one_step(every, start, tmp_path):
    net = _net()
    _optimizers_in_backward(net)
    ops = record(net, tmp_path / "t.pkl", lambda _: _train(net, 5), every=every, start=start)
    steps = list(range(start, 5, every))
    assert [(op.name, op.step) for op in ops] == [(name, step) for step in steps for name in LAYERS]
    assert all(op.needs_weight_grad and op.grad_output is not None for op in ops)
    assert all(op.needs_input_grad == (op.name != "0") for op in ops)
    found = meta(tmp_path / "t.pkl")
    assert (found["steps"], found["recorded_steps"], found["unlowered"]) == (5, len(steps), {})
    assert found["training"]["end_step"] == 5


def test_a_parameter_that_gets_no_gradient_in_some_steps(tmp_path):
    """As experts do: its optimizer is missing then, and the model's next forward begins the next step."""
    net = _net()
    extra = net.append(nn.Linear(3, 3))[-1]
    net[-1].forward = lambda x: nn.functional.linear(x, extra.weight, extra.bias) if used[0] else x
    _optimizers_in_backward(net)
    used = [True]

    def body(tracer):
        for step, use in enumerate([True, False, False, True, True, False]):
            used[0] = use
            _train(net, 1)
            assert tracer.current_step <= step + 1

    ops = record(net, tmp_path / "t.pkl", body)
    assert [sum(op.step == step for op in ops) for step in range(6)] == [4, 3, 3, 4, 4, 3]
    assert all(op.grad_output is not None for op in ops)
    assert meta(tmp_path / "t.pkl")["steps"] == 6


@pytest.mark.parametrize("start", [0, 1])
def test_an_optimizer_of_part_of_the_model(start, tmp_path):
    """Nothing says that no other one follows it but the model's next forward, once."""
    net = _net()
    optimizer = torch.optim.SGD(net[4].parameters(), 0.01)
    seen = []

    def body(tracer):
        for _ in range(3):
            _train(net, 1)
            optimizer.step()
            seen.append(tracer.current_step)

    ops = record(net, tmp_path / "t.pkl", body, start=start)
    assert [(op.name, op.step) for op in ops] == [(name, step) for step in range(start, 3) for name in LAYERS]
    assert seen == [0, 2, 3]
    assert not nn.modules.module._global_forward_pre_hooks


def test_the_head_of_its_own_is_named_where_recording_begins_with_a_forward(tmp_path):
    class Model(nn.Module):
        def __init__(self):
            super().__init__()
            self.head = nn.Parameter(torch.randn(5, 3))
            self.other = nn.Parameter(torch.randn(5, 3))

        def forward(self, x):
            return x @ self.head

    model = Model()
    optimizer = torch.optim.SGD([model.head], 0.01)

    def body(_):
        for _ in range(2):
            model(torch.randn(4, 5)).square().sum().backward()
            optimizer.step()

    assert [(op.name, op.step) for op in record(model, tmp_path / "t.pkl", body, start=1)] == [("head", 1)]


class Gan(nn.Module):
    def __init__(self):
        super().__init__()
        torch.manual_seed(0)
        self.g = nn.Sequential(nn.Linear(4, 6), nn.ReLU(), nn.Linear(6, 5))
        self.d = nn.Sequential(nn.Linear(5, 6), nn.ReLU(), nn.Linear(6, 1))


def _train_gan(gan, steps):
    """As in PyTorch's DCGAN example: G runs in D's step, its backward after D's optimizer stepped."""
    of_d, of_g = torch.optim.SGD(gan.d.parameters(), 0.01), torch.optim.SGD(gan.g.parameters(), 0.01)
    for _ in range(steps):
        gan.d.zero_grad()
        gan.d(torch.randn(3, 5)).square().sum().backward()
        fake = gan.g(torch.randn(3, 4))
        gan.d(fake.detach()).relu().sum().backward()
        of_d.step()
        gan.g.zero_grad()
        gan.d(fake).relu().sum().backward()
        of_g.step()


@pytest.mark.parametrize("every", [1, 2, 4])
def test_a_gradient_belongs_to_its_call_whatever_stepped_between(every, tmp_path):
    gan = Gan()
    with watched(("", gan)) as seen:
        ops = record(gan, tmp_path / "t.pkl", lambda _: _train_gan(gan, 4), every=every)
    assert meta(tmp_path / "t.pkl")["steps"] == 8  # D's and G's
    assert meta(tmp_path / "t.pkl")["unlowered"] == {}
    steps = range(0, 8, every)
    assert sorted({op.step for op in ops}) == list(steps)
    number = 0
    for step in range(8):
        calls = seen[number : number + (2 if step % 2 else 6)]
        number += len(calls)
        recorded = [op for op in ops if op.step == step]
        assert [op.name for op in recorded] == ([call.name for call in calls] if step in steps else [])
        for op, call in zip(recorded, calls, strict=False):
            assert op.needs_weight_grad
            assert np.array_equal(op.grad_output.reshape(call.grad_output.shape), (call.grad_output != 0).numpy())
    assert number == len(seen)


def test_a_generator_alone_has_one_step_each(tmp_path):
    """The model that is traced says what a step is: D's forwards do not begin one of G."""
    gan = Gan()
    ops = record(gan.g, tmp_path / "t.pkl", lambda _: _train_gan(gan, 3))
    assert meta(tmp_path / "t.pkl")["steps"] == 3
    own = [op for op in ops if "." not in op.name]
    assert [(op.name, op.step) for op in own] == [(name, step) for step in range(3) for name in ("0", "2")]
    assert all(op.grad_output is not None for op in ops)


def test_a_call_without_gradient_in_the_next_step_either_is_forward_only(tmp_path):
    net = _net()
    optimizer = torch.optim.SGD(net.parameters(), 0.0)

    def body(tracer):
        for _ in range(3):
            net[:1](torch.randn(4, 5))  # builds a graph that nobody uses
            _train(net, 1)
            optimizer.step()
        assert tracer.current_step == 3

    ops = record(net, tmp_path / "t.pkl", body, every=2)
    assert [(op.name, op.step, op.grad_output is None) for op in ops] == [
        (name, step, first)
        for step in (0, 2)
        for name, first in (("0", True), ("0", False), ("2", False), ("4", False))
    ]


def test_a_gradient_two_steps_later_is_counted(tmp_path):
    net = _net()

    def body(tracer):
        loose = net(torch.randn(4, 5))
        for _ in range(2):
            _train(net, 1)
            tracer.step()
        loose.sum().backward()

    with pytest.warns(AccelsimWarning, match="backward of an operation"):
        ops = record(net, tmp_path / "t.pkl", body)
    assert [op.grad_output is None for op in ops] == [True] * 3 + [False] * 6


def test_an_exception_loses_nothing_of_the_step_before(tmp_path):
    gan = Gan()

    def body(_):
        _train_gan(gan, 1)
        gan.g(torch.randn(3, 4))
        torch.optim.SGD(gan.parameters(), 0.1).step()
        gan.d(torch.randn(3, 5))
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        record(gan, tmp_path / "t.pkl", body)
    reader = TraceReader(tmp_path / "t.pkl")
    assert [(op.name, op.step) for op in reader][-2:] == [("g.0", 2), ("g.2", 2)]


def test_live_simulates_steps_with_their_late_gradients():
    gan = Gan()
    with live(gan, "hw_configs/pe16x16.yaml", every=2, waiting=9) as meter:
        _train_gan(gan, 3)
    assert meter.skipped == 0
    rows = meter.result.layers
    of_g = rows[(rows["layer"] == "g.2") & (rows["pass"] == "weight_grad")]
    assert list(of_g["step"]) == [0, 2, 4]


def test_many_optimizers_that_step_in_a_step_of_no_graph(tmp_path):
    """Without autograd only recorded steps can be seen, as before."""
    net = _net()
    optimizer = torch.optim.SGD(net.parameters(), 0.1)
    with Tracer(net, tmp_path / "t.pkl") as tracer:
        for step in range(2):
            with torch.no_grad():
                net(torch.randn(4, 5))
            optimizer.step()
            assert tracer.current_step == step + 1
