"""What torch.compile compiles: run uncompiled on recorded steps, and as fast as before on the others."""

import cProfile
import warnings
from contextlib import nullcontext

import pytest
import torch
from torch import nn

from accelsim.errors import AccelsimWarning
from accelsim.trace import TraceReader
from accelsim.tracing import Tracer


@pytest.fixture(autouse=True)
def _fresh():
    torch._dynamo.reset()
    yield
    torch._dynamo.reset()


class Counting:
    """A backend that counts how often what it compiled runs."""

    def __init__(self):
        self.compiled = self.ran = 0

    def __call__(self, graph, _inputs):
        self.compiled += 1

        def run(*args):
            self.ran += 1
            return graph(*args)

        return run


@pytest.mark.parametrize("fullgraph", [False, True])
@pytest.mark.parametrize("recorded", [0, 3])
def test_steps_after_a_recorded_one_run_compiled(recorded, fullgraph, tmp_path):
    model, backend = nn.Sequential(nn.Linear(8, 8), nn.ReLU(), nn.Linear(8, 2)), Counting()
    compiled = torch.compile(model, backend=backend, fullgraph=fullgraph)
    optimizer = torch.optim.SGD(model.parameters(), 0.1)
    x, ran = torch.randn(4, 8), []
    with Tracer(model, tmp_path / "t.pkl", start=recorded, stop=recorded + 1, strict=True):
        for _ in range(21):
            before = backend.ran
            compiled(x).square().sum().backward()
            optimizer.step()
            optimizer.zero_grad()
            ran.append(backend.ran - before)
    assert ran == [int(step != recorded) for step in range(21)]
    assert backend.compiled == 1
    assert [op.step for op in TraceReader(tmp_path / "t.pkl")] == [recorded] * 2


def test_functions_that_first_run_in_a_recorded_step_are_compiled_later(tmp_path):
    """A frame that PyTorch once decided to leave alone stays so for good."""
    backend = Counting()

    @torch.compile(backend=backend)
    def loss(y):
        return y.square().sum()

    model = nn.Linear(8, 8)
    with Tracer(model, tmp_path / "t.pkl", stop=1, strict=True) as tracer:
        loss(model(torch.randn(4, 8))).backward()
        tracer.step()
        assert backend.ran == 0
        loss(model(torch.randn(4, 8))).backward()
    assert backend.ran == 1


def test_a_stance_of_the_trainings_own_stays(tmp_path):
    model, backend = nn.Linear(8, 8), Counting()
    compiled = torch.compile(model, backend=backend)
    with Tracer(model, tmp_path / "t.pkl", stop=1, strict=True) as tracer:
        torch.compiler.set_stance("force_eager")
        try:
            compiled(torch.randn(4, 8))
            tracer.step()
            compiled(torch.randn(4, 8))
        finally:
            torch.compiler.set_stance("default")
    assert backend.ran == 0


def _whole_step(backend):
    model = nn.Linear(8, 8)
    optimizer = torch.optim.SGD(model.parameters(), 0.01)

    @torch.compile(backend=backend)
    def step(x):
        loss = model(x).square().sum()
        loss.backward()
        optimizer.step()
        optimizer.zero_grad()
        return loss.detach()

    return model, step, 1


def _optimizer(backend):
    model = nn.Linear(8, 8)
    optimizer = torch.optim.SGD(model.parameters(), 0.01)
    compiled = torch.compile(model, backend=backend)

    @torch.compile(backend=backend)
    def update():
        optimizer.step()

    def step(x):
        loss = compiled(x).square().sum()
        loss.backward()
        update()
        optimizer.zero_grad()
        return loss.detach()

    return model, step, 1


def _two_that_take_turns(backend):
    model = nn.ModuleList([nn.Linear(8, 8), nn.Linear(8, 1)])
    generator, discriminator = (torch.compile(part, backend=backend) for part in model)
    optimizers = [torch.optim.SGD(part.parameters(), 0.01) for part in model]

    def step(x):
        fake = generator(x)
        (discriminator(fake.detach()) - discriminator(x)).square().sum().backward()
        optimizers[1].step()
        loss = discriminator(fake).square().sum()
        loss.backward()
        optimizers[0].step()
        model.zero_grad()
        return loss.detach()

    return model, step, 2


@pytest.mark.parametrize("loop", [_whole_step, _optimizer, _two_that_take_turns])
def test_whatever_is_compiled_is_recorded_and_compiled_again(loop, tmp_path):
    """Within a compiled call the mode must stay: a step that ends there is ended when the call has returned."""
    outcomes = []
    for traced in (False, True):
        torch._dynamo.reset()
        torch.manual_seed(0)
        backend = Counting()
        model, step, turns = loop(backend)
        losses, ran = [], []
        with warnings.catch_warnings():
            warnings.filterwarnings("error", "Using `torch.compile|Dynamo does not know")
            with Tracer(model, tmp_path / "t.pkl", every=4 * turns, strict=True) if traced else nullcontext():
                for _ in range(9):
                    before = backend.ran
                    losses.append(step(torch.randn(4, 8)))
                    ran.append(backend.ran - before)
        outcomes.append((losses, ran, backend.compiled))
    (expected, once, compiled), (losses, ran, compiled_traced) = outcomes
    assert all(map(torch.equal, losses, expected))
    assert ran == [0 if number % 4 == 0 else each for number, each in enumerate(once)]
    assert compiled_traced == compiled
    assert {op.step for op in TraceReader(tmp_path / "t.pkl")} == {0, 4 * turns, 8 * turns}
    assert all(op.needs_weight_grad for op in TraceReader(tmp_path / "t.pkl"))


def test_a_step_inside_compiled_code_under_a_profiler_ends_the_recording(tmp_path):
    model, step, _ = _whole_step(Counting())
    with (
        cProfile.Profile(),
        pytest.warns(AccelsimWarning, match="profiled"),
        Tracer(model, tmp_path / "t.pkl", every=2),
    ):
        losses = [step(torch.ones(4, 8)) for _ in range(3)]
    assert losses[2] < losses[0]
    assert not torch.utils._python_dispatch._get_current_dispatch_mode_stack()


@pytest.mark.filterwarnings("ignore:flex_attention called without")
def test_flex_attention_is_counted(tmp_path):
    attention = pytest.importorskip("torch.nn.attention.flex_attention").flex_attention
    layer, x = nn.Linear(16, 16), torch.randn(1, 2, 128, 16)
    with torch.no_grad():
        expected = attention(*[layer(x)] * 3)
        with (
            pytest.warns(AccelsimWarning, match="flex_attention × 1"),
            Tracer(layer, tmp_path / "t.pkl", strict=True),
        ):
            assert torch.equal(attention(*[layer(x)] * 3), expected)
