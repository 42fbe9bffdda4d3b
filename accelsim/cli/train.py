"""`accelsim train`: self-supervised training of a sparse network, recorded."""

from __future__ import annotations

import signal
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from accelsim.cli.options import takes_fields_of
from accelsim.cli.progress import progress
from accelsim.errors import TrainingError
from accelsim.extras import need
from accelsim.ssl.config import TrainConfig

if TYPE_CHECKING:
    from accelsim.ssl.training import Training

ZeroAs = str | float | dict[str, str | float]


@takes_fields_of(TrainConfig, "settings")
def train(
    out: Annotated[Path, typer.Option(help="Directory of checkpoint, loss.csv, results.json and figure.")],
    settings: dict[str, Any],
    record: Annotated[Path | None, typer.Option(help="Trace to write, for example traces.pkl.")] = None,
    record_every: Annotated[int, typer.Option(help="Record every Nth step.")] = 100,
    record_growth: Annotated[
        bool, typer.Option(help="Beside each, record the next step that grows weights by gradient, if any.")
    ] = True,
    record_start: Annotated[int, typer.Option(help="First step to record.")] = 0,
    record_stop: Annotated[int | None, typer.Option(help="Record no step from here on.")] = None,
    zero_as: Annotated[
        str,
        typer.Option(
            help="What counts as zero: exact, fp8_e5m2, fp8_e4m3, int8, a threshold,"
            " or weight=...,activation=...,gradient=...",
        ),
    ] = "exact",
    resume: Annotated[bool, typer.Option("--resume", help="Go on with the run in --out.")] = False,
    checkpoint_every: Annotated[int, typer.Option(help="Steps between two checkpoints.")] = 100,
    linear_probe: Annotated[
        bool, typer.Option("--linear-probe", help="Evaluate the features by a linear classifier, too.")
    ] = False,
) -> None:
    """Train a sparse network without labels and record what its layers multiplied.

    Ctrl-C, SIGTERM and SIGHUP stop after the running step; --resume goes on, bit for bit.

    A trace is never overwritten: a resumed run records into NAME.part2.pkl.
    """
    _require("torch", "scikit-image" if settings["data"] == "photos" else None, "matplotlib")
    from accelsim.signals import signal_put_off
    from accelsim.ssl.ranks import is_first
    from accelsim.ssl.train import Recording
    from accelsim.ssl.train import train as run

    config = TrainConfig(**settings)
    recorded = record_every, record_growth, record_start, record_stop, zero_as
    if record is None and recorded != (100, True, 0, None, "exact"):
        raise TrainingError(
            "--record-every, --no-record-growth, --record-start, --record-stop and --zero-as need --record FILE"
        )
    recording = None
    if record is not None:
        zeros = parse_zero_as(zero_as)
        recording = Recording(record, record_every, record_start, record_stop, zeros, growth_steps=record_growth)
    speaks = is_first()
    with progress(transient=False, speaks=speaks) as shown:
        bar = shown.add_task("untrained k-NN", total=config.steps)

        def show(training: Training) -> None:
            description = f"loss {training.losses[-1]:.3f}, {100 * training.sparsity:.0f} % pruned"
            shown.update(bar, completed=training.step, description=description)

        found = run(config, out, recording, resume, checkpoint_every, linear_probe, show)
    if found is None:
        typer.echo(f"stopped; go on with the same command and --resume ({out})", err=True)
        raise typer.Exit(128 + (signal_put_off() or signal.SIGINT))
    if not speaks:
        return
    loss, knn = found["loss"], found["knn_accuracy"]
    probe = f", linear probe {100 * found['linear_probe_accuracy']:.1f} %" if linear_probe else ""
    typer.echo(
        f"loss {loss['first_steps']:.3f} -> {loss['last_steps']:.3f},"
        f" k-NN {100 * knn['untrained']:.1f} % -> {100 * knn['trained']:.1f} %{probe},"
        f" {100 * found['sparsity']['total']:.1f} % pruned; {out / 'results.json'}"
    )


def parse_zero_as(text: str) -> ZeroAs:
    """Read a format's name, a threshold, or kind=zero pairs separated by commas.

    Raises:
        TrainingError: pairs that are not kind=zero.
    """
    if "=" not in text:
        return _zero(text)
    pairs = [part.partition("=") for part in text.split(",")]
    if any(not kind or not zero for kind, _, zero in pairs):
        raise TrainingError(f"--zero-as {text!r} is not of the form weight=exact,activation=exact,gradient=int8")
    return {kind.strip(): _zero(zero) for kind, _, zero in pairs}


def _zero(text: str) -> str | float:
    try:
        return float(text)
    except ValueError:
        return text.strip()


_MODULES = {"torch": "torch", "scikit-image": "skimage", "matplotlib": "matplotlib"}


def _require(*packages: str | None) -> None:
    """Say what to install before anything is trained, rather than after it."""
    for package in packages:
        if package is not None:
            need(_MODULES[package], package, "accelsim train", "train", TrainingError)
