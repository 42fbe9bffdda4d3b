"""Train, record, checkpoint, evaluate: what `accelsim train` does."""

from __future__ import annotations

import os
import shlex
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from accelsim.errors import TrainingError
from accelsim.signals import put_off_signals
from accelsim.ssl.checkpoint import load_checkpoint, save_checkpoint
from accelsim.ssl.config import TrainConfig, option
from accelsim.ssl.data import load_data
from accelsim.ssl.ranks import average, process_group
from accelsim.ssl.report import git_state, results, write_figure, write_losses, write_mask_updates, write_results
from accelsim.ssl.training import Training
from accelsim.tracing.ranks import own_path, rank_and_size

if TYPE_CHECKING:
    from accelsim.tracing.zeros import ZeroAsSetting


@dataclass(frozen=True)
class Recording:
    """What to record of a run.

    Attributes:
        path: the trace; never overwritten. A resumed run records into the first free of NAME.part2.pkl,
            NAME.part3.pkl and so on.
        every, start, stop: record every Nth step from `start` up to, not including, `stop` (None: the end).
        zero_as: what counts as zero, see `accelsim.Tracer`.
        growth_steps: where weights grow by gradient, record growth steps beside the others, see `accelsim.Tracer`.
    """

    path: Path
    every: int = 100
    start: int = 0
    stop: int | None = None
    zero_as: str | float | dict[str, str | float] = "exact"
    growth_steps: bool = True

    @property
    def options(self) -> list[str]:
        """The options of `accelsim train` that record this again; the file by its name alone."""
        values = {"record": self.path.name, "record_every": self.every, "record_start": self.start}
        if self.stop is not None:
            values["record_stop"] = self.stop
        values["zero_as"] = (
            ",".join(f"{kind}={zero}" for kind, zero in self.zero_as.items())
            if isinstance(self.zero_as, dict)
            else self.zero_as
        )
        named = [part for name, value in values.items() for part in (option(name), str(value))]
        return named if self.growth_steps else [*named, "--no-record-growth"]

    def part(self, resumed: bool) -> Path:
        """Return the file to write, of several processes' files the common name.

        Raises:
            TrainingError: the file exists and the run is not resumed.
        """
        if not own_path(self.path).exists():
            return self.path
        if not resumed:
            raise TrainingError(f"{own_path(self.path)} exists already: remove it or record into another file")
        part = 2
        while own_path(found := self.path.with_name(f"{self.path.stem}.part{part}{self.path.suffix}")).exists():
            part += 1
        return found


def train(
    config: TrainConfig,
    out: Path,
    recording: Recording | None = None,
    resume: bool = False,
    checkpoint_every: int = 100,
    linear_probe: bool = False,
    on_step: Callable[[Training], None] = lambda training: None,
) -> dict[str, Any] | None:
    """Run a training to its end, or until Ctrl-C, SIGTERM or SIGHUP.

    Under `torchrun` every process takes its share of each batch, keeps a checkpoint and writes a trace of its own
    (checkpoint.rank0.pt, NAME.rank0.pkl); the first one writes the rest.

    Writes into `out`: checkpoint.pt, loss.csv and masks.csv (every `checkpoint_every` steps and when the run stops),
    and at the end results.json, loss.svg and loss.png.

    Args:
        config: the run.
        out: directory, made if need be.
        recording: what to trace, if anything.
        resume: go on from `out`/checkpoint.pt.
        checkpoint_every: steps between two checkpoints.
        linear_probe: evaluate the features by a linear classifier, too.
        on_step: called after every step.

    Returns:
        What results.json holds; None if a signal stopped the run after a whole step, with a checkpoint to resume from.

    Raises:
        TrainingError: `out` holds a run already, or none to resume; data, checkpoint or configuration cannot be used.
    """
    if checkpoint_every < 1:
        raise TrainingError(f"checkpoint_every is {checkpoint_every}, expected at least 1")
    with process_group():
        return _train(config, out, recording, resume, checkpoint_every, linear_probe, on_step)


