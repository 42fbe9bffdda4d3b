"""The meter: records every Nth step of a training and has it simulated while the training goes on."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any

from torch import nn

from accelsim.errors import AccelsimError, TracingError
from accelsim.hardware.load import check_hardware, load_hardware
from accelsim.hardware.model import Hardware
from accelsim.live.messages import Simulated
from accelsim.live.remote import Remote
from accelsim.live.scalars import Scalars
from accelsim.live.sink import StepFiles
from accelsim.trace.other_work import OtherWork
from accelsim.tracing import Tracer
from accelsim.tracing.containment import tell
from accelsim.tracing.open_calls import Sink
from accelsim.tracing.ranks import rank_and_size
from accelsim.tracing.zeros import ZeroAsSetting

if TYPE_CHECKING:
    from rich.console import Console

    from accelsim.results import PassResult, Result

WAITING = 2


class Meter(Tracer):
    """Simulates steps of a training loop while the loop runs inside its `with` block, unchanged; see `live`.

    Attributes:
        simulated: steps simulated so far.
        skipped: steps that were to be simulated but were not, as the worker was busy.
    """

    def __init__(
        self,
        model: nn.Module,
        hw: Hardware | str | os.PathLike[str],
        *,
        every: int = 100,
        start: int = 0,
        first_step: int = 0,
        zero_as: ZeroAsSetting = "exact",
        waiting: int = WAITING,
        out: str | os.PathLike[str] | None = None,
        tensorboard: str | os.PathLike[str] | None = None,
        meta: Mapping[str, Any] | None = None,
    ) -> None:
        super().__init__(model, "live", every=every, start=start, first_step=first_step, zero_as=zero_as, meta=meta)
        if waiting < 1:
            raise TracingError(f"waiting is {waiting}, expected at least 1 step")
        if isinstance(hw, str | os.PathLike):
            hw = load_hardware(Path(hw))
        check_hardware(hw)
        self._hw = hw
        self._most, self._out = waiting, None if out is None else Path(out)
        self._scalars = None if tensorboard is None else Scalars(tensorboard)
        self._remote: Remote | None = None
        self._files: StepFiles | None = None
        self._console: Console | None = None
        self._warned = False
        self._refused = False  # the running step was to be recorded and is not
        self._answers: list[Simulated] = []
        self._result: Result | None = None
        self.skipped = 0
        self._sums = {"cycles": 0, "dense_cycles": 0, "energy_pj": 0.0, "dense_energy_pj": 0.0}

    @property
    def simulated(self) -> int:
        """Steps simulated so far."""
        return len(self._answers)

    @property
    def speedup(self) -> float | None:
        """Over all steps simulated so far, against the same machine without skipping; None before the first."""
        return self._sums["dense_cycles"] / self._sums["cycles"] if self._sums["cycles"] else None

    @property
    def energy_pj(self) -> float:
        """Of all steps simulated so far; NaN for an idealised machine, which has none."""
        return self._sums["energy_pj"]

    @property
    def result(self) -> Result | None:
        """After the block: what `simulate` returns for these steps; None if none was simulated."""
        return self._result

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        try:
            super().__exit__(kind, error, traceback)
        finally:
            if os.getpid() == self._process:
                with self._contained:
                    self._finish(wait=kind is None)

    def _open_sink(self, meta: dict[str, Any]) -> Sink:
        if rank_and_size()[0] == 0:
            self._remote = Remote(self._hw)
        self._files = StepFiles(Path() if self._remote is None else self._remote.folder, meta)
        return self._files

    def _record(self, wanted: bool) -> None:
        self._refused = False
        super()._record(wanted and self._has_room())

    def _has_room(self) -> bool:
        """Whether the worker can take another step."""
        if self._remote is None or self._failure() is not None:
            return False
        self._take(self._remote.received())
        if self._remote.waiting < self._most:
            return True
        self._refused = True
        return False

    def _end(self) -> None:
        self.skipped += self._refused and self._anything_ran()
        super()._end()
        if self._remote is None:
            return
        if not self._has_records() and self._remote.waiting and self._remote.failure is None:
            self._take(self._remote.received())
        self._warn()

    def _step_written(self, step: int) -> None:
        if self._remote is not None and self._files is not None and (path := self._files.finish_step(step)) is not None:
            self._remote.send(step, path)

    def _why_empty(self) -> str | None:
        return None if self.skipped or self._failure() is not None else super()._why_empty()

    def _failure(self) -> str | None:
        remote = None if self._remote is None else self._remote.failure
        return remote or (None if self._files is None else self._files.failure)

    def _warn(self) -> None:
        """Say once why nothing more is simulated; the training goes on."""
        if (failure := self._failure()) is not None and not self._warned:
            self._warned = True
            tell(f"nothing more of this training is simulated: {failure}")

    def _take(self, answers: list[Simulated]) -> None:
        for answer in answers:
            self._answers.append(answer)
            sums = self._sums_of(answer)
            self._sums = {name: value + sums[name] for name, value in self._sums.items()}
            self._show(answer.step, sums)
            if self._scalars is not None:
                self._scalars.add(answer.step, sums, self._sums)

    def _sums_of(self, answer: Simulated) -> dict[str, float]:
        """Add up a step: its passes, and the work between them."""
        from accelsim.energy.load import table_of
        from accelsim.results.other_work import TOLD, OtherWorkCosts

        tally = OtherWork({answer.step: self._other_work.done.steps.get(answer.step, {})})
        between = OtherWorkCosts.of(tally, TOLD, self._hw, table_of(self._hw)).table
        rows = answer.rows
        return {
            "cycles": sum(row.machine.cycles for row in rows) + sum(between["cycles"]),
            "dense_cycles": sum(row.dense.cycles for row in rows) + sum(between["cycles"]),
            "energy_pj": sum(row.machine.energy.total_pj for row in rows) + sum(between["energy_pj"]),
            "dense_energy_pj": sum(row.dense.energy.total_pj for row in rows) + sum(between["dense_energy_pj"]),
        }

    def _show(self, step: int, sums: dict[str, float]) -> None:
        if not sys.stderr.isatty():
            return
        from accelsim.results.quantities import joules, times
        from accelsim.show.console import literal

        if self._console is None:
            from rich.console import Console

            self._console = Console(stderr=True, highlight=False)
        faster = times(sums["dense_cycles"] / sums["cycles"] if sums["cycles"] else None)
        self._console.print(
            f"[dim]accelsim: step {step} {faster} on {literal(self._hw.name)}, {joules(sums['energy_pj'])}; run so far"
            f" {times(self.speedup)}, {joules(self.energy_pj)}"
            + (f"; {self.skipped} steps skipped[/]" if self.skipped else "[/]")
        )

    def _finish(self, wait: bool) -> None:
        """Take what the worker still has, all of it or what is there, and put the result together."""
        if self._remote is None or self._files is None:
            return
        try:
            self._take(self._remote.received())
            while wait and self._remote.waiting and self._remote.failure is None:
                self._take(self._remote.received(wait=True))
        finally:
            self._remote.close()
        self._warn()
        if self._scalars is not None:
            self._scalars.close()
        if not self._answers:
            return
        rows = [row for answer in sorted(self._answers, key=lambda answer: answer.step) for row in answer.rows]
        self._result = _result_of(self._hw, rows, self._files.meta | {"skipped_steps": self.skipped})
        if self._out is not None:
            try:
                self._result.save(self._out)
            except AccelsimError as error:
                tell(str(error))


def live(
    model: nn.Module,
    hw: Hardware | str | os.PathLike[str],
    *,
    every: int = 100,
    start: int = 0,
    first_step: int = 0,
    zero_as: ZeroAsSetting = "exact",
    waiting: int = WAITING,
    out: str | os.PathLike[str] | None = None,
    tensorboard: str | os.PathLike[str] | None = None,
) -> Meter:
    """Simulate a training while it runs.

        with accelsim.live(model, "hw_configs/pe16x16.yaml", every=100) as meter:
            train(model)  # your loop, unchanged
        meter.result.summary

    A step is recorded as by a `Tracer` and simulated in a process of its own, on one core and behind the training. A
    step that is due while `waiting` steps have not been simulated yet is skipped and counted. Whatever goes wrong there
    ends in one warning, and the training goes on. Leaving the block waits for the steps that are under way, but not
    after an exception. In a process group, the steps of rank 0 are simulated.

    Args:
        model, start, first_step, zero_as: as in `Tracer`.
        hw: the machine, or its YAML file.
        every: simulate every so many steps.
        waiting: most steps recorded and not simulated yet.
        out: a folder for what `Result.save` writes.
        tensorboard: a folder for TensorBoard scalars; needs the package `tensorboard`.

    Raises:
        TracingError: an argument that cannot be used, or a model that cannot be recorded.
        HardwareError: the machine's file cannot be used.
        AccelsimError: TensorBoard is asked for and not installed.
    """
    return Meter(
        model,
        hw,
        every=every,
        start=start,
        first_step=first_step,
        zero_as=zero_as,
        waiting=waiting,
        out=out,
        tensorboard=tensorboard,
    )


def _result_of(hw: Hardware, rows: list[PassResult], meta: dict[str, Any]) -> Result:
    from accelsim.energy.load import table_of
    from accelsim.pipeline import mask_update_costs
    from accelsim.results import Result, find_run
    from accelsim.results.other_work import TOLD, OtherWorkCosts

    steps = sorted({row.step for row in rows})
    whole_run = find_run(meta, None, steps, whole=True)
    told = OtherWork.from_meta(meta) or OtherWork({})
    work = OtherWork({step: told.steps.get(step, {}) for step in steps})
    meta = {key: value for key, value in meta.items() if key not in ("training", "other_work")}
    provenance = {"path": None, "complete": True, "meta": meta}
    prices = table_of(hw)
    other_work = OtherWorkCosts.of(work, TOLD, hw, prices)
    return Result.from_rows(rows, hw, provenance, other_work, whole_run, mask_update_costs(hw, prices, whole_run))
