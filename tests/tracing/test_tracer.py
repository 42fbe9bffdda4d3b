"""Real loops: what is recorded of which step, under which name, against ordinary hooks."""

import copy
import signal
import subprocess
import sys
import textwrap
import threading

import numpy as np
import pytest
import torch
from torch import nn
from torch.optim.optimizer import _global_optimizer_post_hooks
from torch.utils._python_dispatch import TorchDispatchMode, _get_current_dispatch_mode_stack

from accelsim.errors import AccelsimWarning, TraceError, TracingError
from accelsim.trace import TraceReader
from accelsim.tracing import Tracer
from tests.tracing.loops import meta, record, watched


class Encoder(nn.Module):
    """Two convolutions with batch norm, a shortcut, a projector."""

    def __init__(self):
        super().__init__()
        self.stem = nn.Conv2d(3, 8, 3, padding=1, bias=False)
        self.norm = nn.BatchNorm2d(8)
        self.block = nn.Sequential(
            nn.Conv2d(8, 8, 3, stride=2, padding=1, bias=False), nn.BatchNorm2d(8), nn.ReLU(inplace=True)
        )
        self.shortcut = nn.Conv2d(8, 8, 1, stride=2, bias=False)
        self.projector = nn.Sequential(nn.Linear(8, 8), nn.ReLU(), nn.Linear(8, 4))

    def forward(self, x):
        y = torch.relu_(self.norm(self.stem(x)))
        y = self.block(y) + self.shortcut(y)
        return self.projector(torch.relu(y).mean((2, 3)))


LAYERS = ["stem", "block.0", "shortcut", "projector.0", "projector.2"]


def _pruned(model):
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.dim() > 1:
                parameter.mul_(torch.rand_like(parameter) < 0.5)
    return model


class Loop:
    """Two views, a momentum encoder, an optimizer."""

    def __init__(self):
        torch.manual_seed(0)
        self.model = _pruned(Encoder())
        self.momentum = copy.deepcopy(self.model)
        self.optimizer = torch.optim.SGD(self.model.parameters(), 0.1)

    def forward_backward(self):
        one, two = torch.randn(4, 3, 8, 8), torch.randn(4, 3, 8, 8)
        with torch.no_grad():
            target = self.momentum(two)
        loss = (self.model(one) - target).square().sum() + (self.model(two) - target).relu().sum()
        loss.backward()
        return loss

    def __call__(self):
        self.optimizer.zero_grad()
        self.forward_backward()
        self.optimizer.step()


def test_two_views_and_a_momentum_encoder(tmp_path):
    loop = Loop()
    with watched(("", loop.model), ("Encoder", loop.momentum)) as seen:
        ops = record(loop.model, tmp_path / "t.pkl", lambda _: [loop() for _ in range(2)])
    assert len(ops) == len(seen) == 2 * 3 * len(LAYERS)
    calls = {}
    for number, (op, call) in enumerate(zip(ops, seen, strict=True)):
        online = not call.name.startswith("Encoder")
        step = number // (3 * len(LAYERS))
        times = calls[step, call.name] = calls.get((step, call.name), -1) + 1
        assert (op.name, op.step, op.call, op.order) == (call.name, step, times, number % (3 * len(LAYERS)))
        for ours, theirs in ((op.input, call.input), (op.weight, call.weight)):
            assert np.array_equal(ours.reshape(theirs.shape), (theirs != 0).numpy())
        assert (op.grad_output is not None) == online == (call.grad_output is not None) == op.needs_weight_grad
        if online:
            assert np.array_equal(op.grad_output.reshape(call.grad_output.shape), (call.grad_output != 0).numpy())
            assert op.needs_input_grad == (op.name != "stem")
            relu = op.name != "stem"
            assert (op.input_grad_needed is not None) == relu
            assert not relu or np.array_equal(op.input_grad_needed, op.input)
        assert not op.recomputed
    assert meta(tmp_path / "t.pkl")["unlowered"] == {}


def test_training_is_unchanged(tmp_path):
    losses = []
    for tracer in (False, True):
        loop = Loop()
        results = losses.append([]) or losses[-1]

        def body(_, loop=loop, results=results):
            for _ in range(3):
                loop.optimizer.zero_grad()
                results.append(float(loop.forward_backward().detach()))
                loop.optimizer.step()

        record(loop.model, tmp_path / "t.pkl", body, every=2) if tracer else body(None)
    assert losses[0] == losses[1]


def test_which_steps(tmp_path):
    loop = Loop()
    ops = record(loop.model, tmp_path / "t.pkl", lambda _: [loop() for _ in range(9)], every=3, start=2, stop=8)
    assert sorted({op.step for op in ops}) == [2, 5]
    found = meta(tmp_path / "t.pkl")
    assert (found["recorded_steps"], found["steps"], found["every"], found["start"], found["stop"]) == (2, 9, 3, 2, 8)


