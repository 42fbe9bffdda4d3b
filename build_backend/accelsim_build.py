"""The build backend: setuptools, and a compiler from PyPI where the system has none.

A front end asks which packages a build needs before it builds. Where no C++ compiler answers, one of them is `ziglang`,
whose clang `setup.py` then uses.
"""

from __future__ import annotations

import os
import shlex
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from setuptools import build_meta
from setuptools.build_meta import (  # noqa: F401  (the other hooks of PEP 517 and PEP 660)
    build_editable,
    build_sdist,
    build_wheel,
    get_requires_for_build_sdist,
    prepare_metadata_for_build_editable,
    prepare_metadata_for_build_wheel,
)

ZIG = "ziglang>=0.13"
_PROGRAM = "#include <vector>\nint main() { std::vector<int> v(1); return v[0] - (1 > 2); }\n"


def system_compiler() -> list[str] | None:
    """Return the command of a C++17 compiler that works: CXX if set, else c++, g++ or clang++; None without one."""
    named = os.environ.get("CXX")
    for command in [shlex.split(named)] if named else [["c++"], ["g++"], ["clang++"]]:
        if shutil.which(command[0]) and _compiles(command):
            return command
    return None


def _compiles(command: list[str]) -> bool:
    with tempfile.TemporaryDirectory() as directory:
        source = Path(directory) / "try.cpp"
        source.write_text(_PROGRAM)
        built = subprocess.run(
            [*command, "-std=c++17", str(source), "-o", str(Path(directory) / "try")], capture_output=True, check=False
        )
    return built.returncode == 0


def zig_compiler() -> list[str]:
    """Return the command of the compiler in the `ziglang` package."""
    return [sys.executable, "-m", "ziglang", "c++"]


def get_requires_for_build_wheel(config_settings: dict[str, Any] | None = None) -> list[str]:
    """Ask for a compiler only where there is none."""
    return [*build_meta.get_requires_for_build_wheel(config_settings), *([] if system_compiler() else [ZIG])]


def get_requires_for_build_editable(config_settings: dict[str, Any] | None = None) -> list[str]:
    """As for a wheel."""
    return [*build_meta.get_requires_for_build_editable(config_settings), *([] if system_compiler() else [ZIG])]
