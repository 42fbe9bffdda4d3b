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
    from accelsim.hardware.scalesim_config import read_scalesim_config
    from accelsim.show.console import say_written

    described = read_scalesim_config(config)
    machine = described.write(out)
    array, dram = machine.array, machine.memory.dram
    memory = "ideal memory" if dram is None else f"{dram.bytes_per_cycle:g} bytes a cycle"
    say_written(f"{out}: {machine.name}, {array.rows} x {array.cols} {array.dataflow}, {memory}", out)
    if described.left_out:
        typer.echo("Left out, as accelsim's machine has no counterpart:", err=True)
        for line in described.left_out:
            typer.echo(f"  {line}", err=True)