def test_a_resumed_run_goes_on_counting(tmp_path):
    loop = Loop()
    ops = record(loop.model, tmp_path / "t.pkl", lambda _: [loop() for _ in range(4)], every=10, first_step=8)
    assert {op.step for op in ops} == {10}


def _hooks():
    module = nn.modules.module
    return len(module._global_forward_pre_hooks), len(module._global_forward_hooks), len(module._global_backward_hooks)


def test_nothing_is_in_place_on_other_steps(tmp_path):
    loop = Loop()
    free = _hooks()
    with Tracer(loop.model, tmp_path / "t.pkl", every=2, start=1) as tracer:
        for step in range(5):
            assert tracer.current_step == step
            recorded = step % 2 == 1
            assert (_hooks() != free) == bool(_get_current_dispatch_mode_stack()) == recorded
            loop()
    assert _hooks() == free
    assert not _get_current_dispatch_mode_stack()
    assert not _global_optimizer_post_hooks


def test_gradient_accumulation_is_one_step(tmp_path):
    loop = Loop()

    def body(_):
        for _ in range(2):
            for _ in range(3):
                loop.forward_backward()
            loop.optimizer.step()
            loop.optimizer.zero_grad()

    ops = record(loop.model, tmp_path / "t.pkl", body)
    assert {(op.step, op.call) for op in ops if op.name == "stem"} == {(s, c) for s in range(2) for c in range(6)}
    assert all(op.grad_output is not None for op in ops if not op.name.startswith("Encoder"))


@pytest.mark.parametrize("start", [0, 1])
def test_optimizers_side_by_side_and_explicit_steps_are_one_boundary(start, tmp_path):
    loop = Loop()
    parameters = list(loop.model.parameters())
    optimizers = [torch.optim.SGD(parameters[:3], 0.1), torch.optim.Adam(parameters[3:], 0.1)]

    def body(tracer):
        for step in range(3):
            assert tracer.current_step == step
            loop.forward_backward()
            for optimizer in optimizers:
                optimizer.step()
            if step:
                tracer.step()

    ops = record(loop.model, tmp_path / "t.pkl", body, start=start)
    assert {op.step for op in ops} == set(range(start, 3))


def test_explicit_steps_without_an_optimizer(tmp_path):
    model = _pruned(Encoder())

    def body(tracer):
        for _ in range(4):
            with torch.no_grad():
                model(torch.randn(2, 3, 8, 8))
            tracer.step()

    ops = record(model, tmp_path / "t.pkl", body, every=2)
    assert {op.step for op in ops} == {0, 2}
    assert len(ops) == 2 * len(LAYERS)


def test_step_before_backward_is_not_lost(tmp_path):
    """zero_grad, step and backward in another order: the update of a step runs when the next one begins."""
    loop = Loop()

    def body(_):
        for _ in range(3):
            loop.optimizer.step()
            loop.optimizer.zero_grad()
            loop.forward_backward()

    ops = record(loop.model, tmp_path / "t.pkl", body)
    assert {op.step for op in ops} == {0, 1, 2}
    assert all(op.grad_output is not None for op in ops if not op.name.startswith("Encoder"))


def test_gradient_scaler(tmp_path):
    loop = Loop()
    scaler = torch.amp.GradScaler("cpu")

    def body(_):
        for _ in range(2):
            loop.optimizer.zero_grad()
            loss = loop.model(torch.randn(4, 3, 8, 8)).square().sum()
            scaler.scale(loss).backward()
            scaler.step(loop.optimizer)
            scaler.update()

    assert {op.step for op in record(loop.model, tmp_path / "t.pkl", body)} == {0, 1}


def test_closures(tmp_path):
    loop = Loop()
    optimizer = torch.optim.LBFGS(loop.model.parameters(), max_iter=2)

    def closure():
        optimizer.zero_grad()
        return loop.forward_backward()

    with pytest.warns(AccelsimWarning, match=r"aten.dot × \d+, outside any module"):  # its own vector products
        ops = record(loop.model, tmp_path / "t.pkl", lambda _: [optimizer.step(closure) for _ in range(2)])
    assert {op.step for op in ops} == {0, 1}


def test_evaluation_between_steps_is_counted_not_recorded(tmp_path):
    loop = Loop()

    def body(_):
        for _ in range(2):
            loop()
            loop.model.eval()
            with torch.no_grad():
                loop.model(torch.randn(4, 3, 8, 8))
            loop.model.train()

    ops = record(loop.model, tmp_path / "t.pkl", body)  # a warning would be an error here
    assert len(ops) == 2 * 3 * len(LAYERS)
    reasons = {(entry["reason"], entry["count"]) for entry in meta(tmp_path / "t.pkl")["unlowered"].values()}
    assert reasons == {("evaluation, the model was in eval mode", 6), ("evaluation, the model was in eval mode", 4)}


