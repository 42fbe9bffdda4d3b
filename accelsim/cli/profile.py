"""`accelsim profile`: simulate a training script's steps while it runs."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from accelsim.cli.options import HardwareFile


def profile(
    script: Annotated[Path, typer.Argument(help="The training script.")],
    hw: HardwareFile,
    arguments: Annotated[list[str] | None, typer.Argument(help="The script's own arguments.")] = None,
    every: Annotated[int, typer.Option(min=1, help="Optimiser steps from one simulated step to the next.")] = 100,
    out: Annotated[Path | None, typer.Option(help="Folder for layers.csv, training.csv and summary.json.")] = None,
    tensorboard: Annotated[Path | None, typer.Option(help="Folder for TensorBoard scalars.")] = None,
) -> None:
    """Run a training script, unchanged, and simulate some of its steps as they happen.

    Options stand before the script; what comes after it is the script's. Its output and its exit code stay its own.
    """
    from accelsim.cli.machine import tell_changed_defaults
    from accelsim.hardware.load import load_hardware
    from accelsim.live.scalars import require_tensorboard
    from accelsim.live.script import Finder, run_script
    from accelsim.printable import printable_lines
    from accelsim.show.console import output_console
    from accelsim.signals import keyboard_interrupts

    machine = load_hardware(hw)
    if sys.stderr.isatty():  # else it is the script's alone
        tell_changed_defaults(hw, machine)
    if tensorboard is not None:
        require_tensorboard()  # now, not after the training's first step
    finder = Finder(machine, every, out, tensorboard)
    with keyboard_interrupts():  # which the script may want to see
        code = run_script(script, arguments or [], finder)
    if finder.failure is not None:
        typer.echo(f"accelsim: {printable_lines(finder.failure)}", err=True)
    meter = finder.meter
    if meter is not None and meter.result is not None and sys.stderr.isatty():
        from rich.console import Console

        from accelsim.show.training import training_table

        console = Console(stderr=True, highlight=False, width=output_console().width)
        for part in training_table(meter.result):
            console.print(part)
    raise typer.Exit(code)
