"""Whatever goes wrong while a training is recorded ends the recording, and not the training."""

import errno
import threading
import warnings
from contextlib import nullcontext

import pytest
import torch
from torch import nn
from torch.optim.optimizer import _global_optimizer_post_hooks
from torch.utils._python_dispatch import _get_current_dispatch_mode_stack

from accelsim.errors import AccelsimWarning, TraceError, TracingError
from accelsim.trace import TraceReader
from accelsim.trace.writer import TraceWriter
from accelsim.tracing import Tracer, names, recorder, steps
from accelsim.tracing.annotations import needed_outputs, note_growth_step
from accelsim.tracing.open_calls import OpenCalls
from accelsim.tracing.provenance import Provenance

STEPS = 4


class Bug(Exception):  # noqa: N818
    """None that accelsim raises."""


def _train(tracer=None, during=lambda step, net: None):
    """Return all losses, gradients and parameters of a short training, traced or not."""
    torch.manual_seed(0)
    net = nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU(), nn.Flatten(), nn.Linear(4 * 4, 2))
    optimizer = torch.optim.SGD(net.parameters(), 0.1)
    seen = []
    with nullcontext() if tracer is None else tracer(net):
        for step in range(STEPS):
            note_growth_step()
            loss = net(torch.randn(2, 3, 4, 4)).square().sum()
            optimizer.zero_grad()
            loss.backward()
            seen += [loss.detach(), *(parameter.grad.clone() for parameter in net.parameters())]
            during(step, net)
            optimizer.step()
    return [*seen, *(parameter.detach() for parameter in net.parameters())]


def _assert_unchanged(outcome):
    assert all(map(torch.equal, outcome, _train()))
    assert not _get_current_dispatch_mode_stack()
    assert not _global_optimizer_post_hooks
    assert not nn.modules.module._global_forward_hooks
    assert torch._dynamo.eval_frame._stance.stance == "default"


def _after(calls, original):
    """A function that raises from its (calls + 1)th call on."""
    count = 0

    def broken(*args, **kwargs):
        nonlocal count
        count += 1
        if count > calls:
            raise Bug("it broke")
        return original(*args, **kwargs)

    return broken


PLACES = {
    "packing a mask": (recorder, "pack", 12),
    "before an operation": (Provenance, "tag_of_result", 30),
    "after an operation": (Provenance, "follow", 30),
    "the first operation": (Provenance, "follow", 0),
    "counting": (recorder, "count_macs", 0),
    "a name": (names.ModuleNames, "_name", 3),
    "a module's end": (names, "Frame", 3),
    "writing": (TraceWriter, "write", 3),
    "a step's beginning": (steps.StepPlan, "begins", 2),
    "the first step's beginning": (steps.StepPlan, "begins", 0),
    "a step's end": (OpenCalls, "end_step", 1),
    "a step's number": (steps.StepPlan, "recorded", 1),
    "hooks": (names.ModuleNames, "install", 0),
    "a growth step": (steps.RunLog, "grows", 2),
    "the file's end": (steps.RunLog, "until", 0),
}


@pytest.mark.parametrize("place", PLACES)
def test_a_defect_anywhere(place, tmp_path, monkeypatch):
    where, name, calls = PLACES[place]
    monkeypatch.setattr(where, name, _after(calls, getattr(where, name)))

    def product(_step, _net):
        if place == "counting":
            torch.mm(torch.ones(2, 2), torch.ones(2, 2))  # outside any module

    with pytest.warns(AccelsimWarning, match="the training goes on: Bug: it broke") as told:
        outcome = _train(lambda net: Tracer(net, tmp_path / "t.pkl"), product)
    assert len(told) == 1
    monkeypatch.undo()
    _assert_unchanged(outcome)
    reader = TraceReader(tmp_path / "t.pkl")
    ops = list(reader)
    assert reader.complete
    assert "Bug: it broke" in reader.meta["failure"]
    whole = [step for step in range(STEPS) if sum(op.step == step and op.needs_weight_grad for op in ops) == 2]
    assert reader.meta["recorded_steps"] in (
        len(whole),
        len(whole) - 1,
    )  # a step that is whole by chance is not said to be
    assert {op.step for op in ops} - set(whole) <= {reader.meta["incomplete_step"]}

    monkeypatch.setattr(where, name, _after(calls, getattr(where, name)))
    with pytest.raises(Bug):
        _train(lambda net: Tracer(net, tmp_path / "t.pkl", strict=True), product)
    monkeypatch.undo()
    assert not _get_current_dispatch_mode_stack()
    assert not nn.modules.module._global_forward_hooks


class _Disk:
    """A file on a disk that is full after a number of bytes, partway through a write."""

    def __init__(self, file, room):
        self._file, self._room = file, room

    def write(self, data):
        if self._room <= 0:
            raise OSError(errno.ENOSPC, "No space left on device")
        written = self._file.write(bytes(data)[: self._room])
        self._room -= written
        return written

    def __getattr__(self, name):
        return getattr(self._file, name)


def _full(room):
    class Full(Tracer):
        def _open_sink(self, meta):
            sink = super()._open_sink(meta)
            sink._file = _Disk(sink._file, room)
            return sink

    return Full


@pytest.mark.parametrize("room", [0, 100, 1000, 1500])
def test_a_full_disk(room, tmp_path):
    with pytest.warns(AccelsimWarning, match="No space left on device") as told:
        outcome = _train(lambda net: _full(room)(net, tmp_path / "t.pkl"))
    assert len(told) == 1
    _assert_unchanged(outcome)
    reader = TraceReader(tmp_path / "t.pkl")
    assert not reader.complete
    assert len(list(reader)) < 2 * STEPS
    with pytest.raises(TraceError, match="No space left on device"):
        _train(lambda net: _full(room)(net, tmp_path / "t.pkl", strict=True))