@pytest.mark.parametrize("first", [True, False])
def test_evaluation_that_builds_a_graph_is_none_the_less(first, tmp_path):
    """Nobody wrote torch.no_grad: what tells is that no backward comes."""
    loop = Loop()

    def evaluate():
        loop.model.eval()
        loop.model(torch.randn(4, 3, 8, 8))
        loop.model.train()

    ops = record(loop.model, tmp_path / "t.pkl", lambda _: (first and evaluate(), loop(), first or evaluate()))
    assert len(ops) == 3 * len(LAYERS)
    assert [op.call for op in ops if op.name == "stem"] == [0, 1]
    found = meta(tmp_path / "t.pkl")
    assert sum(entry["count"] for entry in found["unlowered"].values()) == len(LAYERS)
    assert found["recorded_steps"] == 1


def test_training_in_eval_mode_is_training(tmp_path):
    loop = Loop()
    loop.model.eval()

    def body(_):
        loop.model(torch.randn(4, 3, 8, 8)).square().sum().backward()
        loop.optimizer.step()

    ops = record(loop.model, tmp_path / "t.pkl", body)
    assert [op.name for op in ops] == LAYERS
    assert all(op.needs_weight_grad for op in ops)


def test_training_in_another_thread_is_an_error(tmp_path):
    loop = Loop()
    errors = []

    def train():
        try:
            loop()
        except TracingError as error:
            errors.append(str(error))

    def train_elsewhere(_):
        thread = threading.Thread(target=train)
        thread.start()
        thread.join()

    with pytest.warns(AccelsimWarning, match="is empty.* in its thread$"):
        record(loop.model, tmp_path / "t.pkl", train_elsewhere)
    assert len(errors) == 1
    assert "another thread" in errors[0]


def test_products_of_the_loss_are_named_with_their_share(tmp_path):
    loop = Loop()

    def body(_):
        z = loop.model(torch.randn(4, 3, 8, 8))
        (z @ z.t()).logsumexp(1).sum().backward()
        loop.optimizer.step()

    with pytest.warns(AccelsimWarning, match=r"aten.mm × 1, outside any module, 0.\d+% of MACs") as warned:
        record(loop.model, tmp_path / "t.pkl", body)
    assert len(warned) == 1
    assert warned[0].filename.endswith("loops.py")  # where the with statement stands
    forward, backward = meta(tmp_path / "t.pkl")["unlowered"].values()
    assert (forward["count"], forward["macs"]) == (1, 4 * 4 * 4)
    assert (backward["count"], backward["macs"]) == (2, 2 * 4 * 4 * 4)


def test_a_broken_step_leaves_a_valid_file_and_a_clean_stack(tmp_path):
    loop = Loop()

    def broken():
        with Tracer(loop.model, tmp_path / "t.pkl"):
            loop()
            loop.model(torch.randn(4, 3, 8, 8))
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        broken()
    assert not _get_current_dispatch_mode_stack()
    reader = TraceReader(tmp_path / "t.pkl")
    assert reader.complete
    assert reader.meta["recorded_steps"] == 1
    assert reader.meta["incomplete_step"] is None  # nothing of it was written
    assert len(reader) == 3 * len(LAYERS)


def test_a_step_broken_off_in_its_backward_is_named(tmp_path):
    loop = Loop()

    def interrupt(_):
        raise KeyboardInterrupt

    loop.model.shortcut.weight.register_hook(interrupt)
    with pytest.raises(KeyboardInterrupt), Tracer(loop.model, tmp_path / "t.pkl", first_step=5):
        loop()
    reader = TraceReader(tmp_path / "t.pkl")
    assert reader.meta["incomplete_step"] == 5
    assert 0 < len(reader) < 3 * len(LAYERS)
    assert not _get_current_dispatch_mode_stack()


class _Other(TorchDispatchMode):
    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        return function(*args, **(kwargs or {}))


def test_modes_of_the_loop_stay(tmp_path):
    loop = Loop()
    with Tracer(loop.model, tmp_path / "t.pkl", every=2):
        with _Other() as other:
            loop()
            assert _get_current_dispatch_mode_stack() == [other]
            loop()
            loop()
        loop()
    assert not _get_current_dispatch_mode_stack()
    assert {op.step for op in TraceReader(tmp_path / "t.pkl")} == {0, 2}


def test_metadata(tmp_path, monkeypatch):
    monkeypatch.setattr(sys, "argv", ["train.py", "--data", "my photos"])
    loop = Loop()
    record(loop.model, tmp_path / "t.pkl", lambda _: loop(), zero_as={"gradient": "int8"}, meta={"seed": 3})
    found = meta(tmp_path / "t.pkl")
    assert found["seed"] == 3
    assert found["model"] == "Encoder"
    assert found["torch"] == str(torch.__version__)
    assert found["command"] == "train.py --data 'my photos'"
    assert found["zero_as"] == {"weight": "exact", "activation": "exact", "gradient": "int8"}
    assert found["dtype"] == "float32"


