"""`accelsim import`: a machine from another simulator's file."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


def import_(
    config: Annotated[Path, typer.Argument(help="A SCALE-Sim configuration (.cfg).")],
    out: Annotated[Path, typer.Option(help="The machine's YAML file, to be written.")],
) -> None:
    """Make a machine of a SCALE-Sim configuration. Its topologies are read by `accelsim synth --topology`."""
    from accelsim.hardware.scalesim_config import import_scalesim_config, left_out
    from accelsim.show.console import say_written

    machine = import_scalesim_config(config, out)
    array, dram = machine.array, machine.memory.dram
    memory = "ideal memory" if dram is None else f"{dram.bytes_per_cycle:g} bytes a cycle"
    say_written(f"{out}: {machine.name}, {array.rows} x {array.cols} {array.dataflow}, {memory}", out)
    if missing := left_out(config):
        typer.echo("Left out, as accelsim's machine has no counterpart:", err=True)
        for line in missing:
            typer.echo(f"  {line}", err=True)
