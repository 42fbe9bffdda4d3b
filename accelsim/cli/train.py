"""`accelsim train`: self-supervised training of a sparse network, recorded."""

from __future__ import annotations

import signal
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from accelsim.errors import TrainingError
from accelsim.extras import need

if TYPE_CHECKING:
    from accelsim.ssl.training import Training

ZeroAs = str | float | dict[str, str | float]


def train(
    out: Annotated[Path, typer.Option(help="Directory of checkpoint, loss.csv, results.json and figure.")],
    framework: Annotated[str, typer.Option(help="simclr, moco, byol, simsiam, barlow or vicreg.")] = "simclr",
    arch: Annotated[str, typer.Option(help="Encoder: resnet18, resnet34 or resnet50.")] = "resnet18",
    width: Annotated[int, typer.Option(help="Channels of the encoder's first stage; 64 as published.")] = 16,
    stem: Annotated[
        str, typer.Option(help="cifar (3x3, stride 1) or imagenet (7x7, stride 2, max pooling).")
    ] = "cifar",
    data: Annotated[str, typer.Option(help="photos, or cifar10:DIR in CIFAR-10's binary layout.")] = "photos",
    steps: Annotated[int, typer.Option(help="Optimiser steps.")] = 400,
    batch: Annotated[int, typer.Option(help="Images a step, each in two views.")] = 32,
    sparsity: Annotated[float, typer.Option(help="Share of pruned weights in the end; 0 trains dense.")] = 0.8,
    method: Annotated[
        str, typer.Option(help="Sparse method: gmp, one-branch, set, rigl, granet, sr-ste or scp.")
    ] = "gmp",
    pattern: Annotated[
        str, typer.Option(help="Weights pruned together: element, channel, 2:4, transposable-2:4, 1x4, 8x8, ...")
    ] = "element",
    criterion: Annotated[
        str, typer.Option(help="Which weights stay: magnitude, ema-magnitude, gradient, random or lamp.")
    ] = "magnitude",
    prune_start: Annotated[float, typer.Option(help="Share of the run at which pruning starts.")] = 0.1,
    prune_end: Annotated[float, typer.Option(help="Share of the run at which the sparsity is reached.")] = 0.75,
    prune_every: Annotated[int, typer.Option(help="Steps between two mask updates.")] = 10,
    initial_density: Annotated[float, typer.Option(help="Share of weights at the start, chosen at random.")] = 1.0,
    distribution: Annotated[str, typer.Option(help="Of a random start among layers: erk or uniform.")] = "erk",
    allocation: Annotated[
        str, typer.Option(help="Of the sparsity among layers: global (one ranking), erk or uniform.")
    ] = "global",
    exchange: Annotated[float, typer.Option(help="Share of living weights exchanged by an update at first.")] = 0.3,
    exchange_final: Annotated[float, typer.Option(help="The same in the end.")] = 0.0,
    gap: Annotated[float, typer.Option(help="How much less sparse scp keeps the offline branch.")] = 0.3,
    gate_channels: Annotated[int, typer.Option(help="Output channels that share a gate; 0: no gates.")] = 0,
    gate_threshold: Annotated[float, typer.Option(help="Where the gates' thresholds start, in deviations.")] = 0.0,
    second_gate_threshold: Annotated[float, typer.Option(help="The same for the second branch.")] = 0.0,
    gate_penalty: Annotated[
        float, typer.Option(help="How strongly thresholds are drawn to --gate-target; 0: not at all.")
    ] = 0.0,
    gate_target: Annotated[float, typer.Option(help="Threshold that --gate-penalty draws to.")] = 1.0,
    gradient_sparsity: Annotated[
        float, typer.Option(help="Share of output gradients below stochastic pruning's threshold; 0: none pruned.")
    ] = 0.0,
    optimizer: Annotated[str, typer.Option(help="adamw, or sgd with momentum 0.9.")] = "adamw",
    learning_rate: Annotated[float, typer.Option(help="Of the first step; falls to 0 along half a cosine.")] = 1e-3,
    weight_decay: Annotated[float, typer.Option(help="The optimiser's.")] = 1e-4,
    temperature: Annotated[float, typer.Option(help="Of SimCLR's and MoCo's loss.")] = 0.2,
    momentum: Annotated[float, typer.Option(help="Of MoCo's key encoder; of BYOL's target at the start.")] = 0.99,
    queue: Annotated[int, typer.Option(help="Keys in MoCo's queue.")] = 4096,
    knn_images: Annotated[int, typer.Option(help="Most images of bank and held-out set in the evaluation.")] = 2000,
    seed: Annotated[int, typer.Option(help="Of weights, data order and views.")] = 0,
    threads: Annotated[int, typer.Option(help="Of PyTorch.")] = 1,
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
    _require("torch", "scikit-image" if data == "photos" else None, "matplotlib")
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    from accelsim.signals import signal_put_off
    from accelsim.ssl.config import TrainConfig
    from accelsim.ssl.ranks import is_first
    from accelsim.ssl.train import Recording
    from accelsim.ssl.train import train as run

    config = TrainConfig(
        framework=framework,
        arch=arch,
        width=width,
        stem=stem,
        data=data,
        steps=steps,
        batch=batch,
        sparsity=sparsity,
        method=method,
        pattern=pattern,
        criterion=criterion,
        prune_start=prune_start,
        prune_end=prune_end,
        prune_every=prune_every,
        initial_density=initial_density,
        distribution=distribution,
        allocation=allocation,
        exchange=exchange,
        exchange_final=exchange_final,
        gap=gap,
        gate_channels=gate_channels,
        gate_threshold=gate_threshold,
        second_gate_threshold=second_gate_threshold,
        gate_penalty=gate_penalty,
        gate_target=gate_target,
        gradient_sparsity=gradient_sparsity,
        optimizer=optimizer,
        learning_rate=learning_rate,
        weight_decay=weight_decay,
        temperature=temperature,
        momentum=momentum,
        queue=queue,
        knn_images=knn_images,
        seed=seed,
        threads=threads,
    )
    recorded = record_every, record_growth, record_start, record_stop, zero_as
    if record is None and recorded != (100, True, 0, None, "exact"):
        raise TrainingError(
            "--record-every, --no-record-growth, --record-start, --record-stop and --zero-as need --record FILE"
        )
    recording = None
    if record is not None:
        zeros = parse_zero_as(zero_as)
        recording = Recording(record, record_every, record_start, record_stop, zeros, growth_steps=record_growth)
    console, speaks = Console(stderr=True), is_first()
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=console, disable=not (console.is_terminal and speaks)) as progress:
        bar = progress.add_task("untrained k-NN", total=steps)

        def show(training: Training) -> None:
            description = f"loss {training.losses[-1]:.3f}, {100 * training.sparsity:.0f} % pruned"
            progress.update(bar, completed=training.step, description=description)

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
    """Say what to install before anything is trained, rather than behind it."""
    for package in packages:
        if package is not None:
            need(_MODULES[package], package, "accelsim train", "train", TrainingError)
