"""A hardware file read and checked."""

from __future__ import annotations

from pathlib import Path

from accelsim.errors import HardwareError, not_this
from accelsim.hardware.check import check
from accelsim.hardware.model import Hardware
from accelsim.hardware.yaml_file import read_document


def check_hardware(hw: object, name: str = "hw") -> None:
    """Refuse what is no machine, such as the path of one.

    Raises:
        HardwareError: it is not a `Hardware`.
    """
    if not isinstance(hw, Hardware):
        reads = "a Hardware: load_hardware reads one from a file, Hardware.model_validate makes one of a dict"
        raise HardwareError(not_this(name, hw, reads))


def load_hardware(path: str | Path) -> Hardware:
    """Read a hardware YAML file; its `energy` path, if it is one, is taken relative to the file's own folder.

    Raises:
        HardwareError: the file cannot be read, is not YAML, or describes no possible machine; one sentence per line
            with file, line, key, and the nearest valid name.
    """
    hardware = check(read_document(path), Hardware)
    if hardware.energy.endswith((".yaml", ".yml")):
        return hardware.model_copy(update={"energy": str(Path(path).parent / hardware.energy)})
    return hardware
