"""Reads the machine that a command is given, and says where a file of an earlier version means something else now."""

from __future__ import annotations

from pathlib import Path

import typer

from accelsim.hardware.load import load_hardware
from accelsim.hardware.model import Hardware
from accelsim.printable import printable


def read_machine(path: Path) -> Hardware:
    """Return the machine; a sentence on stderr names defaults that its file leaves open and that have changed.

    Raises:
        HardwareError: see `load_hardware`.
    """
    hw = load_hardware(path)
    buffers = hw.memory.buffers.model_fields_set
    silent = [] if "drain" in hw.array.model_fields_set else ["array.drain"]
    if not buffers & {"weight_words_per_cycle", "input_words_per_cycle"}:
        silent.append("memory.buffers.*_words_per_cycle")
    if hw.memory.dram is not None and "kind" not in hw.memory.dram.model_fields_set:
        typer.echo(
            f"{printable(str(path))} leaves memory.dram.kind open: DRAM is charged as lpddr4; ddr3 has the price that"
            " horowitz-45nm charged before.",
            err=True,
        )
    if silent and hw.array.interconnect != "systolic":
        typer.echo(
            f"{printable(str(path))} leaves {' and '.join(silent)} open: results now leave while the next tile runs,"
            " and one window of each operand is read per cycle; drain: free and words_per_cycle: unlimited are as"
            " before.",
            err=True,
        )
    return hw
