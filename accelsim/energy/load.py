"""Finds and checks an energy table: one that ships with accelsim, or the user's own file."""

from __future__ import annotations

from difflib import get_close_matches
from functools import cache
from importlib.resources import as_file, files
from pathlib import Path

from accelsim.energy.table import EnergyTable
from accelsim.errors import HardwareError
from accelsim.hardware.check import check
from accelsim.hardware.model import Hardware
from accelsim.hardware.yaml_file import read_document

_TABLES = files("accelsim.energy") / "tables"


def table_names() -> list[str]:
    """Names of the tables that ship with accelsim."""
    return sorted(entry.name.removesuffix(".yaml") for entry in _TABLES.iterdir() if entry.name.endswith(".yaml"))


def load_table(name_or_path: str | Path) -> EnergyTable:
    """Read an energy table; what ends in .yaml or .yml is a path, anything else a shipped table's name.

    Raises:
        HardwareError: no shipped table has that name, or the file is not a table; one sentence per line with file,
            line and key.
    """
    name = str(name_or_path)
    if name.endswith((".yaml", ".yml")):
        return check(read_document(name_or_path), EnergyTable)
    if name not in table_names():
        close = get_close_matches(name, table_names(), 1)
        raise HardwareError(
            f"energy table {name!r} is unknown, "
            + (f"did you mean {close[0]!r}? Shipped" if close else "shipped")
            + f" tables: {', '.join(table_names())}; or give the path of a .yaml file"
        )
    return _shipped(name)


def table_of(hw: Hardware) -> EnergyTable:
    """Read a machine's energy table.

    Raises:
        HardwareError: as `load_table`; the table has no price for the machine's DRAM.
    """
    table = load_table(hw.energy)
    if hw.memory.dram is not None:
        table.dram_pj_per_bit(hw.memory.dram.kind)
    return table


@cache
def _shipped(name: str) -> EnergyTable:
    with as_file(_TABLES / f"{name}.yaml") as path:
        return check(read_document(path), EnergyTable)
