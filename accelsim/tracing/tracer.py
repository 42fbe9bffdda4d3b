"""Records a training loop, unchanged: the context manager that users see."""

from __future__ import annotations

import os
import threading
import warnings
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, ClassVar, Self

import torch
from torch import nn
from torch._compile import _disable_dynamo
from torch.nn.modules.module import register_module_forward_pre_hook
from torch.optim.optimizer import register_optimizer_step_post_hook
from torch.utils.hooks import RemovableHandle

from accelsim.errors import AccelsimWarning, TracingError
from accelsim.trace.writer import TraceWriter
from accelsim.tracing import annotations as notes
from accelsim.tracing.boundaries import Boundaries
from accelsim.tracing.containment import Containment
from accelsim.tracing.description import description
from accelsim.tracing.names import ModuleNames
from accelsim.tracing.open_calls import OpenCalls, Sink
from accelsim.tracing.other_work import OtherWorkLog
from accelsim.tracing.ranks import own_path
from accelsim.tracing.recorder import Recorder
from accelsim.tracing.shortfall import shortfall
from accelsim.tracing.steps import RunLog, StepPlan, count
from accelsim.tracing.switch import Switch
from accelsim.tracing.uncompiled import Uncompiled
from accelsim.tracing.unlowered import Unlowered
from accelsim.tracing.unseen import Unseen
from accelsim.tracing.zeros import ZeroAsSetting, Zeros


