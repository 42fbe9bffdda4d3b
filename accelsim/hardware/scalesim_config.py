"""SCALE-Sim's configuration files: a systolic machine from a .cfg.

Keys as SCALE-Sim 2 and 3 read them (their scale_config.py). Sizes there are counted in words of a byte, so the machine
computes with int8.
"""

from __future__ import annotations

import configparser
import os
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from accelsim.errors import HardwareError
from accelsim.files import whole_file, write_whole
from accelsim.hardware.check import check
from accelsim.hardware.model import Hardware
from accelsim.hardware.yaml_file import read_document
from accelsim.printable import printable

_DATAFLOWS = {"os": "output_stationary", "ws": "weight_stationary", "is": "input_stationary"}
_ARCHITECTURE = "architecture_presets"
_READ = {  # by section, in lower case: SCALE-Sim does not tell cases apart
    "general": {"run_name"},
    _ARCHITECTURE: {"arrayheight", "arraywidth", "dataflow", "ifmapsramszkb", "filtersramszkb", "ofmapsramszkb"},
    "run_presets": {"interfacebandwidth"},
}
_LONGEST = 120  # letters of a line that says what was left out


@dataclass(frozen=True)
class ScaleSimConfig:
    """What a SCALE-Sim configuration says.

    Attributes:
        path: the file.
        machine: the machine that it describes, as the plain values of a machine's YAML file.
        left_out: everything in it that the machine has no counterpart of, `[section] key: value` each, in the file's
            order and in printable characters.
    """

    path: Path
    machine: dict[str, Any]
    left_out: tuple[str, ...]

    def write(self, out: str | os.PathLike[str]) -> Hardware:
        """Write the machine as a YAML file, whole or not at all, and return it.

        Raises:
            HardwareError: it is no machine that accelsim knows, or the file cannot be written.
        """
        name = _short(self.path.name)
        head = [f"# From SCALE-Sim's {name}; clock_mhz, energy and all that is not here have accelsim's defaults."]
        head += [f"# Left out: {line}" for line in self.left_out]
        with whole_file(out, HardwareError) as beside:
            write_whole(beside, "\n".join([*head, yaml.safe_dump(self.machine, sort_keys=False)]), HardwareError)
            try:
                return check(read_document(beside), Hardware)
            except HardwareError as error:
                raise HardwareError(str(error).replace(str(beside), str(self.path))) from None


def read_scalesim_config(path: str | os.PathLike[str]) -> ScaleSimConfig:
    """Read a SCALE-Sim configuration.

    SCALE-Sim lays output pixels along the array's height and filters along its width where outputs are stationary;
    here operand A, the filters, lies along the rows: there height and width change places. With InterfaceBandwidth CALC
    memory never stalls the array (`dram: null`); with USER the first number of Bandwidth is that of DRAM, which here
    loads and stores share.

    Raises:
        HardwareError: no such file, or a key that is missing or has a value that cannot be used; names file and key.
    """
    file = Path(path)
    sections = _sections(file)

    def value(section: str, key: str) -> str:
        _, found = sections.get(section, {}).get(key.lower(), (key, ""))
        if not found:
            raise HardwareError(f"{file}: {key} is missing from [{section}]")
        return found

    def number(key: str) -> int:
        text = value(_ARCHITECTURE, key)
        if not re.fullmatch(r"[0-9]{1,9}", text) or not int(text):
            raise HardwareError(f"{file}: {key} is {text!r}, expected a whole number of at least 1")
        return int(text)

    code = value(_ARCHITECTURE, "Dataflow").lower()
    if code not in _DATAFLOWS:
        raise HardwareError(f"{file}: Dataflow is {code!r}, expected one of {', '.join(_DATAFLOWS)}")
    height, width = number("ArrayHeight"), number("ArrayWidth")
    rows, cols = (width, height) if code == "os" else (height, width)
    mode = value("run_presets", "InterfaceBandwidth").upper()
    if mode not in ("CALC", "USER"):
        raise HardwareError(f"{file}: InterfaceBandwidth is {mode!r}, expected CALC or USER")
    dram = None
    if mode == "USER":
        first, _, _ = (text.strip() for text in value(_ARCHITECTURE, "Bandwidth").partition(","))
        if not re.fullmatch(r"[0-9]{1,9}", first) or not int(first):
            raise HardwareError(f"{file}: Bandwidth is {first!r}, expected a whole number of at least 1")
        dram = {"bytes_per_cycle": float(first), "latency_cycles": 0}
    machine = {
        "name": sections.get("general", {}).get("run_name", ("", ""))[1].strip("\"'") or file.stem,
        "array": {"rows": rows, "cols": cols, "dataflow": _DATAFLOWS[code], "interconnect": "systolic"},
        "precision": {"operand_bits": 8, "accumulator_bits": 32, "format": "int8"},
        "memory": {
            "dram": dram,
            "buffers": {
                "weight_kib": number("FilterSramSzkB"),
                "input_kib": number("IfmapSramSzkB"),
                "output_kib": number("OfmapSramSzkB"),
            },
        },
    }
    left_out = tuple(map(_short, _left_out(sections, by_user=mode == "USER")))
    return ScaleSimConfig(file, machine, left_out)


def _left_out(sections: dict[str, dict[str, tuple[str, str]]], *, by_user: bool) -> Iterator[str]:
    """Yield what is not read, given whether the user's bandwidth is, of which the first number is."""
    for section, keys in sections.items():
        for key, (written, text) in keys.items():
            if section == _ARCHITECTURE and key == "bandwidth" and by_user:
                _, _, others = text.partition(",")
                if others.strip():
                    yield f"[{section}] {written} after the first number: {others.strip()}"
            elif key not in _READ.get(section, ()):
                dense = " (the machine is dense)" if (key, text.lower()) == ("sparsitysupport", "true") else ""
                yield f"[{section}] {written}: {text}{dense}"


def _sections(file: Path) -> dict[str, dict[str, tuple[str, str]]]:
    """Return, by section and key in lower case, each key as it is written and its value."""
    parser = configparser.ConfigParser(interpolation=None, strict=False)
    parser.optionxform = str  # type: ignore[assignment,method-assign]  # keys as they are written
    try:
        parser.read_string(file.read_text(encoding="utf-8-sig"))
    except OSError as error:
        raise HardwareError(f"{file}: cannot be read: {error.strerror}") from None
    except UnicodeDecodeError:
        raise HardwareError(f"{file}: it is no text, expected a SCALE-Sim configuration") from None
    except configparser.Error as error:
        raise HardwareError(f"{file}: it is no SCALE-Sim configuration: {' '.join(str(error).split())}") from None
    return {
        section: {key.lower(): (key, value.strip()) for key, value in parser.items(section)}
        for section in parser.sections()
    }


def _short(text: str) -> str:
    return printable(text if len(text) <= _LONGEST else f"{text[:_LONGEST]}…")


def import_scalesim_config(path: str | os.PathLike[str], out: str | os.PathLike[str]) -> Hardware:
    """Write the machine of a SCALE-Sim configuration as a YAML file, whole or not at all, and return it.

    What was left out stands in the file's comments.

    Raises:
        HardwareError: the configuration cannot be used, describes no machine that accelsim knows, or the file cannot be
            written.
    """
    return read_scalesim_config(path).write(out)