def test_zero_as_reaches_the_masks(tmp_path):
    loop = Loop()
    with watched(("", loop.model)) as seen:
        ops = record(loop.model, tmp_path / "t.pkl", lambda _: loop(), zero_as={"gradient": "int8", "weight": 0.1})
    ops = [op for op in ops if not op.name.startswith("Encoder")]
    for op, call in zip(ops, seen, strict=True):
        gradient = call.grad_output
        int8 = torch.round(gradient / (gradient.abs().max().clamp(min=1e-30) / 127)) != 0
        assert np.array_equal(op.grad_output.reshape(int8.shape), int8.numpy())
        assert np.array_equal(op.weight.reshape(call.weight.shape), (call.weight.abs() > 0.1).numpy())


@pytest.mark.parametrize(
    "options",
    [{"every": 0}, {"start": -1}, {"stop": 1, "start": 2}, {"every": 1.5}, {"first_step": -1}, {"zero_as": "fp9"}],
)
def test_bad_arguments(options, tmp_path):
    with pytest.raises(TracingError, match=next(iter(options))):
        Tracer(nn.Linear(2, 2), tmp_path / "t.pkl", **options)


def test_bad_uses(tmp_path):
    with pytest.raises(TracingError, match="expected a torch"):
        Tracer("model", tmp_path / "t.pkl")
    tracer = Tracer(nn.Linear(2, 2), tmp_path / "t.pkl")
    with pytest.raises(TracingError, match="outside"):
        tracer.step()
    with pytest.warns(AccelsimWarning, match="is empty: no convolution and no matrix product ran"), tracer:
        pass
    with pytest.raises(TracingError, match="used already"), tracer:
        pass
    with pytest.raises(TracingError, match="outside"):
        tracer.step()
    with pytest.raises(TraceError, match="cannot be written"), Tracer(nn.Linear(2, 2), tmp_path / "no" / "t.pkl"):
        pass
    with pytest.raises(TraceError), Tracer(nn.Linear(2, 2), tmp_path / "t.pkl", meta={"model": nn.ReLU()}):
        pass
    assert not _global_optimizer_post_hooks


def test_only_one_tracer_at_a_time(tmp_path):
    loop = Loop()
    with Tracer(loop.model, tmp_path / "a.pkl"):
        with pytest.raises(TracingError, match="already recording"), Tracer(loop.model, tmp_path / "b.pkl"):
            pass
        loop()
    assert len(TraceReader(tmp_path / "a.pkl")) == 3 * len(LAYERS)
    record(loop.model, tmp_path / "b.pkl", lambda _: loop())


def test_a_killed_run_leaves_what_was_complete(tmp_path):
    script = f"""
        import sys, torch
        from torch import nn
        from accelsim.tracing import Tracer
        torch.set_num_threads(1)
        model = nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU(), nn.Conv2d(4, 4, 3))
        optimizer = torch.optim.SGD(model.parameters(), 0.1)
        with Tracer(model, {str(tmp_path / "t.pkl")!r}):
            for step in range(1000000):
                model(torch.randn(2, 3, 8, 8)).square().sum().backward()
                optimizer.step()
                print(step, flush=True)
    """
    process = subprocess.Popen([sys.executable, "-c", textwrap.dedent(script)], stdout=subprocess.PIPE, text=True)
    for line in process.stdout:
        if int(line) >= 5:
            process.send_signal(signal.SIGKILL)
            break
    process.wait()
    reader = TraceReader(tmp_path / "t.pkl")
    assert not reader.complete
    assert len(list(reader)) == len(reader) >= 12
    assert {op.name for op in reader} == {"0", "2"}


def test_memory_stays_near_one_steps_packed_masks(tmp_path):
    """Between forward and backward nothing of a tensor's size is alive but packed bits."""
    model = nn.Sequential(*[nn.Sequential(nn.Conv2d(8, 8, 3, padding=1), nn.ReLU()) for _ in range(4)])
    x = torch.randn(16, 8, 32, 32)
    with Tracer(model, tmp_path / "t.pkl") as tracer:
        y = model(x)
        held = tracer._calls._open.values()
        packed = {id(mask.bits): mask.bits.nbytes for call in held for mask in (call.weight, call.input)}
        assert sum(packed.values()) == 4 * (x.numel() + 8 * 8 * 9) // 8
        y.sum().backward()
        assert not tracer._calls._open
        assert sum(mask.bits.nbytes for _, mask in tracer._recorder._weights.values()) == 4 * 8 * 8 * 9 // 8
