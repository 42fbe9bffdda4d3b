"""Reads the machine that a command is given, and says where a file of an earlier version means something else now."""

from __future__ import annotations

from collections.abc import Collection
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
    tell_changed_defaults(path, hw)
    return hw


def tell_changed_defaults(path: Path, hw: Hardware, given: Collection[str] = ()) -> None:
    """Name on stderr the defaults that a machine's file leaves open and that have changed.

    Args:
        given: dotted names of keys that are set elsewhere, as those that a space sweeps.
    """
    ports = "memory.buffers.weight_words_per_cycle", "memory.buffers.input_words_per_cycle"
    set_in_file = {*given, *(f"array.{name}" for name in hw.array.model_fields_set)}
    set_in_file |= {f"memory.buffers.{name}" for name in hw.memory.buffers.model_fields_set}
    set_in_file |= {f"memory.dram.{name}" for name in hw.memory.dram.model_fields_set} if hw.memory.dram else set()

    def is_open(*keys: str) -> bool:
        return not any(key == one or key.startswith(f"{one}.") for key in keys for one in set_in_file)

    if hw.memory.dram is not None and not hw.memory.dram.has_rows and is_open("memory.dram.kind"):
        typer.echo(
            f"{printable(str(path))} leaves memory.dram.kind open: DRAM is charged as lpddr4; ddr3 has the price that"
            " horowitz-45nm charged before.",
            err=True,
        )
    silent = ["array.drain"] if is_open("array.drain") else []
    silent += ["memory.buffers.*_words_per_cycle"] if is_open(*ports) else []
    if silent and hw.array.interconnect != "systolic":
        typer.echo(
            f"{printable(str(path))} leaves {' and '.join(silent)} open: results now leave while the next tile runs,"
            " and one window of each operand is read per cycle; drain: free and words_per_cycle: unlimited are as"
            " before.",
            err=True,
        )