def _train(
    config: TrainConfig,
    out: Path,
    recording: Recording | None,
    resume: bool,
    checkpoint_every: int,
    linear_probe: bool,
    on_step: Callable[[Training], None],
) -> dict[str, Any] | None:
    saved = own_path(out / "checkpoint.pt")
    writes = rank_and_size()[0] == 0
    if saved.exists() and not resume:
        raise TrainingError(f"{out} holds a run already: pass --resume to go on with it, or give another --out")
    state = load_checkpoint(saved) if resume else None
    training = Training(config, load_data(config.data))
    if state is not None:
        training.load_state(state)
    command = command_line(config, out, recording, linear_probe)
    recorder = _recorder(training, recording, command, resume)  # refuses what it cannot record before any time is spent
    if state is None:
        _make_directory(out)
        training.untrained_knn = training.features().knn()

    def save() -> None:
        save_checkpoint(saved, training.state())
        if writes:
            write_losses(training, out / "loss.csv")
            write_mask_updates(training, out / "masks.csv")

    with put_off_signals() as signal_came:
        with recorder:
            # Asked together: a process that stopped alone would leave the others waiting for its gradients.
            while training.step < config.steps and not average(signal_came()):
                training.advance()
                on_step(training)
                if training.step % checkpoint_every == 0:
                    save()
        save()
        stopped = training.step < config.steps or average(signal_came())
    if stopped:
        return None
    features = training.features()
    trained_knn, probed = features.knn(), features.linear_probe() if linear_probe else None
    found = results(training, trained_knn, probed, command, _traces(recording))
    if writes:
        write_figure(training, trained_knn, out / "loss")
        write_results(found, out / "results.json")
    return found


def command_line(config: TrainConfig, out: Path, recording: Recording | None = None, linear_probe: bool = False) -> str:
    """Return the command that does a run again, with directory and trace by their names alone."""
    _, processes = rank_and_size()
    launcher = ["accelsim"] if processes == 1 else ["torchrun", f"--nproc-per-node={processes}", "-m", "accelsim"]
    options = [*config.options, "--out", out.resolve().name, *(recording.options if recording else ())]
    return shlex.join([*launcher, "train", *options, *(["--linear-probe"] if linear_probe else ())])


def _recorder(
    training: Training, recording: Recording | None, command: str, resumed: bool
) -> AbstractContextManager[object]:
    if recording is None or training.step == training.config.steps:
        return nullcontext()
    from accelsim.tracing import Tracer

    path = recording.part(resumed)
    _make_directory(path.parent)
    config = training.config
    return Tracer(
        training.model,
        path,
        every=recording.every,
        start=recording.start,
        stop=recording.stop,
        growth_steps=recording.growth_steps,
        first_step=training.step,
        zero_as=cast("ZeroAsSetting", recording.zero_as),  # checked by the tracer
        meta={
            "framework": config.framework,
            "model": f"{config.arch}, width {config.width}, {config.stem} stem",
            "data": config.data,
            "command": command,
            "git": git_state(),
        },
    )


def _traces(recording: Recording | None) -> list[str]:
    """Names of all parts recorded so far, in order."""
    if recording is None:
        return []
    names = []
    _, processes = rank_and_size()
    for rank in range(processes):
        path = recording.path
        tail = path.suffix if processes == 1 else f".rank{rank}{path.suffix}"
        parts = path.parent.glob(f"{path.stem}.part*{tail}")
        names += [path.stem + tail, *sorted((part.name for part in parts), key=lambda name: (len(name), name))]
    return names


def _make_directory(path: Path) -> None:
    try:
        path.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise TrainingError(f"{path} cannot be made a directory: {error.strerror}") from None
    if not os.access(path, os.W_OK):
        raise TrainingError(f"{path} cannot be written to: give a directory of your own")