class Tracer:
    """Records the sparse masks of a training loop while the loop runs inside its `with` block, unchanged.

        with Tracer(model, "run.pkl", every=10):
            for images, labels in loader:
                loss = criterion(model(images), labels)
                optimizer.zero_grad(); loss.backward(); optimizer.step()

    A training step ends when the last of its optimizers has stepped: of those that stepped in the step before, or, for
    the first step, when they hold all parameters that train. Otherwise it ends at the model's next forward. On steps
    that are not recorded only the hook on optimizers is in place.

    Args:
        model: names come from its `named_modules()`; modules outside it are recorded under their class's name.
        path: the trace file, replaced if it exists. In a process group of several (`torchrun`), each process writes
            NAME.rank0.pkl, NAME.rank1.pkl, ... of NAME.pkl.
        every: record one step in this many. Where a sparse method grows weights by gradient in some steps, the nearest
            later step of the other kind is also recorded with each (see `growth_steps`).
        start: the first step to record.
        stop: the step at which to stop, not recorded itself; None means never.
        growth_steps: record steps that grow weights by gradient as a kind of their own: after each recorded step the
            next one of the other kind, before `stop`, is recorded too. So up to twice as many steps are in the file
            if weights grow by gradient, and no other ones if they do not.
        first_step: number of the step that runs when the block is entered (a resumed run goes on counting).
        zero_as: what counts as zero: "exact", "fp8_e5m2", "fp8_e4m3", "int8", a magnitude up to which a number is
            zero, or a dict of these by "weight", "activation", "gradient".
        meta: plain values to keep in the trace's metadata (data set, seed, ...).
        strict: let whatever goes wrong while the loop runs raise, as a test wants it. By default the recording ends
            then, with one `AccelsimWarning` that names the cause, the file stays readable, and the training goes on.

    Raises:
        TracingError: an argument that cannot be used, or a model that cannot be recorded.
        TraceError: the file cannot be written, or `meta` holds something else than plain values.
    """

    _recording: ClassVar[Path | None] = None
    """The file of the tracer that is active in this process: modules' hooks and optimizers' are global, so one is."""

    def __init__(
        self,
        model: nn.Module,
        path: str | os.PathLike[str],
        *,
        every: int = 1,
        start: int = 0,
        stop: int | None = None,
        growth_steps: bool = True,
        first_step: int = 0,
        zero_as: ZeroAsSetting = "exact",
        meta: Mapping[str, Any] | None = None,
        strict: bool = False,
    ) -> None:
        if not isinstance(model, nn.Module):
            raise TracingError(f"model is a {type(model).__name__}, expected a torch.nn.Module")
        self._plan = StepPlan(every, start, stop, growth_steps)
        self._step = count("first_step", first_step, 0)
        self._log = RunLog(self._step)
        self._zeros = Zeros.parse(zero_as)
        self._model = getattr(model, "_orig_mod", model)  # torch.compile's wrapper
        self._path, self._meta = Path(path), dict(meta or {})
        self._unseen = Unseen()
        self._contained = Containment(strict)
        self._names = ModuleNames(self._model, self._entered, self._contained)
        self._uncompiled = Uncompiled()
        self._unlowered = Unlowered()
        self._other_work = OtherWorkLog()
        self._writer: Sink | None = None
        self._records = False
        self._over = False
        self._deferred = False  # what ends the step waits for a compiled call to return
        self._closed = True

    @property
    def current_step(self) -> int:
        """Number of the step that is running."""
        return self._step + self._over

    def __enter__(self) -> Self:
        if self._writer is not None:
            raise TracingError(f"the tracer of {self._path} was used already: make a new one for another recording")
        if Tracer._recording is not None:
            raise TracingError(f"a tracer is already recording to {Tracer._recording}: leave its with block first")
        self._writer = self._open_sink(description(self._model, self._plan, self._zeros) | self._meta)
        Tracer._recording = self._writer.path
        self._closed = False
        self._process, self._thread = os.getpid(), threading.get_ident()
        self._calls = OpenCalls(self._writer, self._unlowered)
        self._recorder = Recorder(
            self._model,
            self._names,
            self._calls,
            self._zeros,
            self._unlowered,
            self._unseen,
            self._other_work,
            self._contained,
        )
        self._switch = Switch(self._recorder, self._names, self._uncompiled)
        self._recorded = 0
        self._tried = False
        self._counts_steps = True
        self._ended_by_optimizer = False
        self._boundaries = Boundaries(self._model)
        self._forward_hook: RemovableHandle | None = None
        self._late: int | None = None
        self._hook = register_optimizer_step_post_hook(self._optimizer_stepped)
        notes.listen(self)
        self._uncompiled.hush()
        try:
            with self._contained:
                self._begin()
        except BaseException as error:
            self.__exit__(type(error), error, error.__traceback__)
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if kind is not None:
            self._contained.strict = False  # the training's own exception is the one to be seen
        try:
            if os.getpid() == self._process:
                with self._contained:
                    self._settle()
        finally:
            self._let_go()
            if os.getpid() == self._process:
                with self._contained:
                    self._finish_file(complete=kind is None)
            del (
                self._model,
                self._names,
                self._recorder,
                self._switch,
                self._boundaries,
            )  # nothing of the training is kept alive
        if kind is None and self._contained.failure is None and os.getpid() == self._process:
            self._warn_of_shortfall()

    def _let_go(self) -> None:
        """Take away all that was put in place."""
        Tracer._recording = None
        self._closed = True
        self._hook.remove()
        self._stop_waiting()
        notes.listen(None)
        self._uncompiled.unhush()
        with self._contained:
            self._switch.turn_off()

    def step(self) -> None:
        """End a training step where no optimizer does; right after an optimizer's step it changes nothing."""
        if self._closed:
            raise TracingError("step() was called outside the tracer's with block")
        with self._contained:
            self._settle()
            if self._anything_ran() or not self._ended_by_optimizer:
                self._next()
            self._ended_by_optimizer = False

    def step_grows(self) -> None:
        """Hear that the running step grows weights by gradient (see `annotations.note_growth_step`)."""
        if os.getpid() != self._process:
            return
        with self._contained:
            self._settle()
            self._log.grows(self._step)
            wanted = self._plan.grows(self._step)
            if not self._has_records() and not self._nodes_made():  # of a step under way a part would be missing
                self._record(wanted)

    def masks_selected(self, selection: notes.Selection) -> None:
        """Hear of an update of the masks (see `annotations.note_selection`)."""
        if os.getpid() == self._process:
            with self._contained:
                self._settle()
                self._log.selected(self._step, selection)

    def _open_sink(self, meta: dict[str, Any]) -> Sink:
        """Return where records go; overridden by what does not write one file."""
        return TraceWriter(own_path(self._path), meta=meta)

    @_disable_dynamo
    def _optimizer_stepped(self, optimizer: torch.optim.Optimizer, *_: Any) -> None:
        if os.getpid() != self._process:
            return
        with self._contained:
            if threading.get_ident() != self._thread:
                self._counts_steps = False
                raise TracingError(
                    "an optimizer stepped in another thread than the tracer's: enter the tracer where it trains"
                )
            self._settle()
            if not self._anything_ran():
                self._boundaries.stepped_late(optimizer)
                return
            self._other_work.updated(optimizer)
            self._over = self._boundaries.stepped(optimizer) or self._over
            self._settle()
            if self._boundaries.waiting and self._forward_hook is None:
                self._forward_hook = register_module_forward_pre_hook(self._next_forward)

    def _settle(self) -> None:
        """End a step that is over, unless a backward runs: it would put the mode back that was taken away in it."""
        if not self._over or _in_backward() or self._deferred:
            return
        if (call := self._uncompiled.call()) is not None:
            self._uncompiled.when_returned(call, self._settle_at_last)
            self._deferred = True
            return
        self._next()
        self._ended_by_optimizer = True

    def _settle_at_last(self) -> None:
        self._deferred = False
        if not self._closed:
            with self._contained:
                self._settle()

    def _entered(self, module: nn.Module, name: str) -> None:
        if threading.get_ident() == self._thread:  # operations of other threads are not seen
            self._unseen.ran(module, name)

    @_disable_dynamo
    def _next_forward(self, module: nn.Module, inputs: Any) -> None:
        """End a step whose optimizers have stepped, though not all that did before, as the model runs again."""
        elsewhere = os.getpid() != self._process or threading.get_ident() != self._thread
        own = getattr(module, "_orig_mod", module)  # torch.compile's wrapper
        with self._contained:
            if (
                elsewhere
                or _in_backward()
                or self._uncompiled.call()
                or all(own is not part for part in self._model.modules())
            ):
                return
            was_on = self._switch.on
            self._next()
            if self._switch.on and not was_on:
                self._names.enter(module, inputs)  # its own hook comes too late for this call

    def _next(self) -> None:
        """End the running step and begin the next one."""
        self._over = False
        self._end()
        self._step += 1
        self._begin()

    def _stop_waiting(self) -> None:
        if self._forward_hook is not None:
            self._forward_hook.remove()
            self._forward_hook = None

    def _anything_ran(self) -> bool:
        return self._nodes_made() or (self._switch.on and self._recorder.operations > 0)

    def _nodes_made(self) -> bool:
        # every node of an autograd graph takes a number, so on steps not recorded this needs no hook
        return bool(torch._C._autograd._get_sequence_nr() != self._first_number)

    def _begin(self) -> None:
        self._first_number = torch._C._autograd._get_sequence_nr()
        self._record(self._plan.begins(self._step))

    def _record(self, wanted: bool) -> None:
        """Begin to record the running step, of which nothing has run, or do not."""
        self._records = wanted and self._contained.failure is None
        on = self._records or self._calls.waits
        if on != self._switch.on and self._uncompiled.call() is not None:
            raise TracingError("a step ended inside compiled code: call step() outside of it")
        if not on:
            self._switch.turn_off()
            return
        self._recorder.begin_step(self._step, self._records)
        self._switch.turn_on()

    def _end(self) -> None:
        with self._contained:
            self._tried |= self._records and (self._nodes_made() or self._recorder.operations > 0)
            self._calls.end_step()
            self._other_work.end_step(self._has_records())
            self._finish_late()
        if self._contained.failure is not None:
            self._break_off()
            self._late = None
            self._calls.forget(0)
        elif self._has_records():
            self._recorded += 1
            self._plan.recorded(self._step)
            self._late = self._step
            if not self._calls.waits:
                self._finish_late()
        self._stop_waiting()
        self._boundaries.ended()

    def _break_off(self) -> None:
        """Leave the running step as it is: calls whose backward is missing would look like a momentum encoder's."""
        assert self._writer is not None
        if self._has_records():
            self._writer.meta["incomplete_step"] = self._step
            self._other_work.end_step(has_records=True)
        self._records = False
        self._calls.forget(self._step)

    def _finish_late(self) -> None:
        """Write what is left of the step before, whose gradients might have come in the running one."""
        if self._late is not None:
            self._calls.write_until(self._late)
            self._step_written(self._late)
            self._late = None

    def _step_written(self, step: int) -> None:
        """Take note that all records of a step are written; overridden by what needs whole steps."""

    def _has_records(self) -> bool:
        return self._records and self._calls.records > 0

    def _finish_file(self, complete: bool) -> None:
        """Write what is left to write; `complete` unless an exception broke off the running step."""
        assert self._writer is not None
        try:
            with self._contained:
                unended = False
                if complete:
                    stepped = self._boundaries.waiting
                    self._end()
                    self._step += stepped
                    unended = self._has_records() and not stepped  # a last step that no optimizer ended
                else:
                    self._break_off()
                self._finish_late()
                if self._counts_steps:
                    self._writer.meta["training"] = self._log.until(self._step + unended).plain()
        finally:
            self._writer.meta["recorded_steps"] = self._recorded
            self._writer.meta["steps"] = self._step
            self._writer.meta["dtype"] = ", ".join(sorted(self._calls.dtypes))
            self._writer.meta["unlowered"] = self._unlowered.plain()
            self._writer.meta["other_work"] = self._other_work.done.plain()
            self._writer.meta["failure"] = self._contained.failure
            self._writer.close()

    def _warn_of_shortfall(self) -> None:
        assert self._writer is not None
        if lacking := shortfall(self._writer.path, self._unlowered, self._unseen.names(), self._why_empty()):
            warnings.warn(lacking, AccelsimWarning, stacklevel=3)

    def _why_empty(self) -> str | None:
        """Why nothing was recorded: which steps ran; "" if none or one that was to be recorded; None if one was."""
        if self._recorded:
            return None
        first, last = self._log.first_step, self._step - 1
        return "" if self._tried or last < first else self._plan.why_none(first, last)


def _in_backward() -> bool:
    return torch._C._current_graph_task_id() >= 0