def test_a_disk_that_is_full_at_the_end(tmp_path):
    _train(lambda net: Tracer(net, tmp_path / "t.pkl"))
    room = (tmp_path / "t.pkl").stat().st_size - TraceReader(tmp_path / "t.pkl").path.stat().st_size + 2600
    with pytest.warns(AccelsimWarning, match="No space left on device"):
        _assert_unchanged(_train(lambda net: _full(room)(net, tmp_path / "t.pkl")))


def test_a_mask_that_does_not_fit(tmp_path):
    def wrong(_step, net):
        with needed_outputs(torch.ones(2, 4, 1, 1, dtype=torch.bool)), torch.no_grad():
            net[0](torch.ones(2, 3, 4, 4))

    with pytest.warns(AccelsimWarning, match="mask of needed outputs has shape"):
        _assert_unchanged(_train(lambda net: Tracer(net, tmp_path / "t.pkl"), wrong))
    assert TraceReader(tmp_path / "t.pkl").meta["incomplete_step"] == 0


def test_a_training_in_another_thread(tmp_path):
    class Elsewhere:
        def __init__(self, net):
            self.tracer = Tracer(net, tmp_path / "t.pkl")

        def __enter__(self):
            thread = threading.Thread(target=self.tracer.__enter__)
            thread.start()
            thread.join()

        def __exit__(self, *raised):
            self.tracer.__exit__(*raised)

    with pytest.warns(AccelsimWarning, match="another thread"):
        outcome = _train(Elsewhere)
    _assert_unchanged(outcome)
    found = TraceReader(tmp_path / "t.pkl").meta
    assert "another thread" in found["failure"]
    assert "training" not in found  # its steps were not counted


@pytest.mark.filterwarnings("ignore:`torch.jit")
@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_torchscript(tmp_path):
    traced = torch.jit.trace(nn.Linear(2, 2), torch.randn(1, 2))
    with pytest.warns(AccelsimWarning, match="TorchScript"):
        _assert_unchanged(_train(lambda net: Tracer(net, tmp_path / "t.pkl"), lambda *_: traced(torch.ones(1, 2))))


def test_a_compiled_backward(tmp_path):
    torch._dynamo.reset()
    net = nn.Linear(3, 3)
    loss = torch.compile(net, backend="aot_eager")(torch.randn(2, 3)).square().sum()
    with pytest.warns(AccelsimWarning, match=r"torch\.compile"), Tracer(net, tmp_path / "t.pkl"):
        loss.backward()
    assert net.weight.grad is not None
    torch._dynamo.reset()


@pytest.mark.parametrize("error", [Bug("mine"), TracingError("mine"), TraceError("mine"), KeyboardInterrupt()])
@pytest.mark.parametrize("room", [1000, 10**6])
@pytest.mark.parametrize("strict", [False, True])
def test_exceptions_of_the_trainings_own_pass_unchanged(error, room, strict, tmp_path):
    def fail(step, _net):
        if step == 2:
            raise error

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        with pytest.raises(type(error)) as raised:
            _train(lambda net: _full(room)(net, tmp_path / "t.pkl", strict=strict and room > 1000), fail)
    assert raised.value is error
    assert error.__cause__ is None
    assert not _get_current_dispatch_mode_stack()
    if room > 1000:
        reader = TraceReader(tmp_path / "t.pkl")
        assert reader.complete
        assert reader.meta["failure"] is None


def test_an_operation_of_the_trainings_own_that_raises_is_no_failure(tmp_path):
    def wrong(_step, net):
        with pytest.raises(RuntimeError, match="shapes cannot be multiplied"):
            net[3](torch.ones(2, 5))

    _assert_unchanged(_train(lambda net: Tracer(net, tmp_path / "t.pkl"), wrong))
    assert TraceReader(tmp_path / "t.pkl").meta["recorded_steps"] == STEPS


def test_ctrl_c_inside_the_tracer_passes(tmp_path, monkeypatch):
    def interrupt(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr(recorder, "pack", interrupt)
    with pytest.raises(KeyboardInterrupt):
        _train(lambda net: Tracer(net, tmp_path / "t.pkl"))
    assert not _get_current_dispatch_mode_stack()
    assert TraceReader(tmp_path / "t.pkl").complete


def test_warnings_that_are_errors_do_not_end_the_training(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(recorder, "pack", _after(0, recorder.pack))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        outcome = _train(lambda net: Tracer(net, tmp_path / "t.pkl"))
    assert "accelsim: the recording has ended" in capsys.readouterr().err
    monkeypatch.undo()
    _assert_unchanged(outcome)


def test_steps_after_a_failure_are_counted_and_nothing_is_in_place(tmp_path, monkeypatch):
    monkeypatch.setattr(recorder, "pack", _after(0, recorder.pack))

    def nothing(step, _net):
        assert bool(_get_current_dispatch_mode_stack()) == bool(nn.modules.module._global_forward_hooks) == (step == 0)

    with pytest.warns(AccelsimWarning, match="goes on"):
        _train(lambda net: Tracer(net, tmp_path / "t.pkl"), nothing)
    found = TraceReader(tmp_path / "t.pkl").meta
    assert (found["steps"], found["recorded_steps"], found["training"]["end_step"]) == (STEPS, 0, STEPS)
