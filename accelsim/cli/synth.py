"""`accelsim synth`: a trace nobody trained for."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from accelsim.errors import AccelsimError

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from accelsim.synth import Layer, SyntheticTrace
    from accelsim.trace import TraceReader


def synth(
    out: Annotated[Path, typer.Option(help="The trace to write; replaced if it exists.")],
    network: Annotated[
        str | None,
        typer.Option(help="resnet18-cifar, resnet18, resnet50, vgg16, mobilenet-v2 or vit-s16 (its linear layers)."),
    ] = None,
    topology: Annotated[
        Path | None, typer.Option(help="A SCALE-Sim topology: convolutions, or matrix products (name, M, N, K).")
    ] = None,
    like: Annotated[Path | None, typer.Option(help="A recorded trace: its shapes, and its densities.")] = None,
    step: Annotated[list[int] | None, typer.Option(help="With --like, only this step. Repeatable.")] = None,
    batch: Annotated[int | None, typer.Option(help="Images a step; 32 by default, with --like as recorded.")] = None,
    weight_density: Annotated[
        float | None,
        typer.Option(help="Share of non-zero weights, every layer. Default: 1; under N:M, N/M; with --like, its own."),
    ] = None,
    activation_density: Annotated[
        float | None, typer.Option(help="The same of every layer's input but the data. Default: 1.")
    ] = None,
    gradient_density: Annotated[
        float | None, typer.Option(help="The same of the gradients at every layer's output. Default: 1.")
    ] = None,
    densities: Annotated[
        Path | None,
        typer.Option(help="A CSV file layer,weight,activation,gradient; layers may be 'layer1.*', cells empty."),
    ] = None,
    pattern: Annotated[
        str, typer.Option(help="Weights zero together: element, 2:4, transposable-2:4, 1x8, 8x8, channel, ...")
    ] = "element",
    activation_pattern: Annotated[str, typer.Option(help="Of the activations' zeros: element or channel.")] = "element",
    activation_clustering: Annotated[
        float | None,
        typer.Option(
            help="How much alike the elements of a channel of an image are, 0 to 1; after a real ReLU 0.4 to 0.8."
            " Default: 0; with --like, as recorded."
        ),
    ] = None,
    gradient_pattern: Annotated[str, typer.Option(help="Of the gradients' zeros: element or channel.")] = "element",
    relu: Annotated[
        bool | None,
        typer.Option(
            "--relu/--no-relu",
            help="Nobody needs an input's gradient where it is zero. Default: where the network has a ReLU there;"
            " for a topology, its convolutions.",
        ),
    ] = None,
    sparse_weight_grad: Annotated[
        bool | None,
        typer.Option(
            "--sparse-weight-grad/--dense-weight-grad",
            help="Nobody needs a zero weight's gradient. Default: so; with --like, as recorded.",
        ),
    ] = None,
    data_layer: Annotated[
        bool,
        typer.Option(
            "--data-layer/--no-data-layer",
            help="A topology's first layer reads the data: dense, and without an input gradient.",
        ),
    ] = True,
    seed: Annotated[int, typer.Option(help="Of the masks.")] = 0,
) -> None:
    """Write a trace of random masks: any network, any densities, no training.

    Zeros fall independently of each other unless told otherwise, real ones cluster: docs/synth.md says what that does
    to a speedup.
    """
    given: dict[str, object] = {**locals()}  # the options, in their order

    from accelsim.show.console import say_written
    from accelsim.synth import synthesize
    from accelsim.trace import TraceReader

    shapes = _source(network, topology, like, step, data_layer)
    made = synthesize(
        shapes,
        batch=batch,
        weight_density=weight_density,
        activation_density=activation_density,
        gradient_density=gradient_density,
        densities=densities,
        pattern=pattern,
        activation_pattern=activation_pattern,
        activation_clustering=activation_clustering,
        gradient_pattern=gradient_pattern,
        relu=relu,
        sparse_weight_grad=sparse_weight_grad,
        seed=seed,
    )
    switches = [
        None if relu is None else "--relu" if relu else "--no-relu",
        None if sparse_weight_grad is None else "--sparse-weight-grad" if sparse_weight_grad else "--dense-weight-grad",
        None if data_layer else "--no-data-layer",
    ]
    source = topology or like
    meta = {**made.meta, "command": _command(given | {"batch": made.meta["batch"]}, switches)}
    _write(out, made, meta if source is None else {**meta, "network": source.name})
    macs = sum(plan.macs for plan in made.plans)
    size = f", {out.stat().st_size / 1e6:.4g} MB" if out.is_file() else ""
    say_written(f"Written: {out}, {len(made)} operations, {macs / 1e9:.4g} G multiply-accumulates forward{size}", out)
    if isinstance(shapes, TraceReader):
        typer.echo(f"Left out of {shapes.path}:", err=True)
        for line in _left_out(shapes.meta):
            typer.echo(f"  {line}", err=True)


def _source(
    network: str | None, topology: Path | None, like: Path | None, step: list[int] | None, data_layer: bool
) -> str | Iterable[Layer] | TraceReader:
    from accelsim.synth import read_topology
    from accelsim.trace import open_trace

    if sum(source is not None for source in (network, topology, like)) != 1:
        raise AccelsimError("say what to make up by one of --network, --topology and --like")
    if step and like is None:
        raise AccelsimError("--step chooses recorded steps and needs --like TRACE")
    if not data_layer and topology is None:
        raise AccelsimError("--no-data-layer speaks of a topology's first layer and needs --topology FILE")
    if like is not None:
        return open_trace(like).select(steps=step or None)
    return network if topology is None else read_topology(topology, first_reads_data=data_layer)  # type: ignore[return-value]


def _left_out(meta: Mapping[str, Any]) -> Iterator[str]:
    """Yield what of a recorded trace its likeness does not have."""
    yield "where zeros lie: they are drawn at random, by density and pattern"
    if "training" in meta:
        yield "the run: its length, growth steps and mask updates (accelsim run --run-steps N says how long it was)"
    if meta.get("unlowered"):
        yield "what the trace names as not recorded (accelsim inspect lists it)"


def _write(out: Path, made: SyntheticTrace, meta: dict[str, object]) -> None:
    """Write the trace whole or not at all, one operation in memory at a time."""
    from rich.console import Console
    from rich.progress import track

    from accelsim.files import whole_file
    from accelsim.trace import TraceWriter

    stderr = Console(stderr=True)
    progress = track(made, out.name, len(made), console=stderr, transient=True, disable=not stderr.is_terminal)
    with whole_file(out) as beside, TraceWriter(beside, meta) as writer:
        for op in progress:
            writer.write(op)


def _command(given: dict[str, object], switches: list[str | None]) -> str:
    """Return the command that writes the trace again, files by their names alone and the one to write as the last."""
    words = ["accelsim", "synth"]
    for name, value in sorted(given.items(), key=lambda option: option[0] == "out"):
        for item in value if isinstance(value, list) else [] if value is None or isinstance(value, bool) else [value]:
            words += [f"--{name.replace('_', '-')}", item.name if isinstance(item, Path) else str(item)]
    return shlex.join([*words, *filter(None, switches)])
