"""The kernels' C++ alone, on random problems: inside their arrays by the sanitizers, and the same on another processor.

A release takes 10,000 cases: build as here and run `random_cases SEED 10000`.
"""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

KERNEL = Path(__file__).parents[2] / "accelsim" / "kernel"
SOURCES = [Path(__file__).with_name("random_cases.cpp"), *sorted(set(KERNEL.glob("*.cpp")) - {KERNEL / "module.cpp"})]
SANITIZERS = ["-g", "-O0", "-fsanitize=address,undefined", "-fno-sanitize-recover=all"]
WARNINGS = ["-Wall", "-Wextra", "-Werror"]


def build(compiler: str, target: Path, *flags: str) -> Path:
    """Compile the driver and the kernels."""
    if shutil.which(compiler) is None:
        pytest.skip(f"no {compiler}")
    command = [compiler, "-std=c++17", "-O1", *WARNINGS, *flags, f"-I{KERNEL}", *map(str, SOURCES), "-o", str(target)]
    built = subprocess.run(command, capture_output=True, text=True, check=False)
    assert built.returncode == 0, built.stderr[:4000]
    return target


def digest(*command: str) -> str:
    """Run random cases; what is printed depends on every result."""
    ran = subprocess.run([*command, "1", "300"], capture_output=True, text=True, check=False)
    assert ran.returncode == 0, ran.stderr[:4000]
    return ran.stdout


@pytest.fixture(scope="module")
def sanitized(tmp_path_factory: pytest.TempPathFactory) -> str:
    return digest(str(build("g++", tmp_path_factory.mktemp("kernel") / "sanitized", *SANITIZERS)))


def test_nothing_outside_its_arrays_is_touched(sanitized: str) -> None:
    assert len(sanitized.strip()) == 16


def test_clang_counts_the_same(sanitized: str, tmp_path: Path) -> None:
    assert digest(str(build("clang++", tmp_path / "clang"))) == sanitized


def test_arm_counts_the_same(sanitized: str, tmp_path: Path) -> None:
    if shutil.which("qemu-aarch64") is None:
        pytest.skip("no qemu-aarch64")
    program = build("aarch64-linux-gnu-g++", tmp_path / "arm", "-static")
    assert digest("qemu-aarch64", str(program)) == sanitized
